"""The earlier recordings of whuGAIT's laboratory (`gait_mobile_Acc_data`, `9_gestures_of_15 tester`): one text file per recording.

A line is one sample at 50 Hz: local time as yyyymmddhhmmss, acceleration x y z with gravity in m/s², angular rate x y z in rad/s, air
pressure in hPa (read and dropped). A file is named SUBJECT_CONDITION.txt: `aaa_f1a.txt` is subject aaa, condition f1a (f fast, n normal).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.formats.samples import UNLABELLED_ACTIVITY
from models.data.formats.text import read_table, refuse
from models.data.recordings import WALK_UNLABELLED, Recording, RecordingError
from models.types import GRID_RATE_HZ

COLUMNS = 8
"""Time, six channels, air pressure."""

TIME_DIGITS = 14
"""yyyymmddhhmmss."""

SOURCE = "whu-laboratory"
"""One source for all folders: the same people recorded in several of them."""

GAP_S = 2
"""Times are whole seconds: two neighbours that differ by this much have at least a second without samples between them."""


def load_laboratory(path: str | Path) -> list[Recording]:
    """The recordings of one file, or of all .txt files directly in a folder by name. A file with gaps in its times gives one for each piece.

    Session is the day of recording, trial the condition, placement unstated; walking is unlabelled, since the files do not say.
    Raises RecordingError naming file and line.
    """
    path = Path(path)
    if not path.is_dir():
        return _recordings(path)
    files = sorted(path.glob("*.txt"))
    if not files:
        raise RecordingError(f"{path}: holds no .txt files")
    return [recording for file in files for recording in _recordings(file)]


def _recordings(path: Path) -> list[Recording]:
    subject, underscore, condition = path.stem.partition("_")
    if not (subject and underscore and condition):
        raise RecordingError(f"{path}: must be named SUBJECT_CONDITION.txt")
    table = read_table(path, COLUMNS, dtype=np.float64)  # a time of 14 digits does not fit float32
    second_N = _seconds(path, table[:, 0])
    pieces = np.split(np.arange(len(table)), np.flatnonzero(np.diff(second_N) >= GAP_S) + 1)
    return [
        Recording(
            acc_N3=table[piece, 1:4].astype(np.float32),
            gyro_N3=table[piece, 4:7].astype(np.float32),
            walk_N=np.full(len(piece), WALK_UNLABELLED, np.uint8),
            act_N=np.full(len(piece), UNLABELLED_ACTIVITY, np.int8),
            rate_hz=GRID_RATE_HZ,
            subject=subject,
            session=f"{table[piece[0], 0]:.0f}"[:8],
            trial=condition,
            placement="unstated",
            name=path.stem if number == 0 else f"{path.stem}.{number + 1}",
            source=SOURCE,
        )
        for number, piece in enumerate(pieces)
    ]


def _seconds(path: Path, time_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) seconds since the first sample, none going back."""
    changes = np.concatenate([[0], np.flatnonzero(np.diff(time_N)) + 1])
    start: datetime | None = None
    second_N = np.zeros(len(time_N), np.int64)
    latest = 0
    for first, last in zip(changes.tolist(), [*changes[1:].tolist(), len(time_N)], strict=True):
        moment = _moment(path, first + 1, float(time_N[first]))
        start = start or moment
        elapsed = int((moment - start).total_seconds())
        if elapsed < latest:
            raise refuse(path, first + 1, f"time {time_N[first]:.0f} is before the time of the line above")
        second_N[first:last] = latest = elapsed
    return second_N


def _moment(path: Path, line: int, value: float) -> datetime:
    text = f"{value:.0f}"
    try:
        if len(text) != TIME_DIGITS:  # strptime would read a time with a digit missing as another time
            raise ValueError
        return datetime.strptime(text, "%Y%m%d%H%M%S")
    except ValueError:
        raise refuse(path, line, f"column 1 holds {text}, which is not a time yyyymmddhhmmss") from None
