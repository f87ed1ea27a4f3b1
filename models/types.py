"""Value types at the borders of `models`: built once, validated once, with shapes in the docstring and in the error text.

Shape letters: B batch, T time, C channel, D embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

GRID_RATE_HZ = 50.0
"""Rate of the inertial grid. Human gait carries little above 15 Hz, and every data set and published network here uses 50 Hz."""

GRID_STEP_NS = 20_000_000
"""One grid step in nanoseconds; grid index n lies at n * GRID_STEP_NS since the epoch."""

INERTIAL_CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
"""Channel order everywhere: acceleration with gravity in m/s², then angular rate in rad/s, Android axes."""


class ShapeError(ValueError):
    """An array does not have the shape that its type promises."""


@dataclass(frozen=True, slots=True)
class InertialWindow:
    """A piece of one device's motion on the grid.

    samples_T6: (T, 6) float32, channels as INERTIAL_CHANNELS, T >= 1, finite.
    start_ns: time of the first sample, a multiple of GRID_STEP_NS.
    """

    samples_T6: Float32
    start_ns: int

    def __post_init__(self) -> None:
        shape = self.samples_T6.shape
        if len(shape) != 2 or shape[1] != len(INERTIAL_CHANNELS) or shape[0] < 1:
            raise ShapeError(f"InertialWindow.samples_T6 must be (T >= 1, 6), got {shape}")
        if self.samples_T6.dtype != np.float32:
            raise ShapeError(f"InertialWindow.samples_T6 must be float32, got {self.samples_T6.dtype}")
        if not np.isfinite(self.samples_T6).all():
            raise ShapeError("InertialWindow.samples_T6 holds NaN or infinity")
        if self.start_ns % GRID_STEP_NS:
            raise ShapeError(f"InertialWindow.start_ns must lie on the {GRID_STEP_NS} ns grid, got {self.start_ns}")

    @property
    def end_ns(self) -> int:
        """Time of the first sample after the window."""
        return self.start_ns + len(self.samples_T6) * GRID_STEP_NS


@dataclass(frozen=True, slots=True)
class Embedding:
    """One gait sample as a point of an embedding space.

    vector_D: (D,) float32 of unit length.  space: network + weights hash + preprocessing.  quality: 0 (useless) to 1.
    """

    vector_D: Float32
    space: str
    quality: float

    def __post_init__(self) -> None:
        if self.vector_D.ndim != 1 or self.vector_D.dtype != np.float32:
            raise ShapeError(f"Embedding.vector_D must be (D,) float32, got {self.vector_D.shape} {self.vector_D.dtype}")
        if not abs(float(np.linalg.norm(self.vector_D)) - 1.0) < 1e-3:
            raise ShapeError("Embedding.vector_D must have unit length")
        if not 0.0 <= self.quality <= 1.0:
            raise ShapeError(f"Embedding.quality must be 0..1, got {self.quality}")
