"""The published pose networks: Inception-ResNet with 16 heat maps of 289 x 289, and the ResNet-152 part detector with 256 x 256.

Source: the published description of HumanPoseNN (Margeta, 2017); the part detector's layout follows Bulat and Tzimiropoulos, ECCV 2016.
Shape letters: B batch, C channel, H height, W width, J the 16 joints (`JOINTS`), 2 is (x, y) in pixels of the input picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.video.inception_resnet import InceptionResNetTrunk
from models.video.recipe import Recipe
from models.video.tensorflow import SeparableGaussian

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
    "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip

MIRRORED = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)
"""Joint j of a picture flipped left to right is joint MIRRORED[j] of the original."""


@dataclass(frozen=True, slots=True)
class EstimatedJoints:
    """place_BJ2: joints in pixels of the input picture.  probability_BJ: the highest value of each joint's unsmoothed map, 0 to 1."""

    place_BJ2: Tensor
    probability_BJ: Tensor


def read_joints(logits_BJHW: Tensor, smoothing: nn.Module, picture_px: int) -> EstimatedJoints:
    """Joints where the smoothed map's rows and columns have their maximum, scaled from the map's to the picture's pixels."""
    map_BJHW = torch.sigmoid(logits_BJHW)
    smooth_BJHW = smoothing(map_BJHW)
    x_BJ = smooth_BJHW.amax(dim=2).argmax(dim=2)
    y_BJ = smooth_BJHW.amax(dim=3).argmax(dim=2)
    place_BJ2 = torch.stack([x_BJ, y_BJ], dim=2).float() * (picture_px / logits_BJHW.shape[-1])
    return EstimatedJoints(place_BJ2, map_BJHW.amax(dim=(2, 3)))


SMOOTHING_GAIN = 0.2


def _rare(disc_px: float, map_px: int) -> float:
    """Logit of a disc's share of a map: where fresh weights begin, or the first thousand steps teach nothing but that joints are rare (ours)."""
    share = math.pi * (disc_px / 2) ** 2 / map_px**2
    return math.log(share / (1 - share))


def _check_pictures(x_B3HW: Tensor, picture_px: int) -> None:
    if tuple(x_B3HW.shape[1:]) != (3, picture_px, picture_px):
        raise ValueError(f"pictures must be (B, 3, {picture_px}, {picture_px}), not {tuple(x_B3HW.shape)}")


class HumanPoseIR(nn.Module):
    """(B, 3, 299, 299) RGB 0-255 -> (B, 16, 289, 289) logits of joints. `features` are what the gait network takes.

    picture_px: another side of the pictures, for runs on small ones; the map is then 17 pixels for every cell of the features. The weights
    are the same.
    """

    PICTURE_PX, MAP_PX, DISC_PX, FEATURE_CHANNELS = 299, 289, 15, 32

    recipe = Recipe("rmsprop", 1e-4, 32, epochs=60, clip=2.0, published=False)
    """Optimizer and clipping are published; rate, batch and length are not, and are ours."""

    small = Recipe("rmsprop", 1e-4, 8, epochs=2, clip=2.0, published=False)

    def __init__(self, picture_px: int = PICTURE_PX) -> None:
        super().__init__()
        self.picture_px = picture_px
        self.trunk = InceptionResNetTrunk()
        self.dropout = nn.Dropout(0.3)
        self.scoring = nn.Conv2d(768, self.FEATURE_CHANNELS, 1)
        self.upsampling = nn.ConvTranspose2d(self.FEATURE_CHANNELS, len(JOINTS), 17, 17)
        self.smoothing = SeparableGaussian(21, 1.0, SMOOTHING_GAIN)
        nn.init.constant_(self.upsampling.bias, _rare(self.DISC_PX, self.MAP_PX) / SMOOTHING_GAIN)  # type: ignore[arg-type]
        self.reading = SeparableGaussian(15, 0.7)

    def features(self, x_B3HW: Tensor) -> Tensor:
        """(B, 32, 17, 17) scores before upsampling. Raises ValueError where the pictures are not picture_px x picture_px."""
        _check_pictures(x_B3HW, self.picture_px)
        return self.scoring(self.dropout(self.trunk((x_B3HW / 255 - 0.5) * 2)))

    def forward(self, x_B3HW: Tensor) -> Tensor:
        return self.smoothing(self.upsampling(self.features(x_B3HW)))

    def joints(self, x_B3HW: Tensor) -> EstimatedJoints:
        """Joints and their probabilities."""
        return read_joints(self(x_B3HW), self.reading, self.picture_px)


class Bottleneck(nn.Module):
    """Residual block of 1 x 1, 3 x 3, 1 x 1 convolutions, `inner` channels within and 4 * inner out. Source: He et al., CVPR 2016.

    resting: passed by, an identity; for training that begins with fewer blocks.
    """

    resting = False

    def __init__(self, c_in: int, inner: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c_in, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(inner), nn.ReLU(),
            nn.Conv2d(inner, 4 * inner, 1, bias=False), nn.BatchNorm2d(4 * inner),
        )  # fmt: skip
        fits = stride == 1 and c_in == 4 * inner
        self.shortcut: nn.Module = (
            nn.Identity() if fits else nn.Sequential(nn.Conv2d(c_in, 4 * inner, 1, stride, bias=False), nn.BatchNorm2d(4 * inner))
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW if self.resting else F.relu(self.body(x_BCHW) + self.shortcut(x_BCHW))


def stage(c_in: int, inner: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """`blocks` bottlenecks, the first one with the stride."""
    first = Bottleneck(c_in, inner, stride, dilation)
    return nn.Sequential(first, *(Bottleneck(4 * inner, inner, 1, dilation) for _ in range(blocks - 1)))


class HumanPoseResNet152(nn.Module):
    """(B, 3, 256, 256) RGB 0-255 -> (B, 16, 256, 256) logits of joints; features (B, 16, 16, 16).

    3, 8, 36, 3 bottlenecks; the last stage keeps the size (output stride 16) and widens its kernels by a dilation of 2 instead.
    picture_px: another side of the pictures, a multiple of 16, for runs on small ones.
    """

    PICTURE_PX, MAP_PX, DISC_PX, FEATURE_CHANNELS = 256, 256, 11, 16

    recipe = HumanPoseIR.recipe
    small = HumanPoseIR.small

    def __init__(self, picture_px: int = PICTURE_PX) -> None:
        super().__init__()
        self.picture_px = picture_px
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.Sequential(stage(64, 64, 3), stage(256, 128, 8, 2), stage(512, 256, 36, 2), stage(1024, 512, 3, 1, dilation=2))
        self.scoring = nn.Conv2d(2048, len(JOINTS), 1)
        self.upsampling = nn.ConvTranspose2d(len(JOINTS), len(JOINTS), 16, 16)
        nn.init.constant_(self.upsampling.bias, _rare(self.DISC_PX, self.MAP_PX))  # type: ignore[arg-type]
        self.reading = SeparableGaussian(15, 0.7)

    def features(self, x_B3HW: Tensor) -> Tensor:
        """(B, 16, 16, 16) scores before upsampling. Raises ValueError where the pictures are not picture_px x picture_px."""
        _check_pictures(x_B3HW, self.picture_px)
        return self.scoring(self.stages(self.stem(x_B3HW / 255)))

    def forward(self, x_B3HW: Tensor) -> Tensor:
        return self.upsampling(self.features(x_B3HW))

    def joints(self, x_B3HW: Tensor) -> EstimatedJoints:
        """Joints and their probabilities."""
        return read_joints(self(x_B3HW), self.reading, self.picture_px)
