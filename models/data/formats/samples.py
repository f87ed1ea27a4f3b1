"""What the whuGAIT folders hold: samples with people, pairs with same or different, stretches with walking or not.

Shape letters: N samples, T time, 6 channels as models.types.INERTIAL_CHANNELS. Values are raw, m/s² with gravity and rad/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import WALK_LEVEL, Recording
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

    def recordings(self, source: str, session: str) -> list[Recording]:
        """The walks that the samples were cut from: neighbours in the file of one person, the second half of one being the first half of the
        next, are laid together again; a sample that continues none begins a recording.

        So a half that two samples share is in one recording, and no recording holds a jump. Walking is level by the data sets' description;
        for #1 and #2 the rate of 50 Hz is a name only, since every sample is stretched to 128 points.
        """
        half = self.x_NT6.shape[1] // 2
        continues_N = (self.label_N[1:] == self.label_N[:-1]) & (self.x_NT6[1:, :half] == self.x_NT6[:-1, half:]).all(axis=(1, 2))
        runs = np.split(np.arange(len(self.x_NT6)), np.flatnonzero(~continues_N) + 1)
        return [
            _recording(
                np.concatenate([self.x_NT6[run[0], :half], *self.x_NT6[run, half:]]),
                np.full(half * (len(run) + 1), WALK_LEVEL, np.uint8),
                subject=f"{self.label_N[run[0]]:03d}",
                session=session,
                trial=str(run[0] + 1),
                source=source,
            )
            for run in runs
            if len(run)
        ]


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

    def recordings(self, source: str, session: str = "1") -> list[Recording]:
        """The same stretches as recordings at 50 Hz, for everything that trains or evaluates an extractor.

        The data sets do not say who walked: each stretch is a subject of its own, so these are of no use to identification.
        """
        return [
            _recording(x_T6, walk_T, subject=f"stretch{number}", session=session, trial=str(number), source=source)
            for x_T6, walk_T, number in zip(self.x_NT6, self.walk_NT, self.number_N.tolist(), strict=True)
        ]


def _recording(x_T6: Float32, walk_T: NDArray[np.uint8], *, subject: str, session: str, trial: str, source: str) -> Recording:
    return Recording(
        acc_N3=x_T6[:, :3],
        gyro_N3=x_T6[:, 3:],
        walk_N=walk_T,
        act_N=np.full(len(walk_T), UNLABELLED_ACTIVITY, np.int8),
        rate_hz=GRID_RATE_HZ,
        subject=subject,
        session=session,
        trial=trial,
        placement="unstated",
        name=trial,
        source=source,
    )


def _check_shape(field: str, x_NT6: Float32, leading: tuple[int, ...]) -> None:
    if x_NT6.ndim != 3 or x_NT6.shape != (*leading, 6) or x_NT6.dtype != np.float32:
        raise ShapeError(f"{field} must be float32 ({', '.join(map(str, leading))}, 6), got {x_NT6.dtype} {x_NT6.shape}")


def _check_labels(field: str, labels: NDArray, shape: tuple[int, ...]) -> None:
    if labels.shape != shape:
        raise ShapeError(f"{field} must be {shape}, got {labels.shape}")
