"""Walking windows of many recordings as one array, with who and which recording each is of; and pairs drawn from them.

Shape letters: N windows, T time (50 Hz), B batch; 6 are the device's axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.data.recordings import Recording
from models.training.scoring import walking_windows
from models.types import Float32

Index = NDArray[np.int64]


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
    def of(cls, recordings: Sequence[Recording], most_per_record: int | None = None) -> LabelledWindows:
        """The walking windows by the labels, at most so many of each recording, spread evenly. Raises ValueError if there are none."""
        parts = [(recording, spread(walking_windows(recording), most_per_record)) for recording in recordings]
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
