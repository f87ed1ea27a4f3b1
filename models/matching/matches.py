"""What a match against the gallery returns. Shape letters: B probes, P people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOWEST_COSINE = -1.0


@dataclass(frozen=True, slots=True)
class Matches:
    """The most alike people of each probe, best first; every person counts with the best of his or her templates.

    subject_BP: (B, P) names. score_BP: (B, P) float64 cosines, falling; of equal scores the name that sorts first comes first.
    P is the smaller of what was asked for (at least 2, so that a margin is known) and `enrolled`.
    enrolled: people with at least one template that has not expired.  templates: such templates.
    """

    space: str
    subject_BP: NDArray[np.object_]
    score_BP: NDArray[np.float64]
    enrolled: int
    templates: int

    def __len__(self) -> int:
        return len(self.score_BP)

    @property
    def best(self) -> NDArray[np.float64]:
        """(B,) score of the most alike person; 0 where nobody is enrolled."""
        return self.score_BP[:, 0] if self.enrolled else np.zeros(len(self))

    @property
    def second(self) -> NDArray[np.float64]:
        """(B,) score of the next person; the lowest cosine, -1, where there is none."""
        return self.score_BP[:, 1] if self.score_BP.shape[1] > 1 else np.full(len(self), LOWEST_COSINE)

    @property
    def margin(self) -> NDArray[np.float64]:
        """(B,) how much more alike the best is than the next person; 0 where nobody is enrolled."""
        return self.best - self.second if self.enrolled else np.zeros(len(self))

    def candidates(self, row: int, top: int | None = None) -> list[tuple[str, float]]:
        """(name, score) of one probe's people, best first."""
        return list(zip(self.subject_BP[row, :top].tolist(), self.score_BP[row, :top].tolist(), strict=True))
