"""Orientation-free channels: what a device measures, told without the way it sits in the pocket.

Gravity gives the vertical. The rest of the orientation, the heading of the device, is left out: horizontal vectors appear by their lengths and
by dot and cross products of two of them, acceleration with angular rate, and each with itself a moment before. These say everything about the
horizontal motion except where it points, with no axis of the body to be guessed, which works on a thigh and fails on a hip. A rotation of
the device changes no channel; a mirrored walker changes the sign of the vertical rate and of the products that a reflection reverses.

All of it runs inside the networks' forward pass as whole-batch tensor operations, so a benchmark of the bare network includes it.

Shape letters: B batch, S sensor (acceleration, angular rate), C channel, T time (50 Hz); 3 and 6 are axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STREAM_PREPROCESSING = "stream-channels-1"
WINDOW_PREPROCESSING = "window-channels-3"
"""Versions of the formulas below, part of every space id. Change them with any formula."""

ACC_SCALE = 1.0 / 5.0
GYRO_SCALE = 1.0 / 2.0
"""Walking with a phone in the pocket has about 5 m/s² and 2 rad/s; scaled channels are of order one."""

STANDARD_GRAVITY_MS2 = 9.81

EPSILON = 1e-6
"""Keeps the square root differentiable at zero and the direction of gravity finite in free fall."""

INVARIANT_CHANNELS = 6

LAGS = (5, 12)
"""Samples, 0.1 and 0.24 s: the width of a heel strike and about a quarter of a stride."""

PRODUCT_CHANNELS = 2 + 4 * len(LAGS)

SMALL_PRODUCT = 0.1
"""Added to the lengths that products are divided by: directions of vectors shorter than this, 0.5 m/s² or 0.2 rad/s, are noise."""


Pair = tuple[Tensor, Tensor]


def invariant_channels(vertical: Pair, horizontal2: Pair, scale: tuple[float, float] = (1.0, 1.0)) -> list[Tensor]:
    """Total length, vertical part and horizontal length of both sensors, times `scale`: six tensors (B, T), acceleration first.

    vertical: (B, T) along gravity, acceleration without gravity.  horizontal2: (B, T) squared length of the horizontal part.
    """
    parts = []
    for up_BT, level2_BT, factor in zip(vertical, horizontal2, scale, strict=True):
        total_BT = (level2_BT + up_BT.square()).add_(EPSILON).sqrt_()
        parts += [total_BT * factor, up_BT * factor, level2_BT.add(EPSILON).sqrt_() * factor]
    return parts


class StreamChannels(nn.Module):
    """(B, T, 6) raw samples -> (B, 6, 1, T) channels relative to a running estimate of gravity; for long, changing input.

    Gravity at a sample is the mean acceleration of the `samples` around it, as far as the input has them (a product with a constant
    banded matrix, which is cheaper than a running sum at these lengths). Axes are spelled out: whole (B, T) planes run three times as fast
    as sums over an axis of three.
    """

    mean_TT: Tensor

    def __init__(self, time: int, samples: int) -> None:
        super().__init__()
        index = torch.arange(time)
        near = ((index[:, None] - index[None, :]).abs() <= samples // 2).float()
        self.register_buffer("mean_TT", near / near.sum(0, keepdim=True), persistent=False)

    def forward(self, x_BT6: Tensor) -> Tensor:
        x_B6T = x_BT6.transpose(1, 2).contiguous()
        time = x_B6T.shape[2]
        ax, ay, az, wx, wy, wz = x_B6T.unbind(1)
        gx, gy, gz = (x_B6T[:, :3].reshape(-1, time) @ self.mean_TT).view(-1, 3, time).unbind(1)
        gravity_BT = (gx * gx + gy * gy + gz * gz).add_(EPSILON).sqrt_()
        acc_up_BT = (ax * gx + ay * gy + az * gz).div_(gravity_BT)
        rate_up_BT = (wx * gx + wy * gy + wz * gz).div_(gravity_BT)
        acc_level2_BT = (ax * ax + ay * ay + az * az - acc_up_BT.square()).clamp_(min=0.0)
        rate_level2_BT = (wx * wx + wy * wy + wz * wz - rate_up_BT.square()).clamp_(min=0.0)
        parts = invariant_channels((acc_up_BT - gravity_BT, rate_up_BT), (acc_level2_BT, rate_level2_BT), (ACC_SCALE, GYRO_SCALE))
        return torch.stack(parts, dim=1)[:, :, None]


class WindowChannels(nn.Module):
    """(B, T, 6) raw samples -> (B, 16, 1, T) channels relative to the mean gravity of the whole window; for gait windows.

    The six invariants, then the products of horizontal vectors (see the module). Acceleration is divided by the window's own gravity, which
    removes the sensor's gain; the mean of the horizontal parts, error of gravity or slow turning, is taken out.
    """

    def forward(self, x_BT6: Tensor) -> Tensor:
        batch, time, _ = x_BT6.shape
        x_BS3T = x_BT6.transpose(1, 2).reshape(batch, 2, 3, time)
        gravity_B3 = x_BS3T[:, 0].mean(-1)
        length_B1 = gravity_B3.square().sum(1, keepdim=True).add(EPSILON).sqrt()
        aligned_BS3T = level_basis(gravity_B3 / length_B1)[:, None] @ x_BS3T
        aligned_BS3T = aligned_BS3T - aligned_BS3T.mean(-1, keepdim=True)
        acc_scale_B11 = (ACC_SCALE * STANDARD_GRAVITY_MS2 / length_B1.clamp(min=1.0))[..., None]
        acc_B3T, rate_B3T = aligned_BS3T[:, 0] * acc_scale_B11, aligned_BS3T[:, 1] * GYRO_SCALE
        acc_B2T, rate_B2T = acc_B3T[:, :2], rate_B3T[:, :2]
        invariants = invariant_channels((acc_B3T[:, 2], rate_B3T[:, 2]), (acc_B2T.square().sum(1), rate_B2T.square().sum(1)))
        return torch.stack(invariants + horizontal_products(acc_B2T, rate_B2T), dim=1)[:, :, None]


def horizontal_products(acc_B2T: Tensor, rate_B2T: Tensor) -> list[Tensor]:
    """Dot and cross product (B, T) of acceleration and rate, then of each with itself `LAGS` before (zero where there is no before).

    Each is divided by the geometric mean of the two lengths, which leaves it of the size of a length.
    """
    products = _dot_and_cross(acc_B2T, rate_B2T)
    for lag in LAGS:
        for vector_B2T in (acc_B2T, rate_B2T):
            products += [F.pad(product, (0, lag)) for product in _dot_and_cross(vector_B2T[..., lag:], vector_B2T[..., :-lag])]
    return products


def _dot_and_cross(u_B2T: Tensor, v_B2T: Tensor) -> list[Tensor]:
    (ux, uy), (vx, vy) = u_B2T.unbind(1), v_B2T.unbind(1)
    size_BT = ((ux * ux + uy * uy) * (vx * vx + vy * vy) + EPSILON).sqrt_().sqrt() + SMALL_PRODUCT
    return [(ux * vx + uy * vy) / size_BT, (ux * vy - uy * vx) / size_BT]


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
