"""What may differ between two recordings of the same walk: the device, how it lies, how it is calibrated, how loose it is.

Everything acts on a batch (B, T, 6) of raw samples, m/s² with gravity and rad/s, and takes its own random generator.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.types import GRID_RATE_HZ, Float32


def random_rotations(count: int, rng: Generator) -> Float32:
    """(count, 3, 3) rotations, uniform over all orientations (unit quaternions of four normal numbers)."""
    quaternion = rng.normal(size=(count, 4))
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows, dtype=np.float32).transpose(2, 0, 1)


def rotate(x_BT6: Float32, rotation_B33: Float32) -> Float32:
    """Turns both sensors of every item by its own rotation."""
    turned_BTS3 = np.einsum("bij,btsj->btsi", rotation_B33, x_BT6.reshape(*x_BT6.shape[:2], 2, 3), optimize=True)
    return turned_BTS3.reshape(x_BT6.shape).astype(np.float32)


def mirror(x_BT6: Float32, mirrored_B: NDArray[np.bool_]) -> Float32:
    """Swaps left and right of the chosen items: the first axis is reflected; angular rate is an axial vector, so its other two flip.

    A mirrored walker is another walker (and the other pocket), so training treats it as one more identity.
    """
    sign_B6 = np.where(mirrored_B[:, None], np.array([-1, 1, 1, 1, -1, -1]), np.ones(6)).astype(np.float32)
    return x_BT6 * sign_B6[:, None]


def disturb_sensors(x_BT6: Float32, rng: Generator, strength: float = 1.0) -> Float32:
    """Per item: gain of each sensor and axis, bias, white noise, and for some items a softer or a coarser coupling to the body.

    Sizes at strength 1: gain 4 % common and 2 % per axis; bias 0.1 m/s² and 0.03 rad/s; noise up to 0.3 m/s² and 0.05 rad/s (phones have
    less; a loose pocket has more).
    """
    batch = len(x_BT6)
    gain = 1.0 + strength * (0.04 * rng.normal(size=(batch, 1, 2, 1)) + 0.02 * rng.normal(size=(batch, 1, 2, 3)))
    bias = strength * rng.normal(size=(batch, 1, 2, 3)) * np.array([0.1, 0.03])[:, None]
    level = strength * rng.uniform(0, 1, size=(batch, 1, 1, 1)) * np.array([0.3, 0.05])[:, None]
    noise = level * rng.standard_normal(size=(*x_BT6.shape[:2], 2, 3), dtype=np.float32)
    y_BT6 = (x_BT6.reshape(*x_BT6.shape[:2], 2, 3) * gain + bias + noise).reshape(x_BT6.shape).astype(np.float32)
    return soften(y_BT6, rng.uniform(0, 0.5 * strength, size=batch) * (rng.random(batch) < 0.5))


def vary_vigour(x_BT6: Float32, rng: Generator, sd: float) -> Float32:
    """Scales the motion of every item, acceleration about its mean and angular rate each by exp(normal * sd): other places on the body,
    other people."""
    factor = np.exp(sd * rng.normal(size=(len(x_BT6), 1, 2))).astype(np.float32)
    mean_B13 = x_BT6[..., :3].mean(axis=1, keepdims=True)
    acc = mean_B13 + (x_BT6[..., :3] - mean_B13) * factor[..., :1]
    return np.concatenate([acc, x_BT6[..., 3:] * factor[..., 1:]], axis=2)


KNOTS_HZ = (0.0, 2.0, 4.0, 8.0, 16.0, 25.0)
"""Where the logarithm of a random transfer function is drawn, linear between."""


def transfer(x_BT6: Float32, rng: Generator, sd: float = 0.5, level_sd: float = 0.4) -> Float32:
    """The whole batch at one pretended place on the body: a random smooth gain over frequency for each sensor, the same for every item.

    It acts on what is left without the mean, which is gravity. sd: of the logarithm of the gain at each knot; level_sd: of the logarithm
    of its common factor.
    """
    frequency_hz = np.fft.rfftfreq(x_BT6.shape[1], 1.0 / GRID_RATE_HZ)
    mean_B16 = x_BT6.mean(axis=1, keepdims=True)
    spectrum_BF6 = np.fft.rfft(x_BT6 - mean_B16, axis=1)
    for sensor in (slice(0, 3), slice(3, 6)):
        log_gain = np.interp(frequency_hz, KNOTS_HZ, rng.normal(0.0, sd, len(KNOTS_HZ)) + rng.normal(0.0, level_sd))
        spectrum_BF6[..., sensor] *= np.exp(log_gain)[None, :, None]
    return (mean_B16 + np.fft.irfft(spectrum_BF6, x_BT6.shape[1], axis=1)).astype(np.float32)


def soften(x_BT6: Float32, share_B: NDArray[np.float64]) -> Float32:
    """Mixes every item with its own three-sample mean: a share of up to 0.5 lowers 10 Hz by a third (thicker cloth, other filter)."""
    smooth_BT6 = x_BT6.copy()
    smooth_BT6[:, 1:-1] = (x_BT6[:, :-2] + x_BT6[:, 1:-1] + x_BT6[:, 2:]) / 3.0
    share = share_B.astype(np.float32)[:, None, None]
    return x_BT6 + share * (smooth_BT6 - x_BT6)
