"""What a training run was asked for, and how its people are divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.data.recordings import Recording, RecordingError, load_recordings


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Options of one run; the checkpoint and the model card carry them.

    people: choice of people for every file ("1-12"), or per file stem ("motionsense=1-12;geotec_spsw=1-11"); None for all.
    epochs: most epochs; the run stops earlier when held-out people gain nothing for `patience` epochs.
    steps, batch: steps per epoch and items per step.  simulated: number of simulated walkers that join.
    folds: people-disjoint folds of cross-fitted calibration (embedding networks; 0 calibrates on the validation people alone).
    """

    name: str
    data_files: tuple[str, ...]
    people: str | None = None
    device: str = "cpu"
    seed: int = 0
    epochs: int = 20
    steps: int = 100
    batch: int = 192
    learning_rate: float = 3e-3
    patience: int = 6
    simulated: int = 0
    folds: int = 0

    def to_card(self) -> dict[str, Any]:
        """Plain JSON types; files by name only, since paths mean nothing elsewhere."""
        return {**asdict(self), "data_files": [Path(file).name for file in self.data_files]}


def load_people(options: TrainOptions) -> list[Recording]:
    """The chosen recordings of all files. Raises RecordingError naming file and field."""
    return [recording for file in options.data_files for recording in load_recordings(file, people=people_of(options.people, file))]


def people_of(choice: str | None, file: str) -> str | None:
    """The part of a choice of people that is meant for this file. Raises RecordingError if files are named and this one is not."""
    if choice is None or "=" not in choice:
        return choice
    stem = Path(file).stem
    for clause in choice.split(";"):
        name, _, people = clause.partition("=")
        if name.strip() == stem:
            return people.strip()
    raise RecordingError(f"{file}: the choice of people {choice!r} does not name {stem}")


def split_people(recordings: Sequence[Recording], fold: int | None = None, folds: int = 6) -> tuple[list[Recording], list[Recording]]:
    """(training, held out): of every source's sorted people, one part of `folds` is held out, the last one unless `fold` says which."""
    held_out: set[tuple[str, str]] = set()
    for source in {recording.source for recording in recordings}:
        people = sorted({recording.subject for recording in recordings if recording.source == source})
        part = folds - 1 if fold is None else fold
        held_out.update((source, person) for i, person in enumerate(people) if i * folds // len(people) == part)
    inside = [recording for recording in recordings if (recording.source, recording.subject) in held_out]
    return [recording for recording in recordings if (recording.source, recording.subject) not in held_out], inside
