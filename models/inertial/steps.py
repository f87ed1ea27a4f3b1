"""Steps of the leg that carries the device (strides, about 51 samples at 50 Hz), and gait samples of two steps stretched to 128 points.

The published text of the method is not available; this is a reconstruction from what its data show: cuts run from peak to peak of the
magnitude of acceleration, one step is a whole gait cycle, a sample is two steps and shares one with the next.

Every decision looks at nearby samples only, and on the absolute grid, so that a live stream and a recording are cut alike wherever they
begin: a mark at grid index n depends on samples n - CONTEXT to n + LOOKAHEAD.

1. The period of the stride comes from blocks on the grid (models.inertial.cadence), interpolated between their centres.
2. Magnitude of acceleration, smoothed, averaged over five strides with triangular weights: the foot of the other side strikes half a stride
   off, and which of both is the harder blow is then decided over five strides and not by one.
3. A mark is the largest value within 0.65 stride on either side, clear of the local mean, moved to the nearest peak of the magnitude.
4. A step lies between two successive marks whose distance fits the period.

Shape letters: T time (50 Hz), K two-step samples, B blocks, M marks; 6 are the device's axes.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.inertial.cadence import LONGEST_STRIDE, step_rate_hz
from models.types import GRID_RATE_HZ, Float32, ShapeError

Int64 = NDArray[np.int64]

SAMPLE_POINTS = 128
"""Points of a two-step sample after stretching."""

SHORTEST_STEP, LONGEST_STEP = 35, LONGEST_STRIDE
"""Samples between two marks, 0.7 to 1.52 s."""

PERIOD_TOLERANCE = 0.2
"""Largest deviation of one step from the local period, as a part of it. Steps of one walk vary by some 3 %; a missed or an extra peak
gives at least 0.35."""

SMOOTHING = 5
"""Samples of the moving average, 0.1 s: sharper than a heel strike, duller than sensor noise."""

REACH = 0.65
"""A mark is the largest value within this part of a stride on either side: beyond the other foot at 0.5, short of the next mark at 1."""

CLEARANCE = 0.5
"""Local standard deviations by which a mark must exceed the local mean; measured marks have 1.5 to 2.7."""

PERIOD_BLOCK, PERIOD_WINDOW = 64, 192
"""A period is measured every 1.28 s from 3.84 s, three to four strides."""

STRIDE_WEIGHTS = ((-2, 1 / 3), (-1, 2 / 3), (0, 1.0), (1, 2 / 3), (2, 1 / 3))
"""Strides away and their weight in the average of step 2. Three strides instead of five lose 3 % of MotionSense's steps to a change of
side, and save nothing: the period looks as far."""

_NUDGE = 4
"""Samples within which a mark moves to the peak of the magnitude itself."""

LOOKAHEAD = math.ceil((2.0 + REACH) * LONGEST_STRIDE) + _NUDGE + SMOOTHING
"""Samples after a mark that decide about it, at most 4.3 s; the period's blocks need about as much (160 samples and REACH)."""

CONTEXT = LOOKAHEAD
"""Samples before a mark that decide about it."""


def two_step_samples(samples_T6: Float32, first_index: int = 0, *, overlap: bool = True) -> tuple[Float32, Int64]:
    """Cuts one gap-free stretch of walking into two-step samples.

    samples_T6: (T, 6) float32 on the 50 Hz grid, the first at grid index `first_index`.  overlap: successive samples share one step, as in
    the published 118-subject set; False shares none, as in the 20-subject set.
    Returns (K, 128, 6) float32 and (K,) int64 grid indexes of their first samples. Raises ShapeError for another shape.
    """
    bounds_K2 = two_step_bounds(samples_T6, first_index, overlap=overlap)
    samples = [stretch(samples_T6[start - first_index : stop - first_index + 1]) for start, stop in bounds_K2.tolist()]
    return np.array(samples, np.float32).reshape(-1, SAMPLE_POINTS, 6), bounds_K2[:, 0]


def two_step_bounds(samples_T6: Float32, first_index: int = 0, *, overlap: bool = True) -> Int64:
    """(K, 2) grid indexes of the first and last sample of every two-step sample. Arguments and errors as `two_step_samples`."""
    bounds = []
    free_from = first_index
    for (start, middle), (then, stop) in pairwise(step_bounds(samples_T6, first_index).tolist()):
        if middle == then and (overlap or start >= free_from):
            bounds.append((start, stop))
            free_from = stop
    return np.array(bounds, np.int64).reshape(-1, 2)


def step_bounds(samples_T6: Float32, first_index: int = 0) -> Int64:
    """(steps, 2) grid indexes of the marks at either end of every step, in order. Arguments and errors as `two_step_samples`."""
    if samples_T6.ndim != 2 or samples_T6.shape[1] != 6:
        raise ShapeError(f"samples_T6 must be (T, 6), got {samples_T6.shape}")
    period_T = stride_period(samples_T6, first_index)
    if np.isnan(period_T).all():
        return np.zeros((0, 2), np.int64)
    marks_M = _marks(np.linalg.norm(samples_T6[:, :3].astype(np.float64), axis=1), period_T)
    if len(marks_M) < 2:
        return np.zeros((0, 2), np.int64)
    length = np.diff(marks_M)
    expected = (period_T[marks_M[:-1]] + period_T[marks_M[1:]]) / 2.0
    fits = (length >= SHORTEST_STEP) & (length <= LONGEST_STEP) & (np.abs(length - expected) <= PERIOD_TOLERANCE * expected)
    return np.stack([marks_M[:-1], marks_M[1:]], axis=1)[fits] + first_index


def stretch(piece_T6: Float32, points: int = SAMPLE_POINTS) -> Float32:
    """(T, 6) -> (points, 6), linear interpolation with first and last sample kept."""
    at = np.linspace(0.0, len(piece_T6) - 1.0, points)
    below = np.minimum(at.astype(np.int64), max(len(piece_T6) - 2, 0))
    part = (at - below)[:, None].astype(np.float32)
    return piece_T6[below] * (1.0 - part) + piece_T6[np.minimum(below + 1, len(piece_T6) - 1)] * part


def stride_period(samples_T6: Float32, first_index: int = 0) -> NDArray[np.float64]:
    """(T,) period of the stride in samples, NaN where the motion is not periodic or too little of it is known."""
    total = len(samples_T6)
    period_T = np.full(total, np.nan)
    lead = (PERIOD_WINDOW - PERIOD_BLOCK) // 2
    first_block = -(-(first_index + lead) // PERIOD_BLOCK)
    begin = first_block * PERIOD_BLOCK - lead - first_index  # of the first window, relative
    if total - begin < PERIOD_WINDOW:
        return period_T
    windows_BT6 = sliding_window_view(samples_T6, PERIOD_WINDOW, axis=0)[begin::PERIOD_BLOCK].transpose(0, 2, 1)
    rate_B, _ = step_rate_hz(windows_BT6)
    with np.errstate(divide="ignore"):
        period_B = np.where(rate_B > 0.0, 2.0 * GRID_RATE_HZ / rate_B, np.nan)
    centre_B = begin + PERIOD_WINDOW // 2 + PERIOD_BLOCK * np.arange(len(period_B))
    inside = slice(int(centre_B[0]), int(centre_B[-1]) + 1)
    period_T[inside] = np.interp(np.arange(total)[inside], centre_B, period_B)
    return period_T


def _marks(magnitude_T: NDArray[np.float64], period_T: NDArray[np.float64]) -> Int64:
    """(M,) indexes, rising, of the sample at which the device's foot strikes."""
    total = len(magnitude_T)
    smooth_T = np.convolve(magnitude_T, np.full(SMOOTHING, 1.0 / SMOOTHING), mode="same")
    here_T = np.arange(total)
    known_T = np.isfinite(period_T)
    lag_T = np.where(known_T, period_T, 0.0)
    comb_T = np.sum([weight * np.interp(here_T + strides * lag_T, here_T, smooth_T) for strides, weight in STRIDE_WEIGHTS], axis=0)
    edge = 2.0 * lag_T + SMOOTHING // 2
    known_T &= (here_T >= edge) & (here_T < total - edge)  # all five strides and their averages are there
    comb_T = np.where(known_T, comb_T, -np.inf)
    rising_T = np.zeros(total, bool)
    rising_T[1:-1] = (comb_T[1:-1] > comb_T[:-2]) & (comb_T[1:-1] >= comb_T[2:])
    marks = []
    for index in np.flatnonzero(rising_T & known_T).tolist():
        reach = round(REACH * period_T[index])
        if index < reach or index + reach >= total:
            continue
        around = comb_T[index - reach : index + reach + 1]
        if not np.isfinite(around).all():
            continue
        first_of_largest = index - reach + int(np.argmax(around)) == index
        if first_of_largest and comb_T[index] >= around.mean() + CLEARANCE * around.std():
            low = max(index - _NUDGE, 0)
            marks.append(low + int(np.argmax(smooth_T[low : index + _NUDGE + 1])))
    return np.array(marks, np.int64)
