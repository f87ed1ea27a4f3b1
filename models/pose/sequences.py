"""What was seen of one track, brought to the camera's time grid and cut into windows: the input of the skeleton and silhouette networks.

Moment n of the grid lies at n * 80 ms since the epoch. Joints there are interpolated linearly between the observations on either side, where
these are at most `LONGEST_GAP_NS` apart; the silhouette is that of the nearest observation. A window is decided as soon as an observation at
or after its last moment is known, so windows depend on what was observed and never on when anybody asked.

Shape letters: N observations, T 32 moments of a window, J 17 joints of COCO, L lags; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.pose.blazepose import Pose
from models.silhouette.alignment import aligned
from models.types import (
    CAMERA_HOP,
    CAMERA_RATE_HZ,
    CAMERA_STEP_NS,
    CAMERA_WINDOW,
    KEYPOINTS,
    SILHOUETTE_SHAPE,
    Float32,
    PoseSequence,
    SilhouetteSequence,
)

LONGEST_GAP_NS = 400_000_000
"""Less than half a step: what lies between is still given by both ends."""
NEAREST_NS = 120_000_000
LEAST_SEEN = 24
"""Of 32 moments: three quarters are more than one stride."""
HOP_NS = CAMERA_HOP * CAMERA_STEP_NS
WINDOW_NS = CAMERA_WINDOW * CAMERA_STEP_NS

HIPS, ANKLES = [11, 12], [15, 16]
BODY = slice(5, 17)
VISIBLE = 0.3
SMALL_PX, LARGE_PX = 40.0, 120.0
"""Heights at which a body is worth nothing, and as much as any larger one: the pose network's own crop is 256 pixels, and KTH's people, whom
it finds in almost every frame, are 60 to 110 tall."""

SHORTEST_STEP, LONGEST_STEP = 5, 11
"""Lags in moments: 0.4 to 0.88 s, steps of 1.1 to 2.5 Hz."""
WALKING_SPEED = 0.35
"""Body heights per second at which somebody certainly walks along: half a usual walk across the view."""
WALKING_SWING = 0.05
"""Standard deviation of the ankles' distance in heights: .08 to .15 across the view, below .02 for somebody who stands."""
WALKING_GROWTH = 0.1
"""Change of the height per second, as a share, of somebody who walks towards the camera from 8 m away."""


@dataclass(frozen=True, slots=True)
class CameraWindow:
    """One gait sample of a camera.

    box_4: (4,) pixels, of the last observation in the window.  quality: 0..1 from size, visible joints and seen moments.
    step_rate_hz: steps per second, 0 where the ankles show no rhythm.  walking: 0 (stands) to 1 (walks along).
    """

    poses: PoseSequence
    silhouettes: SilhouetteSequence
    box_4: Float32
    quality: float
    step_rate_hz: float
    walking: float

    @property
    def start_ns(self) -> int:
        """Time of the first moment."""
        return self.poses.start_ns


@dataclass(frozen=True, slots=True)
class _Observed:
    time_ns: int
    keypoints_J3: Float32
    silhouette_HW: NDArray[np.bool_]
    box_4: Float32
    score: float


class TrackSequence:
    """Observations of one track, in increasing time, as far as an open window needs them."""

    def __init__(self) -> None:
        self._observed: deque[_Observed] = deque()
        self._next_ns: int | None = None
        """Start of the first window that is not decided yet."""

    def add(self, time_ns: int, pose: Pose, box_4: Float32, score: float) -> None:
        """The person was seen.  Raises ValueError unless times increase."""
        if self._observed and time_ns <= self._observed[-1].time_ns:
            raise ValueError(f"observations of a track must come in increasing time, got {time_ns} after {self._observed[-1].time_ns}")
        if self._next_ns is None:
            earliest_ns = time_ns - (CAMERA_WINDOW - LEAST_SEEN) * CAMERA_STEP_NS
            self._next_ns = -(-earliest_ns // HOP_NS) * HOP_NS
        silhouette_HW = np.zeros(SILHOUETTE_SHAPE, bool) if pose.mask_HW is None else aligned(pose.mask_HW)
        self._observed.append(_Observed(time_ns, pose.keypoints_J3, silhouette_HW, np.asarray(box_4, np.float32), score))

    def needed_since_ns(self) -> int | None:
        """Time of the oldest observation that an open window needs; None where there is none."""
        return self._observed[0].time_ns if self._observed else None

    def windows(self) -> list[CameraWindow]:
        """Every window of the grid that was completed since the last call and is seen in at least 24 of its 32 moments, in order."""
        return self._decided(last=False)

    def finish(self) -> list[CameraWindow]:
        """The track has ended: windows whose last moments nobody will see any more, under the same condition."""
        return self._decided(last=True)

    def _decided(self, last: bool) -> list[CameraWindow]:
        found: list[CameraWindow] = []
        while self._observed and self._next_ns is not None:
            end_ns = self._next_ns + WINDOW_NS - CAMERA_STEP_NS
            newest_ns = self._observed[-1].time_ns
            least_end_ns = self._next_ns + (LEAST_SEEN - 1) * CAMERA_STEP_NS
            if newest_ns < (least_end_ns if last else end_ns):
                break
            if (window := _window(list(self._observed), self._next_ns)) is not None:
                found.append(window)
            self._next_ns += HOP_NS
            self._forget(self._next_ns)
        return found

    def _forget(self, start_ns: int) -> None:
        """Observations before the last one at or before the next window's first moment."""
        while len(self._observed) > 1 and self._observed[1].time_ns <= start_ns:
            self._observed.popleft()


def _window(observed: list[_Observed], start_ns: int) -> CameraWindow | None:
    at_ns_T = start_ns + CAMERA_STEP_NS * np.arange(CAMERA_WINDOW, dtype=np.int64)
    time_ns_N = np.array([o.time_ns for o in observed], np.int64)
    keypoints_TJ3, seen_T = on_grid(time_ns_N, np.stack([o.keypoints_J3 for o in observed]), at_ns_T)
    if int(seen_T.sum()) < LEAST_SEEN:
        return None
    nearest_T = np.abs(at_ns_T[:, None] - time_ns_N).argmin(axis=1)
    near_T = seen_T & (np.abs(time_ns_N[nearest_T] - at_ns_T) <= NEAREST_NS)
    masks_THW = np.zeros((CAMERA_WINDOW, *SILHOUETTE_SHAPE), bool)
    for t in np.flatnonzero(near_T):
        masks_THW[t] = observed[nearest_T[t]].silhouette_HW
    # To the last moment and not beyond: later observations may or may not be known when the window is decided.
    inside = [o for o in observed if start_ns <= o.time_ns <= at_ns_T[-1]]
    height_px = float(np.median([o.box_4[3] - o.box_4[1] for o in inside]))
    rate_hz, regularity = step_rate_hz(keypoints_TJ3, seen_T, height_px)
    return CameraWindow(
        PoseSequence(keypoints_TJ3, start_ns), SilhouetteSequence(masks_THW, start_ns), inside[-1].box_4,
        _quality(keypoints_TJ3, seen_T, height_px, float(np.mean([o.score for o in inside]))), rate_hz,
        _walking(keypoints_TJ3, seen_T, height_px, inside, regularity),
    )  # fmt: skip


def on_grid(time_ns_N: NDArray[np.int64], keypoints_NJ3: Float32, at_ns_T: NDArray[np.int64]) -> tuple[Float32, NDArray[np.bool_]]:
    """Joints (T, 17, 3) at given moments, zero where unseen, and (T,) which are seen.  Times of observations must increase."""
    after_T = np.searchsorted(time_ns_N, at_ns_T, side="left")
    exact_T = (after_T < len(time_ns_N)) & (time_ns_N[np.minimum(after_T, len(time_ns_N) - 1)] == at_ns_T)
    before_T = np.where(exact_T, after_T, after_T - 1)
    between_T = (before_T >= 0) & (after_T < len(time_ns_N))
    before_T, after_T = np.clip(before_T, 0, None), np.minimum(after_T, len(time_ns_N) - 1)
    gap_T = time_ns_N[after_T] - time_ns_N[before_T]
    seen_T = between_T & (gap_T <= LONGEST_GAP_NS)
    share_T11 = ((at_ns_T - time_ns_N[before_T]) / np.maximum(gap_T, 1)).astype(np.float32)[:, None, None]
    keypoints_TJ3 = (1 - share_T11) * keypoints_NJ3[before_T] + share_T11 * keypoints_NJ3[after_T]
    keypoints_TJ3[~seen_T] = 0.0
    return keypoints_TJ3.astype(np.float32).reshape(-1, KEYPOINTS, 3), seen_T


def step_rate_hz(keypoints_TJ3: Float32, seen_T: NDArray[np.bool_], height_px: float) -> tuple[float, float]:
    """Steps per second from the distance of the ankles, which opens once a step: (rate, 0 where there is no rhythm; regularity 0..1).

    The regularity is the autocorrelation of the distance at one step (Moe-Nilssen & Helbostad 2004, there for acceleration).
    """
    apart_T = _ankles_apart(keypoints_TJ3, height_px)
    steps_T = np.arange(len(apart_T))
    if seen_T.sum() < LEAST_SEEN:
        return 0.0, 0.0
    trend = np.polyfit(steps_T[seen_T], apart_T[seen_T], 1)
    swing_T = np.where(seen_T, apart_T - np.polyval(trend, steps_T), 0.0)
    power = float((swing_T**2).sum() / seen_T.sum())
    if np.sqrt(power) < 0.2 * WALKING_SWING:
        return 0.0, 0.0
    correlation = []
    for lag in range(SHORTEST_STEP - 1, LONGEST_STEP + 2):
        both_T = seen_T[lag:] & seen_T[:-lag]
        correlation.append(float((swing_T[lag:] * swing_T[:-lag]).sum() / max(both_T.sum(), 1) / power))
    inside = np.array(correlation[1:-1])
    peaks = [k for k in range(len(inside)) if correlation[k] <= inside[k] >= correlation[k + 2]]
    if not peaks or max(inside[p] for p in peaks) <= 0.0:
        return 0.0, 0.0
    # Two steps repeat as well as one: of peaks almost as high the shortest is the step.
    best = next(k for k in peaks if inside[k] >= 0.8 * max(inside[p] for p in peaks))
    left, peak, right = correlation[best : best + 3]
    shift = 0.5 * (left - right) / min(left - 2.0 * peak + right, -1e-9)
    regularity = float(np.clip(peak, 0.0, 1.0))
    rate = CAMERA_RATE_HZ / (SHORTEST_STEP + best + float(np.clip(shift, -0.5, 0.5)))
    return (rate if regularity >= 0.25 else 0.0), regularity


def _ankles_apart(keypoints_TJ3: Float32, height_px: float) -> NDArray[np.float64]:
    ankles_T22 = keypoints_TJ3[:, ANKLES, :2].astype(np.float64)
    return np.linalg.norm(ankles_T22[:, 0] - ankles_T22[:, 1], axis=1) / max(height_px, 1.0)


def _quality(keypoints_TJ3: Float32, seen_T: NDArray[np.bool_], height_px: float, score: float) -> float:
    """Product of size, visible share of the joints below the head, seen moments and the pose network's own score, each 0..1."""
    size = np.clip((height_px - SMALL_PX) / (LARGE_PX - SMALL_PX), 0.0, 1.0) * 0.9 + 0.1
    visible = float((keypoints_TJ3[seen_T][:, BODY, 2] > VISIBLE).mean())
    return float(np.clip(size * visible * seen_T.mean() * np.clip(score, 0.0, 1.0), 0.0, 1.0))


def _walking(keypoints_TJ3: Float32, seen_T: NDArray[np.bool_], height_px: float, inside: list[_Observed], regularity: float) -> float:
    """The strongest of three signs: moves across, comes nearer or goes away, steps rhythmically (a camera may follow a walker)."""
    hips_T2 = keypoints_TJ3[:, HIPS, :2].mean(axis=1)[seen_T]
    third = max(len(hips_T2) // 3, 1)
    between_s = float((np.flatnonzero(seen_T)[-third:].mean() - np.flatnonzero(seen_T)[:third].mean()) / CAMERA_RATE_HZ)
    across = float(np.linalg.norm(hips_T2[-third:].mean(axis=0) - hips_T2[:third].mean(axis=0))) / max(height_px, 1.0) / between_s
    heights = np.maximum([o.box_4[3] - o.box_4[1] for o in inside], 1.0)
    part = max(len(heights) // 3, 1)
    growth = abs(float(np.log(np.median(heights[-part:]) / np.median(heights[:part])))) / between_s
    swing = float(_ankles_apart(keypoints_TJ3, height_px)[seen_T].std())
    signs = (across / WALKING_SPEED, growth / WALKING_GROWTH, min(swing / WALKING_SWING, 1.0) * min(regularity / 0.4, 1.0))
    return float(np.clip(max(signs), 0.0, 1.0))
