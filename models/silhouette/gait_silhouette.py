"""`GaitSilhouette`, our own network on aligned silhouettes: a convolutional network on images that sum a window up.

Gait energy images (Han and Bhanu 2006) lose where in the stride a shape was seen. Here the window becomes five images: mean, spread, mean of
what changes from step to step, and the means of the widest and the narrowest moments (legs apart, legs together). A small residual network
with horizontal strips (Chao et al., "GaitSet", AAAI 2019, after Fu et al. 2019) follows. As for joints the result is the same for a walk and its
mirror image: both are looked at and their features averaged.

Shape letters: B batch, T 32 steps at 12.5 Hz, H x W 64 x 44, C channel, S strips, F features, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.types import CAMERA_HOP, CAMERA_WINDOW, SILHOUETTE_SHAPE

PREPROCESSING = "window-images-2"

IMAGES = 5

PHASE_SHARPNESS = 2.0
"""Moments weigh exp(this times their width in standard deviations): the quarter with the legs furthest apart makes most of the image."""

STRIPS = 8
"""Horizontal parts whose means and maxima are the features: head to feet."""


class WindowImages(nn.Module):
    """(B, T, H, W) silhouettes of 0 and 1 -> (B, 5, H, W) images and the share of the window in which somebody was seen (B,)."""

    def forward(self, masks_BTHW: Tensor) -> tuple[Tensor, Tensor]:
        x_BTHW = masks_BTHW.to(torch.float32)
        area_BT = x_BTHW.sum(dim=(2, 3))
        seen_BT = (area_BT > 0).to(x_BTHW.dtype)
        mean_BHW = _mean(x_BTHW, seen_BT)
        spread_BHW = (mean_BHW * (1.0 - mean_BHW)).clamp(min=0.0).sqrt()
        both_BT = seen_BT[:, 1:] * seen_BT[:, :-1]
        change_BHW = _mean((x_BTHW[:, 1:] - x_BTHW[:, :-1]).abs(), both_BT)
        # The lower third's width tells the moment of the stride in every view but the frontal one, where little changes anyway.
        legs_BT = x_BTHW[:, :, 2 * x_BTHW.shape[2] // 3 :].amax(dim=2).sum(dim=-1)
        middle_B1 = _mean(legs_BT[..., None, None], seen_BT)[:, 0]
        sd_B1 = _mean((legs_BT - middle_B1).square()[..., None, None], seen_BT)[:, 0].sqrt() + 0.5
        width_BT = ((legs_BT - middle_B1) / sd_B1).clamp(-2.0, 2.0)
        wide_BHW = _mean(x_BTHW, seen_BT * torch.exp(PHASE_SHARPNESS * width_BT))
        narrow_BHW = _mean(x_BTHW, seen_BT * torch.exp(-PHASE_SHARPNESS * width_BT))
        images = torch.stack([mean_BHW, spread_BHW, change_BHW, wide_BHW, narrow_BHW], dim=1)
        return images, seen_BT.mean(dim=1)


def _mean(x_BTHW: Tensor, weight_BT: Tensor) -> Tensor:
    """Weighted mean over time; zero without any weight."""
    share_BT = weight_BT / weight_BT.sum(dim=1, keepdim=True).clamp(min=1e-6)
    return torch.einsum("bthw,bt->bhw", x_BTHW, share_BT)


class ConvNorm2d(nn.Module):
    """3 x 3 convolution, batch normalisation, rectifier."""

    def __init__(self, c_in: int, c_out: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        self.relu = relu

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = self.norm(self.conv(x_BCHW))
        return F.relu(y_BCHW, inplace=True) if self.relu else y_BCHW


class Residual2d(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm2d(channels, channels)
        self.second = ConvNorm2d(channels, channels, relu=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x_BCHW)) + x_BCHW, inplace=True)


class GaitSilhouette(nn.Module):
    """(B, 32, 64, 44) bool silhouettes -> (B, D) embedding of unit length and (B,) quality in [0, 1].

    The embedding is a linear discriminant of the strips' features, as in `models.skeleton.gait_skeleton.GaitSkeleton`.
    """

    WINDOW, HOP, DIM = CAMERA_WINDOW, CAMERA_HOP, 128

    HEAD_DIM = 96

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.images = WindowImages()
        middle, wide = 2 * width, 4 * width
        self.stages = nn.Sequential(
            ConvNorm2d(IMAGES, width, stride=2),
            ConvNorm2d(width, middle, stride=2),
            Residual2d(middle),
            ConvNorm2d(middle, wide, stride=2),
            Residual2d(wide),
        )
        self.feature_count = 2 * STRIPS * wide
        self.discriminant = nn.Linear(self.feature_count, self.DIM)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.feature_count, self.HEAD_DIM))
        self.quality = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))

    def features(self, masks_BTHW: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F) means and maxima of the strips; (B, 3) how well the window was seen: share of steps, share of the picture covered, and how much
        of it changes from step to step."""
        if masks_BTHW.ndim != 4 or tuple(masks_BTHW.shape[2:]) != SILHOUETTE_SHAPE:
            raise ValueError(f"masks must be (B, T, {SILHOUETTE_SHAPE[0]}, {SILHOUETTE_SHAPE[1]}), not {tuple(masks_BTHW.shape)}")
        images_BCHW, seen_B = self.images(masks_BTHW)
        seen_B3 = torch.stack([seen_B, images_BCHW[:, 0].mean(dim=(1, 2)), images_BCHW[:, 2].mean(dim=(1, 2))], dim=1)
        return self.features_of(images_BCHW), seen_B3

    def features_of(self, images_BCHW: Tensor) -> Tensor:
        """(B, F) of `WindowImages`. In training a random half is mirrored; in use both images are looked at."""
        if self.training:
            flip_B = torch.rand(len(images_BCHW), device=images_BCHW.device) < 0.5
            return self._strips(torch.where(flip_B[:, None, None, None], images_BCHW.flip(-1), images_BCHW))
        both = self._strips(torch.cat([images_BCHW, images_BCHW.flip(-1)]))
        return (both[: len(images_BCHW)] + both[len(images_BCHW) :]) / 2

    def _strips(self, images_BCHW: Tensor) -> Tensor:
        h_BCHW = self.stages(images_BCHW)
        h_BCSX = h_BCHW.unflatten(2, (STRIPS, h_BCHW.shape[2] // STRIPS)).flatten(3)
        return torch.cat([h_BCSX.mean(dim=-1).flatten(1), h_BCSX.amax(dim=-1).flatten(1)], dim=1)

    def trained_vector(self, features_BF: Tensor) -> Tensor:
        """(B, HEAD_DIM) unit rows: what the losses see."""
        return F.normalize(self.head(features_BF), dim=1)

    def embed_features(self, features_BF: Tensor) -> Tensor:
        """(B, DIM) unit rows."""
        return F.normalize(self.discriminant(features_BF), dim=1)

    def quality_of(self, seen_B3: Tensor) -> Tensor:
        """(B,) quality in [0, 1]; 0 where nobody was seen. As `models.skeleton.gait_skeleton.GaitSkeleton.quality_of`."""
        return torch.sigmoid(self.quality(seen_B3)[:, 0]) * (seen_B3[:, 0] > 0)

    def forward(self, masks_BTHW: Tensor) -> tuple[Tensor, Tensor]:
        features_BF, seen_B3 = self.features(masks_BTHW)
        return self.embed_features(features_BF), self.quality_of(seen_B3)
