"""Cadence of simulated walkers (whose stride is known) and of real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.loading import load_recordings
from models.inertial.cadence import step_rate_hz
from models.simulation.walker import Walker
from models.types import Float32, ShapeError


def windows(samples_N6: Float32) -> Float32:
    """(W, 128, 6) every 64 samples."""
    starts = np.arange(0, len(samples_N6) - 127, 64)
    return samples_N6[starts[:, None] + np.arange(128)]


@pytest.mark.parametrize("placement", ["pocket_front", "waist", "wrist"])
def test_simulated_walkers_have_their_cadence(placement: str) -> None:
    errors = []
    for seed in range(9000, 9006):
        made = Walker(seed).record(duration_s=20, placement=placement)
        rate, regularity = step_rate_hz(windows(np.concatenate([made.acc_N3, made.gyro_N3], axis=1)))
        assert (rate > 0).mean() > 0.9
        assert (regularity[rate > 0] > 0.3).all()
        errors.append(abs(float(np.median(rate)) - 2.0 / made.stride_s))
    assert max(errors) < 0.15


@pytest.mark.parametrize(
    ("frequency_hz", "rate_hz"),
    [
        (0.7, 1.4),  # slow walk: strides of 1.43 s
        (0.95, 1.9),  # usual
        (1.25, 2.5),  # hurried
    ],
)
def test_a_pure_swing_gives_two_steps_a_cycle(frequency_hz: float, rate_hz: float) -> None:
    time_s = np.arange(128) / 50.0
    x_BT6 = np.zeros((1, 128, 6), np.float32)
    x_BT6[0, :, 2] = 9.81 + 3.0 * np.sin(2 * np.pi * frequency_hz * time_s)
    x_BT6[0, :, 3] = 2.0 * np.cos(2 * np.pi * frequency_hz * time_s)
    rate, regularity = step_rate_hz(x_BT6)
    assert rate[0] == pytest.approx(rate_hz, abs=0.05)
    assert regularity[0] > 0.85


def test_orientation_does_not_matter() -> None:
    made = Walker(9100).record(duration_s=10)
    x_BT6 = windows(np.concatenate([made.acc_N3, made.gyro_N3], axis=1))
    turned = x_BT6[..., [1, 2, 0, 4, 5, 3]] * np.array([1, -1, -1, 1, -1, -1], np.float32)
    assert np.allclose(step_rate_hz(x_BT6)[0], step_rate_hz(turned)[0], atol=1e-3)


def test_rest_and_noise_have_no_cadence() -> None:
    rng = np.random.default_rng(3)
    rest = np.zeros((20, 128, 6), np.float32)
    rest[..., 2] = 9.81
    for x_BT6 in (rest, rest + 0.02 * rng.normal(size=rest.shape).astype(np.float32), rng.normal(size=rest.shape).astype(np.float32)):
        assert (step_rate_hz(x_BT6)[0] == 0).mean() >= 0.9


def test_empty_batch_and_wrong_shape() -> None:
    assert step_rate_hz(np.zeros((0, 128, 6), np.float32))[0].shape == (0,)
    with pytest.raises(ShapeError, match="B, T"):
        step_rate_hz(np.zeros((2, 50, 6), np.float32))


def test_real_walking_is_regular_and_real_sitting_is_not(data_dir: Path) -> None:
    motionsense = data_dir / "imu" / "motionsense.npz"
    walking = np.concatenate([windows(r.samples_N6[150:-100]) for r in load_recordings(motionsense, "13-18", "trial=7")])
    rate, regularity = step_rate_hz(walking)
    assert (rate > 0).mean() > 0.97
    assert 1.6 < np.median(rate) < 2.2
    assert np.median(regularity) > 0.7
    sitting = np.concatenate([windows(r.samples_N6) for r in load_recordings(motionsense, "13-18", "trial=5")])
    assert (step_rate_hz(sitting)[0] > 0).mean() < 0.03
