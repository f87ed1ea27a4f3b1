"""whuGAIT data sets #5 and #6: pairs of samples of walking on 128 points, labelled one person or two.

One file per channel holds sample A and then sample B in each line, 256 numbers. Where a copy has two files per channel with 128 numbers in
each line, the first by name is A. Data set #6 holds the pairs of #5; horizontal or vertical is how a network joins them.
"""

from __future__ import annotations

from pathlib import Path

from models.data.formats.identification import SAMPLE_POINTS
from models.data.formats.samples import LabelledPairs
from models.data.formats.signals import check_label_count, find_signals, read_channels
from models.data.formats.text import read_labels

PAIR_LABELS = (1, 2)
"""The two labels of the files."""


def load_authentication(folder: str | Path, split: str | None = None, same_label: int = 1) -> LabelledPairs:
    """All pairs of a split, in file order, in either layout of models.data.formats.signals.

    split: "train" or "test" under the folder, None if the folder is the split itself.
    same_label: which label means one person. The publication does not say; others who used the files take 1.
    Raises RecordingError naming file and line; ValueError for a same_label that is not in PAIR_LABELS.
    """
    if same_label not in PAIR_LABELS:
        raise ValueError(f"same_label must be one of {PAIR_LABELS}, got {same_label}")
    files = find_signals(folder, split, files_per_channel=(1, 2))
    first = tuple(paths[0] for paths in files.channels)
    label_N = read_labels(files.labels, _pair_problem)
    if len(files.channels[0]) == 1:
        both = read_channels(first, 2 * SAMPLE_POINTS)
        a_NT6, b_NT6 = both[:, :SAMPLE_POINTS], both[:, SAMPLE_POINTS:]
    else:
        both = read_channels(first + tuple(paths[1] for paths in files.channels), SAMPLE_POINTS)
        a_NT6, b_NT6 = both[:, :, :6], both[:, :, 6:]
    check_label_count(files.labels, label_N, len(both), first[0])
    return LabelledPairs(a_NT6.copy(), b_NT6.copy(), label_N == same_label)


def _pair_problem(value: int) -> str | None:
    return None if value in PAIR_LABELS else f"label {value} is neither {PAIR_LABELS[0]} nor {PAIR_LABELS[1]}"
