"""What the identity worker keeps of one stream: the evidence of its present bout.

Shape letters: K windows, D embedding.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.matching.evidence import EVIDENCE_WINDOWS
from workers.identity.claims import Maps, no_maps

if TYPE_CHECKING:
    from streams.messages.events import Decision
    from streams.messages.sample import Sample
    from workers.processor import Incoming

Evidence = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
"""Vectors (K, D), qualities (K,), start times (K,)."""


class Walk:
    """Evidence of one stream: the last windows of its present bout, oldest first, and whom the bout has been taken for.

    vectors_KD, quality_K, start_ns_K: the first `windows` rows of (EVIDENCE_WINDOWS, ...) arrays.
    """

    __slots__ = (
        "bout_id",
        "last_record_ns",
        "last_sensed_ns",
        "maps",
        "named",
        "offsets",
        "quality_K",
        "start_ns_K",
        "vectors_KD",
        "windows",
    )

    def __init__(self, dim: int) -> None:
        self.bout_id = ""
        self.named: str | None = None
        self.last_sensed_ns = 0  # when the broker received the raw samples behind the newest window
        self.last_record_ns = 0  # when it received that window
        self.windows = 0
        self.vectors_KD = np.zeros((EVIDENCE_WINDOWS, dim), np.float32)
        self.quality_K = np.zeros(EVIDENCE_WINDOWS, np.float32)
        self.start_ns_K = np.zeros(EVIDENCE_WINDOWS, np.int64)
        self.offsets: deque[int] = deque(maxlen=EVIDENCE_WINDOWS)
        self.maps: Maps = no_maps()  # where a pair network checks claims

    def add(self, incoming: Incoming, sample: Sample, vector_D: NDArray[np.float32], quality: float) -> None:
        """The bout's next window; another bout begins anew."""
        if sample.bout_id != self.bout_id:
            self.bout_id, self.named, self.windows = sample.bout_id, None, 0
            self.offsets.clear()
            self.maps.clear()
        if self.windows == EVIDENCE_WINDOWS:
            for array in (self.vectors_KD, self.quality_K, self.start_ns_K):
                array[:-1] = array[1:]
        else:
            self.windows += 1
        newest = self.windows - 1
        self.vectors_KD[newest], self.quality_K[newest], self.start_ns_K[newest] = vector_D, quality, sample.start_ns
        self.last_sensed_ns = max(self.last_sensed_ns, sample.received_ns)
        self.last_record_ns = max(self.last_record_ns, incoming.received_ns)
        self.offsets.append(incoming.record.offset)

    def evidence(self) -> Evidence:
        """Copies of vectors (K, D), qualities (K,) and start times (K,) up to now."""
        k = self.windows
        return self.vectors_KD[:k].copy(), self.quality_K[:k].copy(), self.start_ns_K[:k].copy()

    def contradicted_by(self, decision: Decision, subject: str | None) -> str | None:
        """Whom earlier events of the bout named, when this decision says otherwise; remembers the decision."""
        before = self.named
        if subject is not None:
            self.named = subject
        return before if decision != "undecided" and before is not None and before != subject else None
