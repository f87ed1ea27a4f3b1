"""Cadence from a gait window: the stride is the lag at which the motion repeats, a stride is two steps.

The autocorrelation is that of both sensors as vectors, each with its own total power: the sum over axes does not depend on how the device
lies, and the swing of the thigh or arm, which repeats once a stride, keeps the step from being taken for the stride. (Source of the method:
Moe-Nilssen and Helbostad, "Estimation of gait cycle characteristics by trunk accelerometry", J. Biomech. 37, 2004, extended to vectors.)

Shape letters: B batch, T time (50 Hz), L lag; 6 are the device's axes (models.types.INERTIAL_CHANNELS).
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from models.types import GRID_RATE_HZ, Float32, ShapeError

SHORTEST_STRIDE, LONGEST_STRIDE = 38, 76
"""Lags in samples, 0.76 to 1.52 s, steps of 1.3 to 2.6 Hz: one octave, so that a multiple of the stride is not in reach."""

LAG_PENALTY = 0.003
"""Per sample of lag. Where a stride and one and a half strides repeat alike (symmetric steps at the waist), the shorter one is meant."""

LEAST_REGULARITY = 0.35
"""Below this the motion counts as not periodic; windows of MotionSense walking have a median of 0.8."""

LEAST_MOTION_MS2 = 0.4
"""Standard deviation of acceleration under which nothing moves and the autocorrelation is that of noise."""


def step_rate_hz(windows_BT6: Float32) -> tuple[Float32, Float32]:
    """(B, T, 6) raw samples, T >= 100 -> (B,) float32 steps per second, 0 where not periodic, and (B,) float32 regularity 0..1.

    Regularity is the autocorrelation at the stride. Raises ShapeError for another shape.
    """
    if windows_BT6.ndim != 3 or windows_BT6.shape[2] != 6 or windows_BT6.shape[1] < LONGEST_STRIDE + 24:
        raise ShapeError(f"windows_BT6 must be (B, T >= {LONGEST_STRIDE + 24}, 6), got {windows_BT6.shape}")
    correlation_BL, motion_B = _autocorrelation(windows_BT6)
    lags_L = np.arange(SHORTEST_STRIDE, LONGEST_STRIDE + 1)
    inside_BL = correlation_BL[:, 1:-1]  # one lag more on either side, for the parabola
    best_B = np.argmax(inside_BL - LAG_PENALTY * lags_L, axis=1)
    item_B = np.arange(len(best_B))
    left, peak, right = (correlation_BL[item_B, best_B + shift] for shift in (0, 1, 2))
    curvature = np.minimum(left - 2.0 * peak + right, -1e-9)
    lag_B = lags_L[best_B] + np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)
    regularity_B = np.where(motion_B >= LEAST_MOTION_MS2, np.clip(peak, 0.0, 1.0), 0.0)
    rate_B = np.where(regularity_B >= LEAST_REGULARITY, 2.0 * GRID_RATE_HZ / lag_B, 0.0)
    return rate_B.astype(np.float32), regularity_B.astype(np.float32)


def _autocorrelation(windows_BT6: Float32) -> tuple[Float32, Float32]:
    """Mean over the two sensors of the unbiased vector autocorrelation (B, L) at lags one beyond the range on either side, and the
    standard deviation of acceleration (B,)."""
    batch, time, _ = windows_BT6.shape
    centred_B6T = np.ascontiguousarray((windows_BT6 - windows_BT6.mean(axis=1, keepdims=True)).transpose(0, 2, 1))
    spectrum_B6F = fft.rfft(centred_B6T, n=fft.next_fast_len(time + LONGEST_STRIDE + 2, real=True), axis=2)
    power_BSF = (spectrum_B6F.real**2 + spectrum_B6F.imag**2).reshape(batch, 2, 3, spectrum_B6F.shape[2]).sum(axis=2)
    covariance_BSL = fft.irfft(power_BSF, axis=2)
    lags_L = np.arange(SHORTEST_STRIDE - 1, LONGEST_STRIDE + 2)
    overlap_L = ((time - lags_L) / time).astype(np.float32)
    total_BS1 = np.maximum(covariance_BSL[:, :, :1], 1e-6)
    correlation_BL = (covariance_BSL[:, :, lags_L] / total_BS1 / overlap_L).mean(axis=1)
    return correlation_BL, np.sqrt(total_BS1[:, 0, 0] / time)
