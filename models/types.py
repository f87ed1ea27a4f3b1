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


CAMERA_RATE_HZ = 12.5
"""Rate of the camera grid: a stride of one second is twelve pictures, and surveillance cameras give no more."""

CAMERA_STEP_NS = 80_000_000
"""One step of the camera grid in nanoseconds, anchored at the epoch."""

CAMERA_WINDOW = 32
"""Grid steps of a camera's gait sample: 2.56 s, as long as an inertial one."""

CAMERA_HOP = 8
"""Grid steps between samples: a passage in front of a camera takes a few seconds, so windows overlap more than a phone's."""

KEYPOINTS = 17
"""COCO-17: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left before right."""

SILHOUETTE_SHAPE = (64, 44)
"""Height and width of an aligned silhouette, as in the published silhouette data sets."""


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
class PoseSequence:
    """Joints of one person on the camera grid.

    keypoints_TJ3: (T, 17, 3) float32, COCO-17: x, y in pixels of the picture (y downwards), confidence 0..1; a moment at which the person
    was not seen has confidence 0 throughout.  start_ns: time of the first, a multiple of CAMERA_STEP_NS.
    """

    keypoints_TJ3: Float32
    start_ns: int

    def __post_init__(self) -> None:
        shape = self.keypoints_TJ3.shape
        if len(shape) != 3 or shape[0] < 1 or shape[1:] != (KEYPOINTS, 3) or self.keypoints_TJ3.dtype != np.float32:
            raise ShapeError(f"PoseSequence.keypoints_TJ3 must be (T >= 1, 17, 3) float32, got {shape} {self.keypoints_TJ3.dtype}")
        if not np.isfinite(self.keypoints_TJ3).all():
            raise ShapeError("PoseSequence.keypoints_TJ3 holds NaN or infinity")
        _check_camera_grid("PoseSequence", self.start_ns)


@dataclass(frozen=True, slots=True)
class SilhouetteSequence:
    """Aligned silhouettes of one person on the camera grid.

    masks_THW: (T, 64, 44) bool: the person's height fills the rows, its centre of mass is in the middle column; all False where the person
    was not seen.  start_ns: time of the first, a multiple of CAMERA_STEP_NS.
    """

    masks_THW: NDArray[np.bool_]
    start_ns: int

    def __post_init__(self) -> None:
        shape = self.masks_THW.shape
        if len(shape) != 3 or shape[0] < 1 or shape[1:] != SILHOUETTE_SHAPE or self.masks_THW.dtype != np.bool_:
            raise ShapeError(f"SilhouetteSequence.masks_THW must be (T >= 1, 64, 44) bool, got {shape} {self.masks_THW.dtype}")
        _check_camera_grid("SilhouetteSequence", self.start_ns)


def _check_camera_grid(name: str, start_ns: int) -> None:
    if start_ns % CAMERA_STEP_NS:
        raise ShapeError(f"{name}.start_ns must lie on the {CAMERA_STEP_NS} ns grid, got {start_ns}")


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
