"""Targets and losses of the published pose networks. Shape letters: B batch, J joints, H height, W width; 2 is (x, y) in map pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def _squared_distance(place_BJ2: Tensor, size_px: int) -> Tensor:
    """(B, J, H, W) squared distance of every pixel of a size_px x size_px map from the joint, in pixels."""
    axis_N = torch.arange(size_px, dtype=place_BJ2.dtype, device=place_BJ2.device)
    across_BJW = (axis_N - place_BJ2[..., 0:1]).square()
    down_BJH = (axis_N - place_BJ2[..., 1:2]).square()
    return down_BJH[..., :, None] + across_BJW[..., None, :]


def disc_target(place_BJ2: Tensor, size_px: int, diameter_px: float) -> Tensor:
    """(B, J, H, W) 1 within the filled disc around each joint, 0 elsewhere."""
    return (_squared_distance(place_BJ2, size_px) <= (diameter_px / 2) ** 2).to(place_BJ2.dtype)


def gaussian_target(place_BJ2: Tensor, size_px: int, deviation_px: float) -> Tensor:
    """(B, J, H, W) Gaussian of height 1 around each joint."""
    return torch.exp(-_squared_distance(place_BJ2, size_px) / (2 * deviation_px**2))


def _mean_over_visible(pixel_BJHW: Tensor, visible_BJ: Tensor) -> Tensor:
    return (pixel_BJHW.sum(dim=(2, 3)) * visible_BJ).sum() / visible_BJ.sum().clamp(min=1)


def disc_loss(logits_BJHW: Tensor, place_BJ2: Tensor, visible_BJ: Tensor, diameter_px: float) -> Tensor:
    """Sigmoid cross-entropy against discs, summed over pixels, divided by the number of visible joints (0 where there are none)."""
    target_BJHW = disc_target(place_BJ2, logits_BJHW.shape[-1], diameter_px)
    return _mean_over_visible(F.binary_cross_entropy_with_logits(logits_BJHW, target_BJHW, reduction="none"), visible_BJ)


def gaussian_loss(logits_BJHW: Tensor, place_BJ2: Tensor, visible_BJ: Tensor, deviation_px: float) -> Tensor:
    """Squared error of the sigmoid maps against Gaussians, summed over pixels, divided by the number of visible joints."""
    target_BJHW = gaussian_target(place_BJ2, logits_BJHW.shape[-1], deviation_px)
    return _mean_over_visible((torch.sigmoid(logits_BJHW) - target_BJHW).square(), visible_BJ)
