"""The trunk of the published pose network: Inception-ResNet-v2 as far as its second residual stage.

Source: Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", AAAI 2017, and the published
table of the pose network. Every convolution but the linear ones is followed by batch normalisation (shift only, eps 1e-3) and ReLU.
Shape letters: B batch, C channel, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.video.tensorflow import ShiftBatchNorm2d, same_average_pool

EPS = 1e-3

Kernel = int | tuple[int, int]


class ConvUnit(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU. same: whether zeros keep the size (stride 1 only)."""

    def __init__(self, c_in: int, c_out: int, kernel: Kernel, stride: int = 1, *, same: bool = True) -> None:
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if same else (0, 0)
        convolution = nn.Conv2d(c_in, c_out, (height, width), stride, padding, bias=False)
        super().__init__(convolution, ShiftBatchNorm2d(c_out, EPS), nn.ReLU())


class AveragedProjection(nn.Module):
    """Average of 3 x 3, zeros not counted, then a 1 x 1 unit."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.unit = ConvUnit(c_in, c_out, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.unit(same_average_pool(x_BCHW, 3))


class Parallel(nn.Module):
    """Branches on one input, joined along the channels."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return torch.cat([branch(x_BCHW) for branch in self.branches], dim=1)


class ScaledResidual(nn.Module):
    """x + scale * linear(branches(x)), then ReLU; `joined` channels come out of the branches, `channels` of the block.

    resting: passed by, an identity; for training that begins with fewer blocks.
    """

    resting = False

    def __init__(self, branches: Sequence[nn.Module], joined: int, channels: int, scale: float) -> None:
        super().__init__()
        self.branches = Parallel(branches)
        self.up = nn.Conv2d(joined, channels, 1)
        self.scale = scale

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW if self.resting else F.relu(x_BCHW + self.scale * self.up(self.branches(x_BCHW)))


def block35() -> ScaledResidual:
    """Residual block on 35 x 35 x 320."""
    branches = [
        ConvUnit(320, 32, 1),
        nn.Sequential(ConvUnit(320, 32, 1), ConvUnit(32, 32, 3)),
        nn.Sequential(ConvUnit(320, 32, 1), ConvUnit(32, 48, 3), ConvUnit(48, 64, 3)),
    ]
    return ScaledResidual(branches, 128, 320, 0.17)


def block17() -> ScaledResidual:
    """Residual block on 17 x 17 x 1088."""
    branches = [ConvUnit(1088, 192, 1), nn.Sequential(ConvUnit(1088, 128, 1), ConvUnit(128, 160, (1, 7)), ConvUnit(160, 192, (7, 1)))]
    return ScaledResidual(branches, 384, 1088, 0.10)


class InceptionResNetTrunk(nn.Module):
    """(B, 3, 299, 299) in -1 to 1 -> (B, 768, 17, 17): stem, mixed 5b, ten block35, mixed 6a, twenty block17, auxiliary tower."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvUnit(3, 32, 3, 2, same=False),
            ConvUnit(32, 32, 3, same=False),
            ConvUnit(32, 64, 3),
            nn.MaxPool2d(3, 2),
            ConvUnit(64, 80, 1, same=False),
            ConvUnit(80, 192, 3, same=False),
            nn.MaxPool2d(3, 2),
        )
        self.mixed_5b = Parallel(
            [
                ConvUnit(192, 96, 1),
                nn.Sequential(ConvUnit(192, 48, 1), ConvUnit(48, 64, 5)),
                nn.Sequential(ConvUnit(192, 64, 1), ConvUnit(64, 96, 3), ConvUnit(96, 96, 3)),
                AveragedProjection(192, 64),
            ]
        )
        self.blocks35 = nn.Sequential(*(block35() for _ in range(10)))
        self.mixed_6a = Parallel(
            [
                ConvUnit(320, 384, 3, 2, same=False),
                nn.Sequential(ConvUnit(320, 256, 1), ConvUnit(256, 256, 3), ConvUnit(256, 384, 3, 2, same=False)),
                nn.MaxPool2d(3, 2),
            ]
        )
        self.blocks17 = nn.Sequential(*(block17() for _ in range(20)))
        self.tower = nn.Sequential(ConvUnit(1088, 128, 1), ConvUnit(128, 768, 5))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.blocks35(self.mixed_5b(self.stem(x_BCHW)))
        x_BCHW = self.blocks17(self.mixed_6a(x_BCHW))
        return self.tower(same_average_pool(x_BCHW, 5))
