"""Simple orientation-free statistics of a window of walking: what the simulation is compared by. None depends on how the phone's axes lie.

Legend: N samples, 3 axes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import periodogram

Array = npt.NDArray[np.float64]

WINDOW_S = 10.24
STRIDE_RANGE_S = (0.8, 1.5)
NAMES = (
    "step_hz", "acc_mean_ms2", "acc_sd_ms2", "acc_p99_ms2", "gyro_mean_rad_s", "gyro_sd_rad_s", "acc_0_3hz", "acc_3_8hz", "acc_8_25hz",
    "gyro_8_25hz",
    "step_autocorrelation", "stride_autocorrelation", "acc_kurtosis", "vertical_sd_ms2", "horizontal_mean_ms2", "gyro_axis_ratio",
)  # fmt: skip


def _autocorrelation(x_N: Array, lag: int) -> float:
    """Best normalised autocorrelation within two samples of ``lag``."""
    x = x_N - x_N.mean()
    return max(float((x[k:] * x[:-k]).mean() / x.var()) for k in range(max(lag - 2, 1), lag + 3))


def stride_lag(gyro_N3: Array, rate_hz: float) -> int:
    """Samples per stride: the best common autocorrelation of the three gyroscope axes (steps of one leg are what it shows most clearly)."""
    centred = gyro_N3 - gyro_N3.mean(0)
    spectrum = np.fft.rfft(centred, 2 * len(centred), axis=0)
    power = np.fft.irfft((spectrum * spectrum.conj()).real.sum(1))[: len(centred)] / (len(centred) - np.arange(len(centred)))
    low, high = (int(s * rate_hz) for s in STRIDE_RANGE_S)
    return low + int(np.argmax(power[low:high]))


def window_features(acc_N3: npt.NDArray[np.float32], gyro_N3: npt.NDArray[np.float32], rate_hz: float) -> Array:
    """Statistics (len(NAMES),) of one window: rates in Hz, spreads in m/s² and rad/s, spectral shares of |acc| and of the gyroscope,
    autocorrelations."""
    acc, gyro = np.asarray(acc_N3, float), np.asarray(gyro_N3, float)
    size, turn = np.linalg.norm(acc, axis=1), np.linalg.norm(gyro, axis=1)
    lag = stride_lag(gyro, rate_hz)
    freq_hz, power = periodogram(size, rate_hz, "hann")
    _, turning = periodogram(gyro, rate_hz, "hann", axis=0)
    spectrum, turning = power / power.sum(), turning.sum(1) / turning.sum()
    up = acc.mean(0) / np.linalg.norm(acc.mean(0))
    vertical = acc @ up
    axes = np.linalg.eigvalsh(np.cov(gyro.T))
    centred = size - size.mean()
    values = {
        "step_hz": 2.0 * rate_hz / lag,
        "acc_mean_ms2": size.mean(),
        "acc_sd_ms2": size.std(),
        "acc_p99_ms2": np.percentile(size, 99),
        "gyro_mean_rad_s": turn.mean(),
        "gyro_sd_rad_s": turn.std(),
        "acc_0_3hz": spectrum[freq_hz < 3].sum(),
        "acc_3_8hz": spectrum[(freq_hz >= 3) & (freq_hz < 8)].sum(),
        "acc_8_25hz": spectrum[(freq_hz >= 8) & (freq_hz <= 25)].sum(),
        "gyro_8_25hz": turning[(freq_hz >= 8) & (freq_hz <= 25)].sum(),
        "step_autocorrelation": _autocorrelation(size, lag // 2),
        "stride_autocorrelation": _autocorrelation(size, lag),
        "acc_kurtosis": (centred**4).mean() / size.var() ** 2,
        "vertical_sd_ms2": vertical.std(),
        "horizontal_mean_ms2": np.linalg.norm(acc - vertical[:, None] * up, axis=1).mean(),
        "gyro_axis_ratio": np.sqrt(axes[1] / axes[2]),
    }
    return np.array([values[name] for name in NAMES])


def record_features(acc_N3: npt.NDArray[np.float32], gyro_N3: npt.NDArray[np.float32], rate_hz: float) -> Array:
    """Features (windows, len(NAMES)) of half-overlapping windows of a recording of walking; ValueError if it is shorter than one window."""
    size = round(WINDOW_S * rate_hz)
    starts = range(0, len(acc_N3) - size + 1, size // 2)
    if not starts:
        raise ValueError(f"a recording of {len(acc_N3)} samples is shorter than one window of {size}")
    return np.array([window_features(acc_N3[s : s + size], gyro_N3[s : s + size], rate_hz) for s in starts])
