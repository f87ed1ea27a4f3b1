"""The published walking extractor: a U-Net along time over 6 x 1024 raw samples (20.48 s at 50 Hz), one probability per sample.

Every 1 x 16 convolution is preceded by reflect padding, 7 samples before and 8 behind. Initial weights are not published; Glorot-uniform
with zero biases, TensorFlow's own default, is taken.
Shape letters: B batch, C channel, T time; 6 are the device's axes, which stay rows of the picture until conv5_2.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.published import recipe

Variant = Literal["paper", "notebook"]


class TimeConv(nn.Conv2d):
    """Convolution of `rows` x 16 with ReLU, reflect-padded along time so that its length stays."""

    KERNEL = 16

    def __init__(self, c_in: int, c_out: int, rows: int = 1) -> None:
        super().__init__(c_in, c_out, (rows, self.KERNEL))

    def forward(self, x_BC6T: Tensor) -> Tensor:
        return F.relu(super().forward(F.pad(x_BC6T, (7, 8, 0, 0), mode="reflect")))


class UNet(nn.Module):
    """(B, 1024, 6) raw samples -> (B, 1024) logits of walking.

    variant: conv5_2 is one 6 x 16 convolution in the paper's table, a 1 x 16 and a 6 x 1 convolution in the published notebook.
    """

    WINDOW = 1024

    def __init__(self, variant: Variant = "paper") -> None:
        super().__init__()
        self.variant, self.recipe = variant, recipe.EXTRACTION
        self.conv1 = nn.Sequential(TimeConv(1, 64), TimeConv(64, 64))
        self.conv2 = nn.Sequential(TimeConv(64, 128), TimeConv(128, 128))
        self.conv3 = nn.Sequential(TimeConv(128, 256), TimeConv(256, 256), TimeConv(256, 256))
        self.upconv1 = nn.ConvTranspose2d(256, 128, (1, 2), (1, 2))
        self.conv4 = nn.Sequential(TimeConv(256, 128), TimeConv(128, 128))
        self.upconv2 = nn.ConvTranspose2d(128, 64, (1, 2), (1, 2))
        self.conv5_1 = TimeConv(128, 64)
        self.conv5_2: nn.Module
        if variant == "paper":
            self.conv5_2 = TimeConv(64, 64, rows=6)
            self.conv5_3 = nn.Conv2d(64, 1, 1)
        else:
            self.conv5_2 = nn.Sequential(TimeConv(64, 64), nn.Conv2d(64, 256, (6, 1)), nn.ReLU())
            self.conv5_3 = nn.Conv2d(256, 1, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x_BT6: Tensor) -> Tensor:
        h1_BC6T = self.conv1(x_BT6.transpose(1, 2).unsqueeze(1))
        h2_BC6T = self.conv2(F.max_pool2d(h1_BC6T, (1, 2)))
        h3_BC6T = self.conv3(F.max_pool2d(h2_BC6T, (1, 2)))
        h4_BC6T = self.conv4(torch.cat([h2_BC6T, self.upconv1(h3_BC6T)], dim=1))
        h5_BC6T = self.conv5_1(torch.cat([h1_BC6T, self.upconv2(h4_BC6T)], dim=1))
        return self.conv5_3(self.conv5_2(h5_BC6T))[:, 0, 0]

    def probability(self, x_BT6: Tensor) -> Tensor:
        """(B, 1024) probability of walking; the published decision is 0.5 per sample."""
        return torch.sigmoid(self(x_BT6))

    def penalty(self) -> Tensor:
        """The published loss has no L2 term: 0."""
        return torch.zeros((), device=self.conv5_3.weight.device)
