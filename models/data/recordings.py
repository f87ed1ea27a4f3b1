"""Recordings of inertial sensors: what a record is, whatever file it came from (models.data.loading reads them)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.types import Float32

WALK_LEVEL, WALK_NONE, WALK_OTHER_GAIT, WALK_UNLABELLED = 1, 0, 2, 255
"""Values of `walk`. Other gait (stairs, jogging, turns) is left out of every score."""

ACTIVITIES = {-1: "unlabelled", 0: "still", 1: "walk", 2: "upstairs", 3: "downstairs", 4: "stairs", 5: "run", 6: "turn", 7: "other motion"}
"""Names of the values of `act`."""

CONDITIONS = ("subject", "session", "trial", "placement", "name")
"""Keys that a condition may name."""


class RecordingError(ValueError):
    """A recording file, or a choice of people or conditions in it, is not usable; the text names the file and the field."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One person, one sensor, one stretch of time.

    acc_N3: (N, 3) float32, m/s² with gravity.  gyro_N3: (N, 3) float32, rad/s.
    walk_N: (N,) uint8 and act_N: (N,) int8, codes of the module.
    source: the file's stem; people and impostor pairs are never compared across sources.
    """

    acc_N3: Float32
    gyro_N3: Float32
    walk_N: NDArray[np.uint8]
    act_N: NDArray[np.int8]
    rate_hz: float
    subject: str
    session: str
    trial: str
    placement: str
    name: str
    source: str

    @property
    def samples_N6(self) -> Float32:
        """(N, 6) float32, channels as models.types.INERTIAL_CHANNELS."""
        return np.concatenate([self.acc_N3, self.gyro_N3], axis=1)

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return len(self.acc_N3) / self.rate_hz
