"""The sensors of a phone: from true motion at a high rate to samples with an anti-alias filter, gain error, bias, noise, range and uneven
clocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt

Array = npt.NDArray[np.float64]

ACC_RANGE_MS2 = 8 * 9.81
GYRO_RANGE_RAD_S = 34.9  # 2,000 degrees per second
BANDWIDTH = 0.45  # of the sampling rate


@dataclass(frozen=True)
class Sensor:
    """Errors of one device. They are drawn per session, never per person: a gain that belonged to the person would identify it without any
    gait."""

    acc_gain_3: Array
    acc_bias_3: Array
    gyro_gain_3: Array
    gyro_bias_3: Array
    acc_noise_ms2: float
    gyro_noise_rad_s: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Sensor:
        """A random phone, with the residual errors of a calibrated MEMS sensor."""
        return cls(
            acc_gain_3=1.0 + rng.normal(0.0, 0.008, size=3), acc_bias_3=rng.normal(0.0, 0.08, size=3),
            gyro_gain_3=1.0 + rng.normal(0.0, 0.008, size=3), gyro_bias_3=rng.normal(0.0, 0.006, size=3),
            acc_noise_ms2=float(rng.lognormal(np.log(0.025), 0.3)), gyro_noise_rad_s=float(rng.lognormal(np.log(0.002), 0.3)),
        )  # fmt: skip

    def read(self, acc_T3: Array, gyro_T3: Array, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What the device reports for true samples at its own rate."""
        acc = acc_T3 * self.acc_gain_3 + self.acc_bias_3 + rng.normal(0.0, self.acc_noise_ms2, size=acc_T3.shape)
        gyro = gyro_T3 * self.gyro_gain_3 + self.gyro_bias_3 + rng.normal(0.0, self.gyro_noise_rad_s, size=gyro_T3.shape)
        return (
            np.clip(acc, -ACC_RANGE_MS2, ACC_RANGE_MS2).astype(np.float32),
            np.clip(gyro, -GYRO_RANGE_RAD_S, GYRO_RANGE_RAD_S).astype(np.float32),
        )


def low_passed(x_TC: Array, rate_hz: float, sampled_hz: float) -> Array:
    """Remove what ``sampled_hz`` could not carry (third order, both ways: no delay between sensors and labels)."""
    if len(x_TC) < 16 or BANDWIDTH * sampled_hz >= 0.5 * rate_hz:
        return x_TC
    sos = butter(3, BANDWIDTH * sampled_hz, fs=rate_hz, output="sos")
    return np.asarray(sosfiltfilt(sos, x_TC, axis=0, padlen=min(30, len(x_TC) - 1)))


def sample_times_s(duration_s: float, rate_hz: float, irregular: bool, rng: np.random.Generator) -> Array:
    """Times of the samples from 0; ``irregular``: clock jitter of a few milliseconds and a rate that is off by up to 1 %, as Android
    delivers."""
    time_N = np.arange(round(duration_s * rate_hz)) / rate_hz
    if not irregular:
        return time_N
    jitter = np.clip(rng.normal(0.0, 0.08, size=len(time_N)), -0.35, 0.35) / rate_hz  # below half a sample: order is kept
    return np.clip(time_N * (1.0 + rng.uniform(-0.01, 0.0)) + jitter, 0.0, duration_s)
