"""whuGAIT data sets #7 and #8: stretches of daily life, 20.48 s at 50 Hz, with walking or not for every time sample.

SAMPLES/N.txt          1,024 lines of six numbers, channels as models.types.INERTIAL_CHANNELS
LABELS/N_label.txt     1,024 values, 1 walking, 0 not
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data.formats.samples import LabelledStretches
from models.data.formats.text import read_label_sequence, read_table
from models.data.recordings import RecordingError

STRETCH_POINTS = 1024
"""Time points of a stretch: 20.48 s at 50 Hz."""

LABEL_SUFFIX = "_label"


def load_extraction(samples: str | Path, labels: str | Path) -> LabelledStretches:
    """All stretches of the two folders (they may be one), ordered by number.

    Raises RecordingError naming file and line, a stretch without labels, labels without a stretch, and files with other names.
    """
    samples, labels = Path(samples), Path(labels)
    stretch_files = _numbered(samples, "", shared=samples == labels)
    label_files = _numbered(labels, LABEL_SUFFIX, shared=samples == labels)
    if not stretch_files:
        raise RecordingError(f"{samples}: holds no stretches (files NUMBER.txt)")
    for number, path in stretch_files.items():
        if number not in label_files:
            raise RecordingError(f"{path}: has no labels, {labels / f'{number}{LABEL_SUFFIX}.txt'} is missing")
    for number, path in label_files.items():
        if number not in stretch_files:
            raise RecordingError(f"{path}: has no stretch, {samples / f'{number}.txt'} is missing")
    numbers = sorted(stretch_files)
    walk = [read_label_sequence(label_files[number], _walk_problem, STRETCH_POINTS) for number in numbers]
    x = [read_table(stretch_files[number], 6, rows=STRETCH_POINTS) for number in numbers]
    return LabelledStretches(np.stack(x), np.stack(walk).astype(np.uint8), np.array(numbers, np.int64))


def _numbered(folder: Path, suffix: str, shared: bool) -> dict[int, Path]:
    """{number: file} of the files NUMBER + suffix + .txt.  shared: whether the folder also holds the files of the other kind."""
    if not folder.is_dir():
        raise RecordingError(f"{folder}: no such folder")
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*.txt")):
        is_label = path.stem.endswith(LABEL_SUFFIX)
        if shared and is_label != bool(suffix):
            continue
        digits = path.stem.removesuffix(suffix)
        if is_label != bool(suffix) or not (digits.isascii() and digits.isdigit()):
            raise RecordingError(f"{path}: must be named NUMBER{suffix}.txt")
        number = int(digits)
        if number in found:
            raise RecordingError(f"{path}: has the same number as {found[number].name}")
        found[number] = path
    return found


def _walk_problem(value: int) -> str | None:
    return None if value in (0, 1) else f"label {value} is neither 0 (not walking) nor 1 (walking)"
