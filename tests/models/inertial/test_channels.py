"""Channels do not change with the way the device lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.inertial.channels import LAGS, StreamChannels, WindowChannels, horizontal_products, level_basis
from models.simulation.walker import Walker
from models.training.augment import mirror, random_rotations, rotate
from models.types import Float32


@pytest.fixture(scope="module")
def walking_BT6() -> Float32:
    """(8, 224, 6) pieces of simulated walks."""
    pieces = []
    for seed in range(9200, 9208):
        made = Walker(seed).record(duration_s=6)
        pieces.append(np.concatenate([made.acc_N3, made.gyro_N3], axis=1)[:224])
    return np.stack(pieces)


def test_stream_channels_ignore_rotation(walking_BT6: Float32) -> None:
    channels = StreamChannels(224, 65)
    turned = rotate(walking_BT6, random_rotations(8, np.random.default_rng(1)))
    assert torch.allclose(channels(torch.from_numpy(walking_BT6)), channels(torch.from_numpy(turned)), atol=1e-3)


def test_window_channels_ignore_rotation(walking_BT6: Float32) -> None:
    window = walking_BT6[:, :128]
    turned = rotate(window, random_rotations(8, np.random.default_rng(2)))
    plain, after = WindowChannels()(torch.from_numpy(window)), WindowChannels()(torch.from_numpy(turned))
    assert plain.shape == (8, 16, 1, 128)
    assert torch.allclose(plain, after, atol=2e-3)


def test_window_channels_ignore_the_gain_of_the_accelerometer(walking_BT6: Float32) -> None:
    window = walking_BT6[:, :128]
    louder = window * np.array([1.1] * 3 + [1.0] * 3, np.float32)
    assert torch.allclose(WindowChannels()(torch.from_numpy(window)), WindowChannels()(torch.from_numpy(louder)), atol=1e-3)


def test_a_mirrored_walker_differs(walking_BT6: Float32) -> None:
    window = walking_BT6[:, :128]
    mirrored = mirror(window, np.ones(8, dtype=bool))
    plain, after = WindowChannels()(torch.from_numpy(window)), WindowChannels()(torch.from_numpy(mirrored))
    reversed_ = [4, 6, 9, 11, 13, 15]  # turning about the vertical; acceleration along the rate; what turns left turns right
    kept = [channel for channel in range(16) if channel not in reversed_]
    assert torch.allclose(plain[:, kept], after[:, kept], atol=2e-3)
    assert torch.allclose(plain[:, reversed_], -after[:, reversed_], atol=2e-3)
    assert plain[:, reversed_].abs().mean() > 0.05


def test_products_tell_a_circle_from_a_line() -> None:
    angle_T = 2 * torch.pi * torch.arange(128) / 50
    circle, line = torch.stack([angle_T.cos(), angle_T.sin()])[None], torch.stack([angle_T.cos(), 0 * angle_T])[None]
    turning, straight = (horizontal_products(acc, torch.zeros(1, 2, 128)) for acc in (circle, line))
    inside = slice(0, 128 - max(LAGS))
    assert (turning[3][:, inside] < -0.3).all()  # cross product with the position 0.1 s before: always to the same side
    assert straight[3].abs().max() < 1e-6
    assert (turning[3][:, -min(LAGS) :] == 0.0).all()  # nothing was before


def test_level_basis_is_a_rotation_everywhere() -> None:
    rng = np.random.default_rng(4)
    up = rng.normal(size=(1000, 3))
    special = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [0, -1, 0], [1e-7, 0, -1]])
    up_B3 = torch.from_numpy(np.concatenate([up / np.linalg.norm(up, axis=1, keepdims=True), special])).double()
    basis = level_basis(up_B3)
    assert torch.allclose(basis @ basis.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(len(basis), 3, 3), atol=1e-6)
    assert torch.allclose(torch.linalg.det(basis), torch.ones(len(basis), dtype=torch.float64), atol=1e-6)
    assert torch.equal(basis[:, 2], up_B3)


def test_free_fall_and_rest_stay_finite() -> None:
    for value in (0.0, 9.81):
        x = torch.zeros(2, 224, 6)
        x[..., 1] = value
        assert torch.isfinite(StreamChannels(224, 65)(x)).all()
        assert torch.isfinite(WindowChannels()(x[:, :128])).all()
