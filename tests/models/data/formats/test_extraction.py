"""whuGAIT #7 and #8: stretches and their labels by number, and every broken folder refused by file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.formats.extraction import load_extraction
from models.data.recordings import RecordingError
from tests.models.data.formats.folders import samples, write_rows


def write_stretches(data: Path, labels: Path, numbers: list[int], seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    x_NT6 = samples(len(numbers), points=1024, seed=seed)
    walk_NT = np.random.default_rng(seed).integers(0, 2, size=(len(numbers), 1024))
    for number, x_T6, walk_T in zip(numbers, x_NT6, walk_NT, strict=True):
        write_rows(data / f"{number}.txt", x_T6)
        write_rows(labels / f"{number}_label.txt", walk_T[:, None])
    return x_NT6, walk_NT


@settings(max_examples=6)
@given(numbers=st.lists(st.integers(0, 2000), min_size=1, max_size=3, unique=True), one_folder=st.booleans(), seed=st.integers(0, 2**31))
def test_stretches_are_read_back_ordered_by_number(numbers: list[int], one_folder: bool, seed: int) -> None:
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        labels = data if one_folder else Path(folder) / "label"
        x_NT6, walk_NT = write_stretches(data, labels, numbers, seed)
        read = load_extraction(data, labels)
    order = np.argsort(numbers)
    assert read.number_N.tolist() == sorted(numbers)  # 10 comes after 9, which the order of names would not give
    np.testing.assert_array_equal(read.x_NT6, x_NT6[order])
    np.testing.assert_array_equal(read.walk_NT, walk_NT[order])


def test_stretches_are_recordings_at_50_hz(tmp_path: Path) -> None:
    x_NT6, walk_NT = write_stretches(tmp_path / "d", tmp_path / "l", [2, 11])
    recordings = load_extraction(tmp_path / "d", tmp_path / "l").recordings("whugait-8")
    assert [(r.source, r.trial, r.rate_hz, r.duration_s) for r in recordings] == [("whugait-8", n, 50.0, 20.48) for n in ("2", "11")]
    for recording, x_T6, walk_T in zip(recordings, x_NT6, walk_NT, strict=True):
        np.testing.assert_array_equal(recording.samples_N6, x_T6)
        np.testing.assert_array_equal(recording.walk_N, walk_T)


def change(name: str, edit: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Changes the lines of a file."""

    def apply(root: Path) -> None:
        (root / name).write_text("\n".join(edit((root / name).read_text().splitlines())) + "\n")

    return apply


def rename(name: str, other: str) -> Callable[[Path], None]:
    return lambda root: (root / name).rename(root / other) and None


BROKEN = [
    # what is done to stretches 1 and 2; the error behind the folder's name
    (change("d/2.txt", lambda rows: rows[:-1]), "/d/2.txt:1024: the file has 1023 rows, it must have 1024"),
    (change("d/2.txt", lambda rows: [*rows, rows[0]]), "/d/2.txt:1025: the file has 1025 rows, it must have 1024"),
    (change("d/1.txt", lambda rows: [*rows[:500], "1 2 3 4 5", *rows[501:]]), "/d/1.txt:501: the line has 5 numbers, it must have 6"),
    (change("d/1.txt", lambda rows: [*rows[:-1], "1 2 NaN 4 5 6"]), "/d/1.txt:1024: column 3 holds 'NaN'"),
    (change("l/1_label.txt", lambda rows: rows[:-1]), "/l/1_label.txt:1024: the file ends after 1023 labels"),
    (change("l/1_label.txt", lambda rows: [*rows, "0"]), "/l/1_label.txt:1025: the file has 1025 labels"),
    (change("l/2_label.txt", lambda rows: ["2", *rows[1:]]), "/l/2_label.txt:1: label 2 is neither 0 (not walking) nor 1 (walking)"),
    (rename("l/2_label.txt", "l/2.lost"), "/d/2.txt: has no labels"),
    (rename("d/1.txt", "d/1.lost"), "/l/1_label.txt: has no stretch"),
    (rename("d/1.txt", "d/one.txt"), "/d/one.txt: must be named NUMBER.txt"),
    (rename("d/1.txt", "d/02.txt"), "/d/2.txt: has the same number as 02.txt"),
    (rename("l/1_label.txt", "l/1.txt"), "/l/1.txt: must be named NUMBER_label.txt"),
]


@pytest.mark.parametrize(("break_it", "expected"), BROKEN)
def test_broken_folders_are_refused_by_file_and_line(tmp_path: Path, break_it: Callable[[Path], None], expected: str) -> None:
    write_stretches(tmp_path / "d", tmp_path / "l", [1, 2])
    break_it(tmp_path)
    with pytest.raises(RecordingError) as failure:
        load_extraction(tmp_path / "d", tmp_path / "l")
    assert str(failure.value).startswith(f"{tmp_path}{expected}")


def test_folders_that_are_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="none: no such folder"):
        load_extraction(tmp_path / "none", tmp_path)
    with pytest.raises(RecordingError, match="holds no stretches"):
        load_extraction(tmp_path, tmp_path)
