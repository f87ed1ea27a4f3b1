"""Recordings of inertial sensors, in the project's tidy npz format or in a published one, chosen by people and by conditions.

The tidy format (one file, many records end to end): `acc` (N, 3) and `gyro` (N, 3) float in m/s² with gravity and rad/s; `walk` (N,)
{1 level walking, 0 not gait, 2 other gait, 255 unlabelled}; `act` (N,) activity codes; `off` (R + 1,) record borders; one entry per record
in `subject`, `session`, `trial`, `placement`, `name`; `fs` in Hz. Files are read without pickle, so a file cannot run code.

People are chosen by position in the sorted list of the file's subjects, counted from 1 ("1-6", "1,3,5-7"), or by name ("ms01,ms03",
"ms01-ms06").
Conditions are written "trial=7", "trial=8,15" or several joined by ";" ("trial=1-3;placement=wrist"); 7 and 07 are the same trial.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.formats.detect import read_published
from models.data.recordings import CONDITIONS, Recording, RecordingError


def load_recordings(path: str | Path, people: str | None = None, where: str | None = None) -> list[Recording]:
    """Reads the chosen records of one file, in file order; a folder or text file is read as one of the published formats
    (models.data.formats.detect).

    people: choice of people, None for all.  where: conditions, None for all (both as the module describes).
    Raises RecordingError naming file and field (text: file and line) if the file is not in the format or a choice names something that is
    not in it.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz" and (path.is_dir() or path.suffix.lower() == ".txt"):
        recordings = read_published(path)
        keys = {key: np.array([getattr(recording, key) for recording in recordings]) for key in CONDITIONS}
        return [recordings[int(index)] for index in np.flatnonzero(_choose(keys, people, where, path))]
    fields = _read_fields(path)
    offsets = fields["off"].astype(np.int64)
    keys = {key: fields[key].astype(str) for key in CONDITIONS}
    return [_record(fields, offsets, int(index), path.stem) for index in np.flatnonzero(_choose(keys, people, where, path))]


def _choose(keys: Mapping[str, NDArray[np.str_]], people: str | None, where: str | None, path: Path) -> NDArray[np.bool_]:
    """Which records a choice means. keys: for each of CONDITIONS one entry per record."""
    subjects = keys["subject"]
    chosen = np.ones(len(subjects), dtype=bool)
    if people is not None:
        chosen &= np.isin(subjects, choose_people(sorted(set(subjects.tolist())), people, str(path)))
    for key, values in parse_where(where):
        column = keys[key].tolist()
        matches = np.array([any(_same(entry, value) for value in values) for entry in column], dtype=bool)
        if not matches.any():
            raise RecordingError(f"{path}: no record has {key} = {', '.join(values)}; there are {', '.join(sorted(set(column)))}")
        chosen &= matches
    return chosen


def choose_people(subjects: Sequence[str], choice: str, file: str = "") -> list[str]:
    """Names of the chosen people, sorted. subjects: the sorted names of the file. Raises RecordingError for a choice outside them."""
    named: set[str] = set()
    for token in _tokens(choice):
        low, dash, high = token.partition("-")
        if token in subjects:
            named.add(token)
        elif dash and low in subjects and high in subjects:
            named.update(subjects[subjects.index(low) : subjects.index(high) + 1])
        elif low.isdigit() and (high.isdigit() if dash else True):
            first, last = int(low), int(high if dash else low)
            if not 1 <= first <= last <= len(subjects):
                raise RecordingError(f"{file}: people {token!r} is outside 1-{len(subjects)}")
            named.update(subjects[first - 1 : last])
        else:
            raise RecordingError(f"{file}: people {token!r} is neither a position 1-{len(subjects)} nor one of {', '.join(subjects)}")
    if not named:
        raise RecordingError(f"{file}: the choice of people {choice!r} is empty")
    return sorted(named)


def parse_where(where: str | None) -> list[tuple[str, list[str]]]:
    """[(key, values)] of a condition text. Raises RecordingError if it is ill-formed."""
    conditions = []
    for clause in (where or "").split(";"):
        if not clause.strip():
            continue
        key, equals, values = (part.strip() for part in clause.partition("="))
        if not equals or key not in CONDITIONS:
            raise RecordingError(f"condition {clause.strip()!r} must read KEY=VALUE[,VALUE...] with KEY one of {', '.join(CONDITIONS)}")
        expanded = [value for token in _tokens(values) for value in _range(token)]
        if not expanded:
            raise RecordingError(f"condition {clause.strip()!r} names no value")
        conditions.append((key, expanded))
    return conditions


def _read_fields(path: Path) -> dict[str, NDArray]:
    """All fields of the file, shapes and dtypes checked."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            fields = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except (ValueError, OSError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise RecordingError(f"{path}: not a readable npz file ({error})") from error
    for name in ("acc", "gyro", "walk", "act", "off", "fs", "subject", "session", "trial", "placement", "name"):
        if name not in fields:
            raise RecordingError(f"{path}: field {name!r} is missing; this is not a tidy inertial recording file")
    count = len(fields["acc"]) if fields["acc"].ndim else 0
    for name in ("acc", "gyro"):
        if fields[name].shape != (count, 3) or not np.issubdtype(fields[name].dtype, np.floating):
            raise RecordingError(f"{path}: field {name!r} must be float ({count}, 3), got {fields[name].dtype} {fields[name].shape}")
        if not np.isfinite(fields[name]).all():
            raise RecordingError(f"{path}: field {name!r} holds NaN or infinity")
    for name in ("walk", "act"):
        if fields[name].shape != (count,) or not np.issubdtype(fields[name].dtype, np.integer):
            raise RecordingError(f"{path}: field {name!r} must be integer ({count},), got {fields[name].dtype} {fields[name].shape}")
    offsets = fields["off"]
    if (
        offsets.ndim != 1
        or len(offsets) < 2
        or not np.issubdtype(offsets.dtype, np.integer)
        or offsets[0] != 0
        or offsets[-1] != count
        or (np.diff(offsets) <= 0).any()
    ):
        raise RecordingError(f"{path}: field 'off' must be rising integers from 0 to {count}, one more than there are records")
    for name in CONDITIONS:
        if fields[name].shape != (len(offsets) - 1,):
            raise RecordingError(f"{path}: field {name!r} must have one entry per record ({len(offsets) - 1}), got {fields[name].shape}")
    if fields["fs"].shape != () or not 1.0 <= float(fields["fs"]) <= 1000.0:
        raise RecordingError(f"{path}: field 'fs' must be one rate in Hz between 1 and 1000")
    return fields


def _record(fields: dict[str, NDArray], offsets: NDArray[np.int64], index: int, source: str) -> Recording:
    part = slice(int(offsets[index]), int(offsets[index + 1]))
    return Recording(
        acc_N3=fields["acc"][part].astype(np.float32),
        gyro_N3=fields["gyro"][part].astype(np.float32),
        walk_N=fields["walk"][part].astype(np.uint8),
        act_N=fields["act"][part].astype(np.int8),
        rate_hz=float(fields["fs"]),
        source=source,
        **{name: str(fields[name][index]) for name in CONDITIONS},
    )


def _tokens(text: str) -> Iterable[str]:
    return [token.strip() for token in text.split(",") if token.strip()]


def _range(token: str) -> list[str]:
    """ "1-3" -> 1, 2, 3; anything else is itself."""
    low, dash, high = token.partition("-")
    if dash and low.isdigit() and high.isdigit() and int(low) <= int(high):
        return [str(value) for value in range(int(low), int(high) + 1)]
    return [token]


def _same(entry: str, value: str) -> bool:
    """Equal as text, or as whole numbers (session 01 is session 1)."""
    return entry == value or (entry.isdigit() and value.isdigit() and int(entry) == int(value))
