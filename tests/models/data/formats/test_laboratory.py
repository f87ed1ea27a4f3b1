"""The laboratory's earlier recordings: samples, times and gaps read back, and every broken file refused by line."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.formats.laboratory import load_laboratory
from models.data.recordings import RecordingError
from tests.models.data.formats.folders import write_rows

START = datetime(2015, 7, 1, 23, 59, 58)  # the second that follows the next is of another day


def line(second: int, values: np.ndarray) -> list[str]:
    return [f"{START + timedelta(seconds=second):%Y%m%d%H%M%S}", *(str(value) for value in values), "996.74"]


@settings(max_examples=25)
@given(pieces=st.lists(st.tuples(st.integers(2, 5), st.integers(1, 30)), min_size=1, max_size=4))
def test_recordings_are_read_back_and_cut_at_gaps(pieces: list[tuple[int, int]]) -> None:
    """pieces: seconds since the piece before, and number of samples, ten of them a second."""
    rng = np.random.default_rng(5)
    rows, wanted, second = [], [], 0
    for gap_s, count in pieces:
        second += gap_s
        x_N6 = rng.normal(scale=9.0, size=(count, 6)).astype(np.float32)
        rows += [line(second + index // 10, values) for index, values in enumerate(x_N6)]
        second += (count - 1) // 10
        wanted.append(x_N6)
    with TemporaryDirectory() as folder:
        write_rows(Path(folder) / "aaa_f1a.txt", rows, end=" \n")  # the published lines end with a blank
        recordings = load_laboratory(Path(folder))
    assert len(recordings) == len(wanted)
    for recording, x_N6 in zip(recordings, wanted, strict=True):
        np.testing.assert_array_equal(recording.samples_N6, x_N6)
        assert (recording.subject, recording.trial, recording.rate_hz) == ("aaa", "f1a", 50.0)
        assert set(recording.walk_N.tolist()) == {255}


def test_names_and_days(tmp_path: Path) -> None:
    write_rows(tmp_path / "zm_n2b.txt", [line(0, np.ones(6)), line(1, np.ones(6)), line(9, np.ones(6))])
    write_rows(tmp_path / "cxb_m1na_1.txt", [line(2, np.ones(6))])
    read = [(r.name, r.subject, r.trial, r.session, len(r.acc_N3)) for r in load_laboratory(tmp_path)]
    assert read == [
        ("cxb_m1na_1", "cxb", "m1na_1", "20150702", 1),
        ("zm_n2b", "zm", "n2b", "20150701", 2),
        ("zm_n2b.2", "zm", "n2b", "20150702", 1),
    ]


GOOD = "20150701211339 1 2 3 4 5 6 996.7"
BROKEN = [
    # lines of a file, the error behind its name
    ([GOOD, "20150701211339 1 2 3 4 5 6"], ":2: the line has 7 numbers, it must have 8"),
    ([GOOD, GOOD, "20150701211339 1 2 3 4 nan 6 996.7"], ":3: column 6 holds 'nan'"),
    ([GOOD, "20150701211338 1 2 3 4 5 6 996.7"], ":2: time 20150701211338 is before the time of the line above"),
    (["20151301211339 1 2 3 4 5 6 996.7"], ":1: column 1 holds 20151301211339, which is not a time"),  # month 13
    ([GOOD, "2015070121134 1 2 3 4 5 6 996.7"], ":2: column 1 holds 2015070121134, which is not a time"),  # a digit short
    ([GOOD, "20150701211339 1e300 2 3 4 5 6 996.7"], ":2: column 2 holds '1e300', which is not a finite number"),  # as float32
    ([GOOD, "", GOOD], ":2: the line is empty"),
]


@pytest.mark.parametrize(("lines", "expected"), BROKEN)
def test_broken_files_are_refused_by_line(tmp_path: Path, lines: list[str], expected: str) -> None:
    path = tmp_path / "aaa_f1a.txt"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RecordingError) as failure:
        load_laboratory(path)
    assert str(failure.value).startswith(f"{path}{expected}")


def test_names_that_say_no_subject_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"holds no \.txt files"):
        load_laboratory(tmp_path)
    (tmp_path / "recording.txt").write_text(GOOD + "\n")
    with pytest.raises(RecordingError, match=r"must be named SUBJECT_CONDITION\.txt"):
        load_laboratory(tmp_path)
