"""Walking windows of many recordings as one array, with who and which recording each is of; and pairs drawn from them.

Shape letters: N windows, T time (50 Hz), B batch; 6 are the device's axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import Recording
from models.inertial.steps import two_step_samples
from models.training.scoring import walking_windows
from models.types import Float32

Index = NDArray[np.int64]

LEAST_STRETCH = 192
"""Samples of walking from which the period of the stride can be told."""


Cut = Literal["fixed-128", "two-step-128"]
"""Fixed windows of 2.56 s every 1.28 s; or two steps of the leg that carries the device, stretched to 128 points, sharing one step."""


@dataclass(frozen=True)
class LabelledWindows:
    """x_NT6: raw samples.  person_N: index into `people`, (source, subject, placement).  record_N: number of the recording."""

    x_NT6: Float32
    person_N: Index
    record_N: Index
    people: list[tuple[str, str, str]]

    def __len__(self) -> int:
        return len(self.x_NT6)

    @classmethod
    def of(cls, recordings: Sequence[Recording], cut: Cut = "fixed-128") -> LabelledWindows:
        """The walking of recordings by the labels, in fixed windows or in two-step samples. Raises ValueError if there is none."""
        samples = walking_windows if cut == "fixed-128" else step_samples
        parts = [(recording, samples(recording)) for recording in recordings]
        parts = [part for part in parts if len(part[1])]
        if not parts:
            raise ValueError("no walking window in the recordings")
        keys = [(recording.source, recording.subject, recording.placement) for recording, _ in parts]
        people = sorted(set(keys))
        sizes = [len(windows) for _, windows in parts]
        return cls(
            x_NT6=np.concatenate([windows for _, windows in parts]),
            person_N=np.repeat([people.index(key) for key in keys], sizes).astype(np.int64),
            record_N=np.repeat(np.arange(len(parts)), sizes).astype(np.int64),
            people=people,
        )


def spread(windows_NT6: Float32, most: int | None) -> Float32:
    """At most `most` of the windows, spread evenly."""
    if most is None or len(windows_NT6) <= most:
        return windows_NT6
    return windows_NT6[np.linspace(0, len(windows_NT6) - 1, most).round().astype(int)]


def step_samples(recording: Recording) -> Float32:
    """(K, 128, 6) two-step samples of every stretch of walking of a recording."""
    samples, walk, _ = to_grid(recording)
    walking = np.concatenate([[False], trusted_labels(recording.source, walk) == 1, [False]])
    edges = np.flatnonzero(np.diff(walking.astype(np.int8)))
    parts = [two_step_samples(samples[first:stop])[0] for first, stop in edges.reshape(-1, 2) if stop - first >= LEAST_STRETCH]
    return np.concatenate(parts) if parts else np.zeros((0, 128, 6), np.float32)


class PairDraw:
    """Pairs of windows, half of them of one person (from different recordings where there are two), the rest of two people of one source and
    placement. Raises ValueError if no two people can be compared."""

    def __init__(self, windows: LabelledWindows) -> None:
        self.own = [np.flatnonzero(windows.person_N == person) for person in range(len(windows.people))]
        self.windows = windows
        groups: dict[tuple[str, str], list[int]] = {}
        for person, (source, _, placement) in enumerate(windows.people):
            groups.setdefault((source, placement), []).append(person)
        self.rivals = {person: [other for other in group if other != person] for group in groups.values() for person in group}
        self.comparable = [person for person, others in self.rivals.items() if others]
        if not self.comparable:
            raise ValueError("pairs need two people of one source and placement")

    def draw(self, count: int, rng: Generator) -> tuple[Index, Index, Index]:
        """Indexes of the first and the second windows (count,), and 1 where they are of one person, else 0."""
        same_B = np.arange(count) % 2
        first_B, second_B = np.empty(count, np.int64), np.empty(count, np.int64)
        for item, same in enumerate(same_B):
            person = int(rng.choice(self.comparable))
            first_B[item] = rng.choice(self.own[person])
            if same:
                mine = self.own[person]
                elsewhere = mine[self.windows.record_N[mine] != self.windows.record_N[first_B[item]]]
                second_B[item] = rng.choice(elsewhere if len(elsewhere) else mine)
            else:
                second_B[item] = rng.choice(self.own[int(rng.choice(self.rivals[person]))])
        return first_B, second_B, same_B.astype(np.int64)
