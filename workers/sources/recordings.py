"""Real recordings as phones: each record of a tidy npz file publishes as one device session."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from workers.sources.phones import Phone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.data.recordings import Recording


class RecordedSamples:
    """The samples of a recording, in order."""

    def __init__(self, recording: Recording) -> None:
        self._recording, self._next = recording, 0

    def next_chunk(self, seconds: float) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """See `phones.Samples`."""
        a = self._next
        b = min(a + max(1, round(seconds * self._recording.rate_hz)), len(self._recording.acc_N3))
        self._next = b
        if a >= b:
            return None
        return np.ascontiguousarray(self._recording.acc_N3[a:b]), np.ascontiguousarray(self._recording.gyro_N3[a:b])


def phones_of(recordings: Sequence[Recording], *, start_ns: int | None = None, claim: str | None = None) -> list[Phone]:
    """One phone per recording, named SUBJECT-RECORDING, whose samples end now (so no time lies in the future at any speed).

    With `start_ns` all begin there instead: the same recordings with the same start give the same events, wherever they are pushed.
    """
    now_ns = time.time_ns()
    phones = []
    for recording in recordings:
        length_ns = round(len(recording.acc_N3) * 1e9 / recording.rate_hz)
        begin_ns = start_ns if start_ns is not None else now_ns - length_ns
        phones.append(
            Phone(
                device_id=f"{recording.subject}-{recording.name}",
                samples=RecordedSamples(recording),
                start_ns=begin_ns,
                rate_hz=recording.rate_hz,
                session=str(begin_ns),
                placement=recording.placement,
                claimed_subject=claim,
            )
        )
    return phones
