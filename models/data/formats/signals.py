"""Where the whuGAIT folders keep the six channels and the labels, in the two layouts that are about.

    record layout        FOLDER/record/{..acc_x, .., ..gyr_z}.txt               FOLDER/label.txt (or FOLDER/record/label.txt)
    distributed layout   FOLDER/{train,test}/Inertial Signals/{..acc_x, ..}.txt  FOLDER/{train,test}/y_{train,test}.txt
                         (copies of the pair sets call the folder "data")

Channels are told by the name (`acc_x` ... `gyr_z` anywhere in it, in any case); files of one channel count in case-insensitive order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.formats.text import read_table, refuse
from models.data.recordings import RecordingError
from models.types import INERTIAL_CHANNELS, Float32

SIGNAL_FOLDERS = ("record", "Inertial Signals", "data")
"""Names of the folder of the channel files, in the order in which they are tried."""

_CHANNEL = re.compile(r"(acc|gyr)o?_([xyz])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SignalFiles:
    """The files of one split. channels: for each of INERTIAL_CHANNELS its files, one, or two where pairs are kept in separate files."""

    channels: tuple[tuple[Path, ...], ...]
    labels: Path


def find_signals(folder: str | Path, split: str | None = None, files_per_channel: tuple[int, ...] = (1,)) -> SignalFiles:
    """The channel and label files of a folder.

    split: sub-folder of the folder ("train", "test"), None if the folder is the split itself.
    files_per_channel: the numbers of files that a channel may have; every channel must have as many as the others.
    Raises RecordingError naming the folder or file that is missing, doubled or not a channel.
    """
    root = Path(folder) / split if split else Path(folder)
    if not root.is_dir():
        raise RecordingError(f"{root}: no such folder")
    signals = next((root / name for name in SIGNAL_FOLDERS if (root / name).is_dir()), None)
    if signals is None:
        raise RecordingError(f"{root}: has no folder of channel files (one of {', '.join(map(repr, SIGNAL_FOLDERS))})")
    labels = _find_labels(root, signals)
    found: dict[str, list[Path]] = {channel: [] for channel in INERTIAL_CHANNELS}
    for path in sorted(signals.glob("*.txt"), key=lambda path: (path.name.lower(), path.name)):
        if path == labels:
            continue
        match = _CHANNEL.search(path.stem)
        if match is None:
            raise RecordingError(f"{path}: the name holds none of {', '.join(INERTIAL_CHANNELS)}")
        found["_".join(match.groups()).lower()].append(path)
    wanted = len(found[INERTIAL_CHANNELS[0]])
    for channel, paths in found.items():
        if len(paths) not in files_per_channel or len(paths) != wanted:
            allowed = " or ".join(map(str, files_per_channel))
            raise RecordingError(f"{signals}: channel {channel} has {len(paths)} files, every channel must have {allowed}")
    return SignalFiles(tuple(tuple(paths) for paths in found.values()), labels)


def read_channels(paths: tuple[Path, ...], columns: int) -> Float32:
    """(N, columns, C) of C files with one sample per line. Raises RecordingError naming file and line, also where a file ends early."""
    tables = [read_table(path, columns) for path in paths]
    longest = max(range(len(tables)), key=lambda index: len(tables[index]))
    for path, table in zip(paths, tables, strict=True):
        if len(table) != len(tables[longest]):
            raise refuse(path, len(table) + 1, f"the file ends here, but {paths[longest].name} has {len(tables[longest])} lines")
    return np.stack(tables, axis=2)


def check_label_count(labels: Path, label_N: NDArray[np.int64], samples: int, signals: Path) -> None:
    """Raises RecordingError naming the line of the first missing or superfluous label.  signals: a file of the samples."""
    if len(label_N) < samples:
        raise refuse(labels, len(label_N) + 1, f"the label is missing: {len(label_N)} labels for the {samples} lines of {signals.name}")
    if len(label_N) > samples:
        raise refuse(labels, samples + 1, f"a label without a sample: {len(label_N)} labels for the {samples} lines of {signals.name}")


def _find_labels(root: Path, signals: Path) -> Path:
    candidates = [root / "label.txt", signals / "label.txt", root / f"y_{root.name}.txt"]
    for path in candidates:
        if path.is_file():
            return path
    raise RecordingError(f"{root}: has no labels (one of {', '.join(str(path.relative_to(root)) for path in candidates)})")
