"""What the whuGAIT folders hold: samples with people, pairs with same or different, stretches with walking or not.

Shape letters: N samples, T time, 6 channels as models.types.INERTIAL_CHANNELS. Values are raw, m/s² with gravity and rad/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import Recording
from models.types import GRID_RATE_HZ, Float32, ShapeError

UNLABELLED_ACTIVITY = -1
"""The code of models.data.recordings.ACTIVITIES for stretches that say only whether somebody walks."""


@dataclass(frozen=True, slots=True)
class LabelledSamples:
    """Samples of walking, each with its person (data sets #1 to #4).

    x_NT6: (N, T, 6) float32.  label_N: (N,) int64, people counted from 1 as in the file.
    """

    x_NT6: Float32
    label_N: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_shape("LabelledSamples.x_NT6", self.x_NT6, self.x_NT6.shape[:2])
        _check_labels("LabelledSamples.label_N", self.label_N, (len(self.x_NT6),))


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Pairs of samples of walking that come from one person or from two (data sets #5 and #6).

    a_NT6, b_NT6: (N, T, 6) float32.  same_N: (N,) bool, True for one person.
    """

    a_NT6: Float32
    b_NT6: Float32
    same_N: NDArray[np.bool_]

    def __post_init__(self) -> None:
        _check_shape("LabelledPairs.a_NT6", self.a_NT6, self.a_NT6.shape[:2])
        _check_shape("LabelledPairs.b_NT6", self.b_NT6, self.a_NT6.shape[:2])
        _check_labels("LabelledPairs.same_N", self.same_N, (len(self.a_NT6),))


@dataclass(frozen=True, slots=True)
class LabelledStretches:
    """Stretches of daily life in which every time sample is walking or not (data sets #7 and #8).

    x_NT6: (N, T, 6) float32.  walk_NT: (N, T) uint8, 1 walking, 0 not.  number_N: (N,) int64, the number in the file's name, rising.
    """

    x_NT6: Float32
    walk_NT: NDArray[np.uint8]
    number_N: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_shape("LabelledStretches.x_NT6", self.x_NT6, self.x_NT6.shape[:2])
        _check_labels("LabelledStretches.walk_NT", self.walk_NT, self.x_NT6.shape[:2])
        _check_labels("LabelledStretches.number_N", self.number_N, (len(self.x_NT6),))

    def recordings(self, source: str) -> list[Recording]:
        """The same stretches as recordings at 50 Hz, for everything that trains or evaluates an extractor.

        The data sets do not say who walked: each stretch is a subject of its own, so these are of no use to identification.
        """
        return [
            Recording(
                acc_N3=x_T6[:, :3],
                gyro_N3=x_T6[:, 3:],
                walk_N=walk_T,
                act_N=np.full(len(walk_T), UNLABELLED_ACTIVITY, np.int8),
                rate_hz=GRID_RATE_HZ,
                subject=f"stretch{number}",
                session="1",
                trial=str(number),
                placement="unstated",
                name=str(number),
                source=source,
            )
            for x_T6, walk_T, number in zip(self.x_NT6, self.walk_NT, self.number_N.tolist(), strict=True)
        ]


def _check_shape(field: str, x_NT6: Float32, leading: tuple[int, ...]) -> None:
    if x_NT6.ndim != 3 or x_NT6.shape != (*leading, 6) or x_NT6.dtype != np.float32:
        raise ShapeError(f"{field} must be float32 ({', '.join(map(str, leading))}, 6), got {x_NT6.dtype} {x_NT6.shape}")


def _check_labels(field: str, labels: NDArray, shape: tuple[int, ...]) -> None:
    if labels.shape != shape:
        raise ShapeError(f"{field} must be {shape}, got {labels.shape}")
