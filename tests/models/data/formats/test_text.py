"""Number tables and labels: what is written is read, and whatever is wrong is told with its line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.data.formats.text import read_label_sequence, read_labels, read_table
from models.data.recordings import RecordingError
from tests.models.data.formats.folders import write_rows

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=60)
@given(
    table=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=FLOATS),
    end=st.sampled_from(["\n", " \n", "\r\n", "\t\n"]),
    tail=st.sampled_from(["", "\n", "\r\n \n"]),
)
def test_every_table_is_read_back_bit_by_bit(table: np.ndarray, end: str, tail: str) -> None:
    with TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / "t.txt", table, end)
        path.write_bytes(path.read_bytes() + tail.encode())
        read = read_table(path, table.shape[1], rows=len(table))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, table)


@settings(max_examples=80)
@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 5),
    place=st.tuples(st.integers(0, 11), st.integers(0, 4)),
    bad=st.sampled_from(["nan", "inf", "-Infinity", "1e39", "x", "1,5", "1_0", "٣", "0x1p3", "#", "1 2", ""]),
)
@example(rows=1, columns=1, place=(0, 0), bad="\ufeff1.0")  # a byte order mark of Windows
def test_one_bad_value_anywhere_is_told_with_its_line(rows: int, columns: int, place: tuple[int, int], bad: str) -> None:
    row, column = place[0] % rows, place[1] % columns
    table = [[f"{r}.{c}" for c in range(columns)] for r in range(rows)]
    table[row][column] = bad
    if bad == "" and columns == 1 and row == rows - 1:  # an empty last line is no line
        return
    with TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / "t.txt", table)
        with pytest.raises(RecordingError) as failure:
            read_table(path, columns)
    assert str(failure.value).startswith(f"{path}:{row + 1}: ")


TABLES = [
    # content, expected place and words
    (b"", ":1: the file is empty"),
    (b" \n\n", ":1: the file is empty"),
    (b"1 2\n\n3 4\n", ":2: the line is empty"),  # would shift every label behind it
    (b"1 2\n3\n", ":2: the line has 1 numbers, it must have 2"),
    (b"1 2 3\n4 5 6\n", ":1: the line has 3 numbers, it must have 2"),  # even, but wrong
    (b"1 2\n3 \xff\n", ":2: column 2 holds"),  # not UTF-8
    (b"1 2\n3 nan\n", ":2: column 2 holds 'nan', which is not a finite number"),
    (b"1 2\n3 4\n5 6\n7 8\n", ":4: the file has 4 rows, it must have 3"),
    (b"1 2\n3 4\n", ":3: the file has 2 rows, it must have 3"),
]


@pytest.mark.parametrize(("content", "expected"), TABLES)
def test_broken_tables(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as failure:
        read_table(path, 2, rows=3)
    assert str(failure.value).startswith(f"{path}{expected}")


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.txt: no such file"):
        read_table(tmp_path / "none.txt", 2)
    with pytest.raises(RecordingError, match="not readable"):
        read_table(tmp_path, 2)


LABELS = [
    # content, expected place and words
    (b"1\n2\nx\n", ":3: label 'x' is not a whole number"),
    (b"1\n1.5\n", ":2: label '1.5' is not a whole number"),
    (b"nan\n", ":1: label 'nan' is not a whole number"),
    (b"1\n\n2\n", ":2: the line is empty"),
    (b"1\n2 1\n", ":2: a label line must hold one number, this one holds 2"),
    (b"1\n7\n", ":2: seven"),  # what the caller says of the value
]


@pytest.mark.parametrize(("content", "expected"), LABELS)
def test_broken_labels(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "y.txt"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as failure:
        read_labels(path, lambda value: "seven" if value == 7 else None)
    assert str(failure.value).startswith(f"{path}{expected}")


def test_whole_numbers_written_as_floats_are_labels(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "y.txt", [["1.000000e+00"], ["118"], [" 2.0"]])
    assert read_labels(path, lambda value: None).tolist() == [1, 118, 2]


@given(values=st.lists(st.integers(0, 1), min_size=1, max_size=40), per_line=st.integers(1, 7), wanted=st.integers(1, 45))
def test_a_label_sequence_may_break_its_lines_anywhere(values: list[int], per_line: int, wanted: int) -> None:
    lines = [values[start : start + per_line] for start in range(0, len(values), per_line)]
    with TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / "1_label.txt", lines)
        if wanted == len(values):
            assert read_label_sequence(path, lambda value: None, wanted).tolist() == values
            return
        with pytest.raises(RecordingError) as failure:
            read_label_sequence(path, lambda value: None, wanted)
    line = wanted // per_line + 1 if wanted < len(values) else len(lines) + 1
    assert str(failure.value).startswith(f"{path}:{line}: ")
