"""What a training run was asked for, and how its people are divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.data.gravity import completed
from models.data.loading import load_recordings
from models.data.recordings import Recording, RecordingError


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Options of one run; the checkpoint and the model card carry them.

    people: choice of people for every file ("1-12"), or per file stem ("motionsense=1-12;geotec_spsw=1-11"); None for all.
    epochs: most epochs; the run stops earlier when held-out people gain nothing for `patience` epochs.
    steps, batch: steps per epoch (0: a pass over all samples) and items per step.  simulated: number of simulated walkers that join.
    test_people: people (as `people`) for the final figures of the model card; they must not be among `people`.
    folds: people-disjoint folds of cross-fitted calibration (embedding networks; 0 calibrates on the validation people alone).
    where: conditions that a record must meet to be used ("trial=7,8"), as models.data.loading writes them.
    small: the recipe that fits two processor cores in minutes.  legacy: published networks keep the checkpoint that is best on random
    samples of the training people, as published, and their published defects.
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
    test_people: str | None = None
    where: str | None = None
    small: bool = False
    legacy: bool = False

    def with_steps(self, steps: int) -> TrainOptions:
        """The options with this number of steps per epoch, where none was asked for."""
        return self if self.steps else replace(self, steps=steps)

    @property
    def resume_key(self) -> str:
        """What decides the steps of a run: a checkpoint is resumed under the same key only."""
        return repr(replace(self, folds=0, test_people=None))

    def to_card(self) -> dict[str, Any]:
        """Plain JSON types; files by name only, since paths mean nothing elsewhere."""
        return {**asdict(self), "data_files": [Path(file).name for file in self.data_files]}


def load_people(options: TrainOptions) -> list[Recording]:
    """The chosen recordings of all files, gravity put back where a set left it out (models.data.gravity). Raises RecordingError naming file and field, or the people meant for both training and test."""
    recordings = []
    for file in options.data_files:
        chosen = load_recordings(file, people=people_of(options.people, file), where=options.where)
        if options.test_people is not None:
            tested = {recording.subject for recording in load_recordings(file, people=people_of(options.test_people, file))}
            both = sorted(tested & {recording.subject for recording in chosen})
            if both:
                raise RecordingError(f"{file}: {', '.join(both)} cannot both train and test the network")
        recordings += chosen
    return completed(recordings)


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
    """(training, held out), by people, every source on its own.

    Without `fold` the last sixth of the sorted people is held out, but two (impostor pairs need two) of four or more; with it, part `fold`
    of `folds` equal parts.
    """
    held_out: set[tuple[str, str]] = set()
    for source in {recording.source for recording in recordings}:
        people = sorted({recording.subject for recording in recordings if recording.source == source})
        if fold is None:
            count = max(2, len(people) // folds) if len(people) >= 4 else 0
            chosen = people[len(people) - count :]
        else:
            chosen = [person for i, person in enumerate(people) if i * folds // len(people) == fold]
        held_out.update((source, person) for person in chosen)
    inside = [recording for recording in recordings if (recording.source, recording.subject) in held_out]
    return [recording for recording in recordings if (recording.source, recording.subject) not in held_out], inside
