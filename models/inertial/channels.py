"""Orientation-free channels: what a device measures, told without the way it sits in the pocket.

Gravity gives the vertical; the rest of the orientation (the heading of the device in the pocket) is either left out, by taking lengths, or
fixed by the body itself: the thigh swings about its left-right axis, so the principal direction of the horizontal angular rate is that
axis, and its sign follows from the skewness of the swing (forward swing is faster than stance). A rotation of the device changes no
channel, except for that sign where the skewness is near zero; training sees both signs.

All of it runs inside the networks' forward pass as whole-batch tensor operations, so a benchmark of the bare network includes it.

Shape letters: B batch, S sensor (acceleration, angular rate), C channel, T time (50 Hz); 3 and 6 are axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PREPROCESSING = "orientation-free-1"
"""Version of this module's formulas, part of every space id. Change it with any formula."""

ACC_SCALE = 1.0 / 5.0
GYRO_SCALE = 1.0 / 2.0
"""Walking with a phone in the pocket has about 5 m/s² and 2 rad/s; scaled channels are of order one."""

STANDARD_GRAVITY_MS2 = 9.81

EPSILON = 1e-6
"""Keeps the square root differentiable at zero and the direction of gravity finite in free fall."""

INVARIANT_CHANNELS = 6
HEADING_CHANNELS = 4


def split_sensors(x_BT6: Tensor) -> Tensor:
    """(B, T, 6) -> (B, S=2, 3, T): time last, so that every later operation runs along memory."""
    batch, time, _ = x_BT6.shape
    return x_BT6.transpose(1, 2).reshape(batch, 2, 3, time)


def invariant_channels(vertical_BST: Tensor, horizontal2_BST: Tensor) -> list[Tensor]:
    """Total length, vertical part and horizontal length of both sensors: six tensors (B, T), acceleration first.

    vertical_BST: along gravity (acceleration without gravity).  horizontal2_BST: squared length of the horizontal part.
    """
    horizontal_BST = horizontal2_BST.add(EPSILON).sqrt()
    total_BST = (horizontal2_BST + vertical_BST.square()).add(EPSILON).sqrt()
    return [part[:, sensor] for sensor in (0, 1) for part in (total_BST, vertical_BST, horizontal_BST)]


class StreamChannels(nn.Module):
    """(B, T, 6) raw samples -> (B, 6, 1, T) channels relative to a running estimate of gravity; for long, changing input.

    Gravity at a sample is the mean acceleration of the `samples` around it, as far as the input has them (a product with a constant
    banded matrix, which is cheaper than a running sum at these lengths).
    """

    mean_TT: Tensor

    def __init__(self, time: int, samples: int) -> None:
        super().__init__()
        index = torch.arange(time)
        near = ((index[:, None] - index[None, :]).abs() <= samples // 2).float()
        self.register_buffer("mean_TT", near / near.sum(0, keepdim=True), persistent=False)

    def forward(self, x_BT6: Tensor) -> Tensor:
        x_BS3T = split_sensors(x_BT6)
        gravity_B3T = x_BS3T[:, 0] @ self.mean_TT
        length_BT = gravity_B3T.square().sum(1).add(EPSILON).sqrt()
        up_B3T = gravity_B3T / length_BT[:, None]
        vertical_BST = (x_BS3T * up_B3T[:, None]).sum(2)
        horizontal2_BST = (x_BS3T.square().sum(2) - vertical_BST.square()).clamp(min=0.0)
        vertical_BST[:, 0] -= length_BT
        scale_S1 = x_BT6.new_tensor([[ACC_SCALE], [GYRO_SCALE]])
        parts = invariant_channels(vertical_BST * scale_S1, horizontal2_BST * scale_S1.square())
        return torch.stack(parts, dim=-1)[:, None].permute(0, 3, 1, 2)


class WindowChannels(nn.Module):
    """(B, T, 6) raw samples -> (B, 10, 1, T) channels relative to the mean gravity of the whole window; for gait windows.

    The six invariants, then acceleration and angular rate along the two horizontal body axes (see the module). Acceleration is divided by
    the window's own gravity, which removes the sensor's gain.
    """

    def forward(self, x_BT6: Tensor) -> Tensor:
        x_BS3T = split_sensors(x_BT6)
        gravity_B3 = x_BS3T[:, 0].mean(-1)
        length_B1 = gravity_B3.square().sum(1, keepdim=True).add(EPSILON).sqrt()
        aligned_BS3T = level_basis(gravity_B3 / length_B1)[:, None] @ x_BS3T
        acc_scale_B11 = (ACC_SCALE * STANDARD_GRAVITY_MS2 / length_B1.clamp(min=1.0))[..., None]
        acc_B3T, gyro_B3T = aligned_BS3T[:, 0] * acc_scale_B11, aligned_BS3T[:, 1] * GYRO_SCALE
        acc_up_BT = acc_B3T[:, 2] - (length_B1 * acc_scale_B11[..., 0])
        level_BS2T = torch.stack([acc_B3T[:, :2], gyro_B3T[:, :2]], dim=1)
        invariants = invariant_channels(torch.stack([acc_up_BT, gyro_B3T[:, 2]], dim=1), level_BS2T.square().sum(2))
        heading_B4T = (swing_axis(level_BS2T[:, 1])[:, None] @ level_BS2T).flatten(1, 2)
        return torch.cat([torch.stack(invariants, dim=1), heading_B4T], dim=1)[:, :, None]


def level_basis(up_B3: Tensor) -> Tensor:
    """(B, 3, 3) rotation whose third row is up_B3 (unit vectors) and whose first two are horizontal, without a branch.

    Source: Duff et al., "Building an Orthonormal Basis, Revisited", JCGT 6 (2017).
    """
    x, y, z = up_B3.unbind(1)
    sign = torch.where(z >= 0.0, 1.0, -1.0)
    a = -1.0 / (sign + z)
    b = x * y * a
    rows = [1.0 + sign * x * x * a, sign * b, -sign * x, b, sign + y * y * a, -y, x, y, z]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def swing_axis(rate_B2T: Tensor) -> Tensor:
    """(B, 2, 2) rotation of the horizontal plane onto (left-right, forward), from the horizontal angular rate (B, 2, T).

    The first row is the principal direction of the rate, signed so that the rate along it has positive skewness.
    """
    moment_B22 = rate_B2T @ rate_B2T.transpose(1, 2)
    angle_B = 0.5 * torch.atan2(2.0 * moment_B22[:, 0, 1], moment_B22[:, 0, 0] - moment_B22[:, 1, 1])
    cos_B, sin_B = angle_B.cos(), angle_B.sin()
    along_BT = cos_B[:, None] * rate_B2T[:, 0] + sin_B[:, None] * rate_B2T[:, 1]
    sign_B = torch.where(along_BT.pow(3).sum(1) >= 0.0, 1.0, -1.0)
    cos_B, sin_B = cos_B * sign_B, sin_B * sign_B
    return torch.stack([cos_B, sin_B, -sin_B, cos_B], dim=1).reshape(-1, 2, 2)
