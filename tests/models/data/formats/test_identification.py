"""whuGAIT #1 to #4 and #5 to #6: both layouts read back, and every broken folder refused by file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.formats.authentication import load_authentication
from models.data.formats.identification import load_identification
from models.data.recordings import RecordingError
from tests.models.data.formats.folders import CHANNELS, samples, write_distributed, write_record, write_rows


@settings(max_examples=10)
@given(labels=st.lists(st.integers(1, 118), min_size=1, max_size=6), seed=st.integers(0, 2**31))
def test_both_layouts_give_the_samples_and_people_that_were_written(labels: list[int], seed: int) -> None:
    x_NT6 = samples(len(labels), seed=seed)
    with TemporaryDirectory() as folder:
        record = load_identification(write_record(Path(folder) / "r", x_NT6, labels))
        distributed = load_identification(write_distributed(Path(folder) / "Dataset #1", "test", x_NT6, labels), "test")
        split = load_identification(Path(folder) / "Dataset #1" / "test")
    for read in (record, distributed, split):
        np.testing.assert_array_equal(read.x_NT6, x_NT6)
        assert read.label_N.tolist() == labels


def test_channels_are_told_by_name_in_any_case(tmp_path: Path) -> None:
    x_NT6 = samples(2)
    root = write_record(tmp_path, x_NT6, [1, 2])
    for name in CHANNELS[::2]:
        (root / "record" / f"{name}.txt").rename(root / "record" / f"Test_{name.upper()}.txt")
    np.testing.assert_array_equal(load_identification(root).x_NT6, x_NT6)


def test_labels_may_lie_beside_the_channels(tmp_path: Path) -> None:
    root = write_record(tmp_path, samples(2), [4, 2])
    (root / "label.txt").rename(root / "record" / "label.txt")
    assert load_identification(root).label_N.tolist() == [4, 2]


@settings(max_examples=10)
@given(labels=st.lists(st.integers(1, 2), min_size=1, max_size=5), same_label=st.integers(1, 2))
def test_pairs_in_one_file_or_two_per_channel(labels: list[int], same_label: int) -> None:
    ab_NT6 = samples(len(labels), points=256)
    with TemporaryDirectory() as folder:
        one = write_distributed(Path(folder) / "Dataset #5", "train", ab_NT6, labels, folder="data")
        two = Path(folder) / "two"
        for channel, name in enumerate(CHANNELS):
            write_rows(two / "record" / f"a_{name}.txt", ab_NT6[:, :128, channel])
            write_rows(two / "record" / f"b_{name}.txt", ab_NT6[:, 128:, channel])
        write_rows(two / "label.txt", [[label] for label in labels])
        for pairs in (load_authentication(one, "train", same_label), load_authentication(two, same_label=same_label)):
            np.testing.assert_array_equal(pairs.a_NT6, ab_NT6[:, :128])
            np.testing.assert_array_equal(pairs.b_NT6, ab_NT6[:, 128:])
            assert pairs.same_N.tolist() == [label == same_label for label in labels]


def test_same_label_must_be_one_of_the_two(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same_label"):
        load_authentication(tmp_path, same_label=0)


def edit(name: str, line: int, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Changes the words of one line (from 1) of a file; no words remove the line."""

    def apply(root: Path) -> None:
        lines = [row.split() for row in (root / name).read_text().splitlines()]
        lines[line - 1] = change(lines[line - 1])
        write_rows(root / name, [row for row in lines if row])

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text(text) and None


BROKEN = [
    # what is done to a folder of three samples with labels 1, 2, 3; the error behind the folder's name
    (edit("record/acc_y.txt", 2, lambda row: row[:-1]), "/record/acc_y.txt:2: the line has 127 numbers, it must have 128"),
    (edit("record/gyr_z.txt", 3, lambda row: [*row, "1"]), "/record/gyr_z.txt:3: the line has 129 numbers, it must have 128"),
    (edit("record/acc_x.txt", 1, lambda row: ["nan", *row[1:]]), "/record/acc_x.txt:1: column 1 holds 'nan'"),
    (edit("record/acc_x.txt", 3, lambda row: [*row[:-1], "-inf"]), "/record/acc_x.txt:3: column 128 holds '-inf'"),
    (edit("record/gyr_x.txt", 2, lambda row: [*row[:4], "one", *row[5:]]), "/record/gyr_x.txt:2: column 5 holds 'one'"),
    (edit("record/gyr_x.txt", 3, lambda row: []), "/record/gyr_x.txt:3: the file ends here, but acc_x.txt has 3 lines"),
    (edit("record/acc_x.txt", 3, lambda row: []), "/record/acc_x.txt:3: the file ends here, but acc_y.txt has 3 lines"),
    (edit("label.txt", 3, lambda row: []), "/label.txt:3: the label is missing: 2 labels for the 3 lines of acc_x.txt"),
    (write("label.txt", "1\n2\n3\n4\n"), "/label.txt:4: a label without a sample"),
    (write("label.txt", "1\n0\n3\n"), "/label.txt:2: label 0 is not a person"),  # 0-based labels would lose a person silently
    (write("label.txt", ""), "/label.txt:1: the file is empty"),
    (remove("label.txt"), ": has no labels (one of label.txt, record/label.txt"),
    (remove("record/acc_z.txt"), "/record: channel acc_z has 0 files, every channel must have 1"),
    (write("record/acc_x_2.txt", "1\n"), "/record: channel acc_x has 2 files, every channel must have 1"),
    (write("record/notes.txt", "1\n"), "/record/notes.txt: the name holds none of acc_x"),
]


@pytest.mark.parametrize(("break_it", "expected"), BROKEN)
def test_broken_folders_are_refused_by_file_and_line(tmp_path: Path, break_it: Callable[[Path], None], expected: str) -> None:
    root = write_record(tmp_path / "set", samples(3), [1, 2, 3])
    load_identification(root)
    break_it(root)
    with pytest.raises(RecordingError) as failure:
        load_identification(root)
    assert str(failure.value).startswith(f"{root}{expected}")


BROKEN_PAIRS = [
    # what is done to a folder of three pairs with labels 1, 2, 1; the error behind the folder's name
    (write("label.txt", "1\n2\n3\n"), "/label.txt:3: label 3 is neither 1 nor 2"),
    (edit("record/acc_y.txt", 2, lambda row: row[:128]), "/record/acc_y.txt:2: the line has 128 numbers, it must have 256"),
    (write("label.txt", "1\n2\n"), "/label.txt:3: the label is missing"),
    (write("record/acc_x_b.txt", "1\n"), "/record: channel acc_y has 1 files"),  # one channel in two files, the others in one
]


@pytest.mark.parametrize(("break_it", "expected"), BROKEN_PAIRS)
def test_broken_pairs_are_refused_by_file_and_line(tmp_path: Path, break_it: Callable[[Path], None], expected: str) -> None:
    root = write_record(tmp_path / "set", samples(3, points=256), [1, 2, 1])
    load_authentication(root)
    break_it(root)
    with pytest.raises(RecordingError) as failure:
        load_authentication(root)
    assert str(failure.value).startswith(f"{root}{expected}")


def test_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="train: no such folder"):
        load_identification(tmp_path, "train")
    with pytest.raises(RecordingError, match="has no folder of channel files"):
        load_identification(tmp_path)
