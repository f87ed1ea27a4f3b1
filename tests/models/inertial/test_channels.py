"""Channels do not change with the way the device lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.inertial.channels import StreamChannels, WindowChannels, level_basis
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
    assert plain.shape == (8, 10, 1, 128)
    assert torch.allclose(plain, after, atol=2e-3)


def test_window_channels_ignore_the_gain_of_the_accelerometer(walking_BT6: Float32) -> None:
    window = walking_BT6[:, :128]
    louder = window * np.array([1.1] * 3 + [1.0] * 3, np.float32)
    assert torch.allclose(WindowChannels()(torch.from_numpy(window)), WindowChannels()(torch.from_numpy(louder)), atol=1e-3)


def test_a_mirrored_walker_differs(walking_BT6: Float32) -> None:
    window = walking_BT6[:, :128]
    mirrored = mirror(window, np.ones(8, dtype=bool))
    plain, after = WindowChannels()(torch.from_numpy(window)), WindowChannels()(torch.from_numpy(mirrored))
    assert torch.allclose(plain[:, [0, 1, 2, 3, 5]], after[:, [0, 1, 2, 3, 5]], atol=1e-3)  # lengths and the vertical stay
    assert torch.allclose(plain[:, 4], -after[:, 4], atol=1e-3)  # turning about the vertical reverses


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
