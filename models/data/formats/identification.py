"""whuGAIT data sets #1 to #4: samples of walking on 128 points, six channel files with one sample per line, one person per label line.

#1 and #2 hold two-step samples stretched to 128 points, so their time axis is not in seconds; #3 and #4 hold 2.56 s at 50 Hz.
"""

from __future__ import annotations

from pathlib import Path

from models.data.formats.samples import LabelledSamples
from models.data.formats.signals import check_label_count, find_signals, read_channels
from models.data.formats.text import read_labels

SAMPLE_POINTS = 128
"""Time points of a sample in every whuGAIT set but extraction."""


def load_identification(folder: str | Path, split: str | None = None) -> LabelledSamples:
    """All samples of a split, in file order, in either layout of models.data.formats.signals.

    split: "train" or "test" under the folder, None if the folder is the split itself.
    Raises RecordingError naming file and line.
    """
    files = find_signals(folder, split)
    paths = tuple(path for (path,) in files.channels)
    label_N = read_labels(files.labels, _person_problem)  # before the samples: a bad label is then told in no time
    x_NT6 = read_channels(paths, SAMPLE_POINTS)
    check_label_count(files.labels, label_N, len(x_NT6), paths[0])
    return LabelledSamples(x_NT6, label_N)


def _person_problem(value: int) -> str | None:
    return None if value >= 1 else f"label {value} is not a person: people are counted from 1"
