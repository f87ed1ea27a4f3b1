"""Recordings on the 50 Hz grid, and which of their labels to believe."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import Recording
from models.types import GRID_RATE_HZ, Float32

UNTRUSTED_ENDS_S = {"motionsense": (3.0, 2.0)}
"""Seconds at the beginning and end of every recording whose labels are not believed: MotionSense begins with the phone going into the
pocket and ends with it coming out, all of it labelled walking."""


def trusted_labels(source: str, walk_N: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The labels with the ends of recordings set to 255 (unlabelled) where the set is known to mislabel them."""
    begin, end = (int(seconds * GRID_RATE_HZ) for seconds in UNTRUSTED_ENDS_S.get(source, (0.0, 0.0)))
    trusted = walk_N.copy()
    trusted[:begin] = 255
    trusted[len(trusted) - min(end, len(trusted)) :] = 255
    return trusted


def to_grid(recording: Recording) -> tuple[Float32, NDArray[np.uint8], NDArray[np.int8]]:
    """Samples (N, 6), walk (N,) and act (N,) at 50 Hz: linear interpolation of samples, nearest label."""
    samples = recording.samples_N6
    if abs(recording.rate_hz - GRID_RATE_HZ) < 1e-6:
        return samples, recording.walk_N, recording.act_N
    count = int((len(samples) - 1) / recording.rate_hz * GRID_RATE_HZ) + 1
    position = np.arange(count) * (recording.rate_hz / GRID_RATE_HZ)
    nearest = np.minimum(np.round(position).astype(int), len(samples) - 1)
    known = np.arange(len(samples))
    resampled = np.stack([np.interp(position, known, samples[:, channel]) for channel in range(6)], axis=1)
    return resampled.astype(np.float32), recording.walk_N[nearest], recording.act_N[nearest]
