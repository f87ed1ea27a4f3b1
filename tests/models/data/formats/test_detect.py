"""`load_recordings` on folders in the published layouts: which format, what becomes a recording, and errors that name file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.data.loading import load_recordings
from models.data.recordings import Recording, RecordingError
from models.training.train import train
from tests.models.data.formats.folders import samples, write_distributed, write_record, write_rows


def overlapping(people: int, windows: int, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Samples of 128 points cut every 64 from one walk per person, and their labels."""
    walks = np.random.default_rng(seed).normal(size=(people, 64 * (windows + 1), 6)).astype(np.float32) + np.array(
        [0, 0, 9.8, 0, 0, 0], np.float32
    )
    cuts = [walk[64 * i : 64 * i + 128] for walk in walks for i in range(windows)]
    return np.stack(cuts), np.repeat(np.arange(1, people + 1), windows).tolist()


def stretches(folder: Path, labels: Path) -> None:
    for number in (1, 2):
        write_rows(folder / f"{number}.txt", samples(1, points=1024, seed=number)[0])
        write_rows(labels / f"{number}_label.txt", [[int(i > 500)] for i in range(1024)])


def laboratory(root: Path) -> None:
    write_rows(root / "aaa_f1a.txt", [[20180102030405 + i // 50, *np.arange(6) * 0.5, 1000.0] for i in range(100)])


def two_splits(root: Path) -> None:
    for split, seed in (("train", 1), ("test", 2)):
        write_distributed(root, split, *overlapping(2, 3, seed))


LAYOUTS: list[tuple[Callable[[Path], object], list[tuple[str, str, int]]]] = [
    # samples of people, record layout: the overlap is taken back, so a person's three samples are one recording
    (lambda root: write_record(root, *overlapping(2, 3)), [("001", "1", 256), ("002", "1", 256)]),
    # the distributed layout: the split is the session
    (two_splits, [("001", "train", 256), ("002", "train", 256), ("001", "test", 256), ("002", "test", 256)]),
    # samples that continue none stay alone
    (lambda root: write_record(root, samples(2), [1, 1]), [("001", "1", 128), ("001", "1", 128)]),
    # stretches of daily life, both kinds of file in one folder
    (lambda root: stretches(root, root), [("stretch1", "1", 1024), ("stretch2", "1", 1024)]),
    # the same in two folders whose names nobody fixes
    (lambda root: stretches(root / "series", root / "marks"), [("stretch1", "1", 1024), ("stretch2", "1", 1024)]),
    # the same within splits
    (lambda root: stretches(root / "test" / "x", root / "test" / "y"), [("stretch1", "test", 1024), ("stretch2", "test", 1024)]),
    # earlier recordings of the laboratory
    (laboratory, [("aaa", "20180102", 100)]),
]


@pytest.mark.parametrize(("write", "expected"), LAYOUTS)
def test_a_folder_is_read_by_its_layout(tmp_path: Path, write: Callable[[Path], object], expected: list[tuple[str, str, int]]) -> None:
    root = tmp_path / "whu"
    write(root)
    recordings = load_recordings(root)
    assert [(r.subject, r.session, len(r.acc_N3)) for r in recordings] == expected


def test_the_walk_comes_back_as_it_was_cut(tmp_path: Path) -> None:
    x_NT6, labels = overlapping(1, 5)
    (recording,) = load_recordings(write_record(tmp_path, x_NT6, labels))
    assert np.array_equal(np.stack([recording.samples_N6[64 * i : 64 * i + 128] for i in range(5)]), x_NT6)


def test_people_and_conditions_choose_as_in_tidy_files(tmp_path: Path) -> None:
    two_splits(tmp_path)

    def who(recordings: list[Recording]) -> list[tuple[str, str]]:
        return [(r.subject, r.session) for r in recordings]

    assert who(load_recordings(tmp_path, people="2", where="session=test")) == [("002", "test")]
    with pytest.raises(RecordingError, match="no record has session = 9"):
        load_recordings(tmp_path, where="session=9")


def break_line(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))


def broken_record(root: Path) -> None:
    write_record(root, *overlapping(2, 3))
    break_line(root / "record" / "acc_y.txt", 4, "1.0 2.0")


def pairs(root: Path) -> None:
    write_record(root, samples(2, points=256), [1, 2])


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    # a ragged line
    (broken_record, r"acc_y\.txt:4: the line has 2 numbers, it must have 128"),
    # pairs name no people
    (pairs, r"acc_x\.txt:1: these are pairs"),
    # a missing label
    (lambda root: write_record(root, samples(3), [1, 2]), r"label\.txt:3: the label is missing"),
    # none of the formats
    (lambda root: (root / "other").mkdir(parents=True), "in none of the published formats"),
    # a folder that is not there
    (lambda root: None, "whu"),
]


@pytest.mark.parametrize(("write", "message"), BROKEN)
def test_a_broken_folder_is_refused(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    write(tmp_path / "whu")
    with pytest.raises(RecordingError, match=message):
        load_recordings(tmp_path / "whu")


def test_a_published_network_trains_on_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "whu"
    write_distributed(root, "train", *overlapping(6, 8))
    card = train("whugait-cnn", [root], tmp_path / "out", epochs=1, steps=2, batch=8)
    assert card["data"]["whu"]["trained_on"] == ["001", "002", "003", "004"]
