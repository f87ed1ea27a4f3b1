"""Direction of walking and gait cycle of one person, from joints in the picture on the camera's time grid.

Direction: four signs, each for one of the two axes of walking. Across the picture: the hips move; the nose lies before the ears. In depth: the body's
left is on the picture's right when it faces the camera; the body grows or shrinks. Their means are the sine and cosine of an azimuth.

Cycle: the ankles are farthest apart when both feet are on the ground, once a step; two steps are a stride (Perry & Burnfield 2010). The times of these
moments between the grid's are those of a parabola through three distances.

Shape letters: T moments of 80 ms, J 17 joints of COCO, K contacts; 3 is x, y in pixels (y down) and confidence, 0 where unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.types import CAMERA_RATE_HZ, Float32

Direction = Literal["towards", "right", "away", "left", "unclear"]
"""In the picture: towards the camera, to the picture's right, away from the camera, to the picture's left."""

NOSE, EARS, SHOULDERS, HIPS, ANKLES = 0, [3, 4], [5, 6], [11, 12], [15, 16]
USUAL_SPEED = 0.7
"""Heights per second at 1.2 m/s."""
NOSE_BEFORE_EARS = 0.05
"""Of the height, in a face seen from the side."""
BODY_WIDTH = 0.12
"""Of the height: mean distance of the left and right shoulder, and hip, as pose networks place them in a body seen from the front."""
USUAL_GROWTH_PER_S = 0.2
"""Of the height, towards a camera 6 m away."""
LEAST_STRENGTH = 0.3
"""Of a direction; 1 where all cues of an axis agree and are as large as in a usual walk."""
LEAST_MOMENTS = 8
LEAST_STEP_MOMENTS = 4
"""0.32 s: nobody steps faster than 3 Hz."""
LONGEST_STEP_MOMENTS = 12
LEAST_OPENING = 0.03
"""Of the height: how far the ankles open and close in a step; the pose network's noise is below .02.  Of twelve simulated walkers all reach it
from the front, the side and in between, six from behind."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Where somebody walks. azimuth_deg: 0 towards the camera, 90 to the picture's right, ±180 away, -90 to the left. strength: 0..1."""

    azimuth_deg: float
    strength: float

    @property
    def direction(self) -> Direction:
        """The nearest of four, or unclear."""
        if self.strength < LEAST_STRENGTH:
            return "unclear"
        quarters: tuple[Direction, ...] = ("towards", "right", "away", "left")
        return quarters[round(self.azimuth_deg / 90.0) % 4]


@dataclass(frozen=True, slots=True)
class GaitCycle:
    """Steps in a sequence. contacts_K: moments (float, in steps of the grid) at which the ankles were farthest apart. stride_s: 0 where unknown."""

    contacts_K: NDArray[np.float64]
    stride_s: float

    @property
    def step_rate_hz(self) -> float:
        """Steps per second, 0 where unknown."""
        return 2.0 / self.stride_s if self.stride_s else 0.0

    def phase_at(self, moment: float) -> float | None:
        """Part of the stride, 0..1, that is over at a moment, counted from the contact before it; None outside of two contacts.

        Which foot is in front is not told, so 0 and 0.5 may be exchanged between sequences.
        """
        before = int(np.searchsorted(self.contacts_K, moment, side="right")) - 1
        if not 0 <= before < len(self.contacts_K) - 1:
            return None
        begin, end = self.contacts_K[before : before + 2]
        if end - begin > LONGEST_STEP_MOMENTS:
            return None
        return float(0.5 * ((before % 2) + (moment - begin) / (end - begin)))


def heading(keypoints_TJ3: Float32) -> Heading:
    """Of the moments that are seen; strength 0 where these are fewer than LEAST_MOMENTS. Raises ValueError for another shape than (T, 17, 3)."""
    seen_T, height_px = _seen(keypoints_TJ3)
    if len(seen_T) < LEAST_MOMENTS:
        return Heading(0.0, 0.0)
    time_T = seen_T / CAMERA_RATE_HZ
    xy_TJ2 = keypoints_TJ3[seen_T, :, :2].astype(np.float64)
    known_J = keypoints_TJ3[seen_T, :, 2].mean(axis=0) > 0
    across = [_slope(time_T, xy_TJ2[:, HIPS, 0].mean(axis=1)) / height_px / USUAL_SPEED]
    if known_J[[NOSE, *EARS]].all():
        across.append(float(np.median(xy_TJ2[:, NOSE, 0] - xy_TJ2[:, EARS, 0].mean(axis=1))) / height_px / NOSE_BEFORE_EARS)
    width_px = np.mean([xy_TJ2[:, left, 0] - xy_TJ2[:, right, 0] for left, right in (SHOULDERS, HIPS)], axis=0)
    growth_per_s = _slope(time_T, np.log(np.maximum(_heights(xy_TJ2), 1.0)))
    in_depth = [float(np.median(width_px)) / height_px / BODY_WIDTH, growth_per_s / USUAL_GROWTH_PER_S]
    sine, cosine = (float(np.clip(cues, -1.0, 1.0).mean()) for cues in (across, in_depth))  # a runner is no more certain than a walker
    return Heading(float(np.degrees(np.arctan2(sine, cosine))), float(min(np.hypot(sine, cosine), 1.0)))


def gait_cycle(keypoints_TJ3: Float32) -> GaitCycle:
    """Contacts and stride of a sequence; none where the ankles show no steps. Raises ValueError for another shape than (T, 17, 3)."""
    seen_T, height_px = _seen(keypoints_TJ3)
    none = GaitCycle(np.zeros(0), 0.0)
    if len(seen_T) < LEAST_MOMENTS:
        return none
    ankles_T22 = keypoints_TJ3[:, ANKLES, :2].astype(np.float64)
    apart_T = np.linalg.norm(ankles_T22[:, 0] - ankles_T22[:, 1], axis=1) / height_px
    moments_T = np.arange(seen_T[0], seen_T[-1] + 1)
    apart_T = np.interp(moments_T, seen_T, apart_T[seen_T])
    contacts_K = moments_T[0] + _peaks(apart_T)
    steps = np.diff(contacts_K)
    steps = steps[steps <= LONGEST_STEP_MOMENTS]  # a longer one spans moments at which no step was seen
    return GaitCycle(contacts_K, float(2.0 * np.median(steps) / CAMERA_RATE_HZ)) if len(steps) else none


def _seen(keypoints_TJ3: Float32) -> tuple[NDArray[np.int64], float]:
    """Indices of the moments at which the person is seen, and the median height of the joints there in pixels."""
    if keypoints_TJ3.ndim != 3 or keypoints_TJ3.shape[1:] != (17, 3):
        raise ValueError(f"keypoints_TJ3 must be (T, 17, 3), got {keypoints_TJ3.shape}")
    seen_T = np.flatnonzero((keypoints_TJ3[..., 2] > 0).any(axis=1))
    height_px = float(np.median(_heights(keypoints_TJ3[seen_T, :, :2]))) if len(seen_T) else 1.0
    return seen_T, max(height_px, 1.0)


def _heights(xy_TJ2: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(xy_TJ2[..., 1].max(axis=1) - xy_TJ2[..., 1].min(axis=1))


def _slope(time_T: NDArray[np.float64], value_T: NDArray[np.floating]) -> float:
    return float(np.polyfit(time_T, value_T, 1)[0])


def _peaks(apart_T: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moments of the local maxima that stand out by LEAST_OPENING on both sides, at least LEAST_STEP_MOMENTS apart, refined by a parabola."""
    smooth_T = np.convolve(np.pad(apart_T, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    found: list[int] = []
    for t in range(1, len(smooth_T) - 1):
        if not smooth_T[t - 1] < smooth_T[t] >= smooth_T[t + 1]:
            continue
        if found and smooth_T[found[-1] : t].min() > min(smooth_T[t], smooth_T[found[-1]]) - LEAST_OPENING:
            if smooth_T[t] > smooth_T[found[-1]]:
                found[-1] = t  # one opening with two tops
            continue
        if found and t - found[-1] < LEAST_STEP_MOMENTS:
            continue
        if smooth_T[t] - smooth_T.min() >= LEAST_OPENING:
            found.append(t)
    return np.array([t + _top(*smooth_T[t - 1 : t + 2]) for t in found], np.float64)


def _top(left: float, middle: float, right: float) -> float:
    """Where a parabola through three neighbours has its top, relative to the middle one."""
    bend = left - 2.0 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0
