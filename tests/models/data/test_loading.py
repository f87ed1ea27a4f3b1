"""Recording files: chosen as asked, refused by file and field where they are not in the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data.grid import to_grid, trusted_labels
from models.data.loading import choose_people, load_recordings, parse_where
from models.data.recordings import RecordingError


def fields() -> dict[str, Any]:
    """A file of three people with two records each, ten samples a record."""
    rng = np.random.default_rng(1)
    return {
        "acc": rng.normal(size=(60, 3)).astype(np.float32),
        "gyro": rng.normal(size=(60, 3)).astype(np.float32),
        "walk": np.repeat(np.array([0, 1, 2, 255, 1, 0], np.uint8), 10),
        "act": np.repeat(np.array([0, 1, 6, -1, 1, 0], np.int8), 10),
        "off": np.arange(0, 61, 10),
        "fs": np.float64(50.0),
        "subject": np.array(["b", "b", "a", "a", "c", "c"]),
        "session": np.array(["1", "2", "1", "2", "1", "2"]),
        "trial": np.array(["07", "08", "07", "08", "07", "15"]),
        "placement": np.array(["waist", "wrist", "waist", "wrist", "waist", "wrist"]),
        "name": np.array([f"r{n}" for n in range(6)]),
    }


def save(path: Path, **changes: Any) -> Path:
    content = {**fields(), **changes}
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save(tmp_path / "small.npz")


@pytest.mark.parametrize(
    ("people", "where", "names"),
    [
        (None, None, ["r0", "r1", "r2", "r3", "r4", "r5"]),  # everything, in file order
        ("1", None, ["r2", "r3"]),  # positions count in the sorted list of subjects
        ("2-3", None, ["r0", "r1", "r4", "r5"]),
        ("c,a", None, ["r2", "r3", "r4", "r5"]),  # names
        ("a-b", None, ["r0", "r1", "r2", "r3"]),  # from name to name
        (None, "trial=7", ["r0", "r2", "r4"]),  # 7 is 07
        (None, "trial=8,15", ["r1", "r3", "r5"]),
        (None, "trial=7-8", ["r0", "r1", "r2", "r3", "r4"]),
        ("1,3", "trial=08,15; placement=wrist", ["r3", "r5"]),  # all conditions hold together
    ],
)
def test_choices(file: Path, people: str | None, where: str | None, names: list[str]) -> None:
    assert [recording.name for recording in load_recordings(file, people, where)] == names


def test_a_record_holds_its_part_of_the_arrays(file: Path) -> None:
    recording = load_recordings(file)[3]
    content = fields()
    assert np.array_equal(recording.acc_N3, content["acc"][30:40])
    assert np.array_equal(recording.samples_N6[:, 3:], content["gyro"][30:40])
    assert (recording.subject, recording.trial, recording.source, recording.rate_hz) == ("a", "08", "small", 50.0)
    assert recording.duration_s == pytest.approx(0.2)
    assert set(recording.walk_N) == {255}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gyro": None}, "'gyro' is missing"),
        ({"acc": np.zeros((60, 2), np.float32)}, "'acc' must be float"),
        ({"acc": np.full((60, 3), np.nan, np.float32)}, "'acc' holds NaN"),
        ({"gyro": np.zeros((59, 3), np.float32)}, "'gyro' must be float"),
        ({"walk": np.zeros(60, np.float32)}, "'walk' must be integer"),
        ({"off": np.array([0, 10, 10, 30, 40, 50, 60])}, "'off' must be rising"),  # an empty record
        ({"off": np.arange(0, 51, 10)}, "'off' must be rising"),  # does not reach the end
        ({"trial": np.array(["1"])}, "'trial' must have one entry per record"),
        ({"fs": np.float64(0)}, "'fs' must be one rate"),
        ({"subject": np.array([{}] * 6, dtype=object)}, "not a readable npz"),  # needs pickle: refused, not executed
    ],
)
def test_malformed_files_are_refused_by_file_and_field(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = save(tmp_path / "bad.npz", **changes)
    with pytest.raises(RecordingError, match=words) as caught:
        load_recordings(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("spoil", [lambda p: p.write_bytes(b"no zip"), lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:300])])
def test_unreadable_files_are_refused_by_name(file: Path, spoil: Callable[[Path], None]) -> None:
    spoil(file)
    with pytest.raises(RecordingError, match=r"small\.npz"):
        load_recordings(file)


@pytest.mark.parametrize("choice", ["0", "4", "3-1", "z", "", "a-z", "1-x"])
def test_choices_of_nobody_are_refused(choice: str) -> None:
    with pytest.raises(RecordingError):
        choose_people(["a", "b", "c"], choice)


@pytest.mark.parametrize("where", ["trial", "colour=red", "trial=", "=7"])
def test_ill_formed_conditions_are_refused(where: str) -> None:
    with pytest.raises(RecordingError, match="condition"):
        parse_where(where)


def test_a_condition_without_match_lists_what_there_is(file: Path) -> None:
    with pytest.raises(RecordingError, match="07, 08, 15"):
        load_recordings(file, where="trial=9")


def test_other_rates_are_brought_to_the_grid(tmp_path: Path) -> None:
    time_s = np.arange(60) / 100.0
    ramp = np.repeat(time_s[:, None], 3, axis=1).astype(np.float32)
    offsets = np.array([0, 60])
    one = {name: np.array(["x"]) for name in ("subject", "session", "trial", "placement", "name")}
    recording = load_recordings(save(tmp_path / "fast.npz", acc=ramp, fs=np.float64(100.0), off=offsets, **one))[0]
    samples, walk, act = to_grid(recording)
    assert len(samples) == len(walk) == len(act) == 30
    assert np.allclose(samples[:, 0], np.arange(30) / 50.0, atol=1e-6)


def test_only_sets_known_to_mislabel_lose_their_ends() -> None:
    labels = np.ones(600, np.uint8)
    assert (trusted_labels("other", labels) == 1).all()
    trusted = trusted_labels("motionsense", labels)
    assert (trusted[:150] == 255).all()
    assert (trusted[150:500] == 1).all()
    assert (trusted[500:] == 255).all()
