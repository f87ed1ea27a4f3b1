"""Random but smooth functions of time, for everything in a body that drifts, sways or trembles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

Array = npt.NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, time_T: Array, knot_s: float, channels: int) -> Array:
    """Smooth noise (T, C) of unit standard deviation at its knots, ``knot_s`` apart: content up to about ``1 / (2 knot_s)`` Hz."""
    knots = np.arange(time_T[0] - 2 * knot_s, time_T[-1] + 3 * knot_s, knot_s)
    return CubicSpline(knots, rng.normal(size=(len(knots), channels)))(time_T)


def shaped_noise(rng: np.random.Generator, samples: int, rate_hz: float, peaks: list[tuple[float, float, float]], channels: int) -> Array:
    """Noise (T, C) whose spectrum is a sum of bell-shaped peaks ``(centre_hz, width_hz, standard deviation)``."""
    freq_hz = np.fft.rfftfreq(samples, 1.0 / rate_hz)
    out = np.zeros((samples, channels))
    for centre_hz, width_hz, sd in peaks:
        shape = np.exp(-0.5 * ((freq_hz - centre_hz) / width_hz) ** 2)
        shape[0] = 0.0
        spectrum = (rng.normal(size=(len(freq_hz), channels)) + 1j * rng.normal(size=(len(freq_hz), channels))) * shape[:, None]
        wave = np.fft.irfft(spectrum, samples, axis=0)
        out += wave * (sd / np.maximum(wave.std(0), 1e-12))
    return out


def smoothstep(x: Array) -> Array:
    """0 below 0, 1 above 1, with two continuous derivatives between (a cubic's jump in acceleration would be felt by the phone)."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x * x)
