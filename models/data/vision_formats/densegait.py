"""DenseGait: a csv of tracks with 42 soft attributes and a skeleton file each.

Source: Cosma, Radoi, Sensors 22(18), 2022. The columns are found by name, in any order; attribute names are `models.skeleton.appearance.NAMES`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.data.recordings import RecordingError
from models.data.vision_formats.joints import load_openpose
from models.skeleton.appearance import NAMES
from models.types import Float32

TRACK_COLUMNS, FILE_COLUMNS = ("track_id", "track"), ("file_path", "file", "path")
"""Names under which the two other columns are found."""


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One anonymous person for a while. soft_A: (42,) probabilities of the attributes.  file: the skeleton file."""

    track: str
    soft_A: Float32
    file: Path

    def joints(self) -> Float32:
        """(T, 18, 3), y upwards as published. Raises RecordingError naming the file."""
        return load_openpose(self.file, upside_down=True)


def load_tracklets(path: str | Path, folder: str | Path | None = None) -> list[Tracklet]:
    """The tracks of a csv; skeleton paths are taken from `folder`, by default the csv's. Raises RecordingError naming file, line and column."""
    path = Path(path)
    root = (path.parent if folder is None else Path(folder)).resolve()
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or []
            track_column, file_column = _column(path, columns, TRACK_COLUMNS), _column(path, columns, FILE_COLUMNS)
            missing = [name for name in NAMES if name not in columns]
            if missing:
                raise RecordingError(f"{path}: line 1: {len(missing)} of {len(NAMES)} attributes are missing: {', '.join(missing[:5])}")
            return [_tracklet(f"{path}: line {reader.line_num}", row, track_column, file_column, root) for row in reader]
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a readable csv file ({error})") from error


def _column(path: Path, columns: object, names: tuple[str, ...]) -> str:
    found = [name for name in names if isinstance(columns, list | tuple) and name in columns]
    if not found:
        raise RecordingError(f"{path}: line 1: no column {' or '.join(repr(name) for name in names)}")
    return found[0]


def _tracklet(place: str, row: dict[str, str], track_column: str, file_column: str, root: Path) -> Tracklet:
    values = []
    for name in NAMES:
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            raise RecordingError(f"{place}: column {name!r}: {row[name]!r} is no number") from None
        if not 0.0 <= value <= 1.0:
            raise RecordingError(f"{place}: column {name!r}: {value} is no probability")
        values.append(value)
    file = (root / (row[file_column] or "")).resolve()
    if not row[file_column] or not file.is_relative_to(root):
        raise RecordingError(f"{place}: column {file_column!r}: {row[file_column]!r} leaves the folder {root}")
    return Tracklet(str(row[track_column]), np.array(values, np.float32), file)
