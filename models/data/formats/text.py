"""Tables of numbers and lists of labels in text files: read fast, and an error names file and line.

A good file is read in one pass by numpy. Only a file that this pass finds wrong is read again line by line, to say where.
Numbers are separated by blanks or tabs; empty lines are allowed at the end of the file only, since elsewhere they would shift the labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from models.data.recordings import RecordingError

LARGEST = float(np.finfo(np.float32).max)
"""Samples end up as 32-bit floats; a number beyond them would become infinity there."""


def refuse(path: Path, line: int, reason: str) -> RecordingError:
    """The error for one line, counted from 1, of one file."""
    return RecordingError(f"{path}:{line}: {reason}")


def read_table(path: Path, columns: int, dtype: DTypeLike = np.float32, rows: int | None = None) -> NDArray:
    """(N, columns) finite numbers of a text file with one row per line; row n is line n + 1.

    rows: how many there must be, None for any number from 1.
    Raises RecordingError naming file and line for a wrong number of columns or rows, text, NaN, infinity, and empty lines.
    """
    content = _content(path)
    try:
        table = np.loadtxt(path, dtype=dtype, comments=None, ndmin=2, encoding="utf-8")
    except ValueError:  # ragged rows, text among the numbers, bytes that are not UTF-8
        table = np.empty((0, 0), dtype)
    lines = content.rstrip().count(b"\n") + 1
    if table.shape != (lines, columns) or not (np.abs(table) <= LARGEST).all():  # false for NaN and infinity too
        table = _read_slowly(path, columns, dtype)
    if rows is not None and len(table) != rows:
        raise refuse(path, min(len(table), rows) + 1, f"the file has {len(table)} rows, it must have {rows}")
    return table


def read_labels(path: Path, problem: Callable[[int], str | None]) -> NDArray[np.int64]:
    """(N,) the whole numbers of a text file with one per line.  problem: says what is wrong with a value, None if nothing.

    Raises RecordingError naming file and line for anything else in a line, empty lines, and values with a problem.
    """
    return np.array([value for _, value in _labels(path, problem, one_per_line=True)], np.int64)


def read_label_sequence(path: Path, problem: Callable[[int], str | None], count: int) -> NDArray[np.int64]:
    """(count,) the whole numbers of a text file, one per line or many. Raises RecordingError as read_labels, and for another count."""
    numbered = list(_labels(path, problem, one_per_line=False))
    if len(numbered) > count:
        raise refuse(path, numbered[count][0], f"the file has {len(numbered)} labels, it must have {count}: this one is too many")
    if len(numbered) < count:
        raise refuse(path, numbered[-1][0] + 1, f"the file ends after {len(numbered)} labels, it must have {count}")
    return np.array([value for _, value in numbered], np.int64)


def _labels(path: Path, problem: Callable[[int], str | None], one_per_line: bool) -> Iterator[tuple[int, int]]:
    """(line, value) of every label."""
    for number, words in _lines(path):
        if one_per_line and len(words) != 1:
            raise refuse(path, number, f"a label line must hold one number, this one holds {len(words)}")
        for word in words:
            value = _number(word)
            if value is None or not value.is_integer():  # is_integer is False for NaN and infinity
                raise refuse(path, number, f"label {word!r} is not a whole number")
            if (reason := problem(int(value))) is not None:
                raise refuse(path, number, reason)
            yield number, int(value)


def _read_slowly(path: Path, columns: int, dtype: DTypeLike) -> NDArray:
    """The table read line by line, which finds the line that is wrong; if none is, the table."""
    rows = []
    for number, words in _lines(path):
        if len(words) != columns:
            raise refuse(path, number, f"the line has {len(words)} numbers, it must have {columns}")
        values = [_number(word) for word in words]
        for column, (value, word) in enumerate(zip(values, words, strict=True), start=1):
            if value is None:
                raise refuse(path, number, f"column {column} holds {word!r}, which is not a number")
            if not math.isfinite(value) or abs(value) > LARGEST:
                raise refuse(path, number, f"column {column} holds {word!r}, which is not a finite number")
        rows.append(values)
    return np.array(rows, dtype)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of every line up to the last that is not empty. Bytes that are not UTF-8 become words that are no numbers."""
    lines = _content(path).rstrip().decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            raise refuse(path, number, "the line is empty")
        yield number, words


def _number(word: str) -> float | None:
    """The value of an ASCII number; Python's own reading would also take 1_000 and digits of other scripts."""
    if not word.isascii() or "_" in word:
        return None
    try:
        return float(word)
    except ValueError:
        return None


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except OSError as error:
        raise RecordingError(f"{path}: not readable ({error.strerror})") from error
    if not content.strip():
        raise refuse(path, 1, "the file is empty")
    return content
