"""A file or folder of a published data set as recordings, whichever of the formats it is in: what stands behind `--data` for anything but npz.

    FILE.txt, or a folder of SUBJECT_CONDITION.txt        earlier recordings of the laboratory
    a folder with train/ and test/, or record/            samples of people (#1 to #4); the session is the split
    a folder of N.txt and N_label.txt, or one folder of
    each inside (or inside its train/ and test/)          stretches of daily life (#7, #8)

Pairs (#5, #6) name no people, so they are no recordings: models.data.formats.authentication reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.data.formats.extraction import LABEL_SUFFIX, load_extraction
from models.data.formats.identification import SAMPLE_POINTS, load_identification
from models.data.formats.laboratory import load_laboratory
from models.data.formats.signals import SIGNAL_FOLDERS, find_signals
from models.data.formats.text import refuse
from models.data.recordings import Recording, RecordingError

SPLITS = ("train", "test")

LAYOUTS = "SUBJECT_CONDITION.txt files, channel files (record/, train/ and test/), or N.txt with N_label.txt"


def read_published(path: str | Path) -> list[Recording]:
    """The recordings of one file or folder. Raises RecordingError naming file and line, or the folder if it is in none of the formats."""
    path = Path(path)
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    if path.is_file():
        if path.suffix.lower() != ".txt":
            raise RecordingError(f"{path}: neither a tidy recording file (.npz) nor a text file of the published formats (.txt)")
        return load_laboratory(path)
    splits = [name for name in SPLITS if (path / name).is_dir()]
    if _has_signals(path):
        return _samples(path, None)
    if splits and all(_has_signals(path / name) for name in splits):
        return [recording for name in splits for recording in _samples(path, name)]
    if found := _stretches(path, session="1"):
        return found
    if found := [recording for name in splits for recording in _stretches(path / name, session=name)]:
        return found
    if any(path.glob("*.txt")):
        return load_laboratory(path)
    raise RecordingError(f"{path}: the folder is in none of the published formats ({LAYOUTS})")


def _has_signals(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in SIGNAL_FOLDERS)


def _samples(path: Path, split: str | None) -> list[Recording]:
    """Samples of people. Raises RecordingError for pairs, told by two files a channel or by twice the numbers in the first line."""
    files = find_signals(path, split, files_per_channel=(1, 2))
    first = files.channels[0][0]
    with first.open("rb") as file:
        numbers = len(file.readline().split())
    if len(files.channels[0]) == 2 or numbers == 2 * SAMPLE_POINTS:
        raise refuse(first, 1, "these are pairs of samples, which name no people; training and evaluation need data sets that do")
    return load_identification(path, split).recordings(path.name, split or "1")


def _stretches(folder: Path, session: str) -> list[Recording]:
    """Stretches with labels in this folder or in two folders inside it; empty if there are none."""
    holders = [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]
    labels = _holding([child for child in holders if any(child.glob(f"*{LABEL_SUFFIX}.txt"))], folder)
    if labels is None:
        return []
    numbered = [child for child in holders if any(file.stem.isdigit() for file in child.glob("*.txt"))]
    samples = _holding(numbered, folder)
    if samples is None:
        raise RecordingError(f"{folder}: has labels in {labels.name}/, but no folder of stretches (files NUMBER.txt)")
    return load_extraction(samples, labels).recordings(folder.name, session)


def _holding(folders: Sequence[Path], root: Path) -> Path | None:
    if len(folders) > 1:
        raise RecordingError(f"{root}: {', '.join(child.name for child in folders)} could all be meant; give one data set")
    return folders[0] if folders else None
