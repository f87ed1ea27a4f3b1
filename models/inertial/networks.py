"""The two networks of our own: `WalkTCN` marks walking, `GaitTCN` turns a gait window into an embedding.

Both are small temporal convolutional networks (Bai et al., "An Empirical Evaluation of Generic Convolutional and Recurrent Networks",
2018), written as two-dimensional convolutions of height one in channels-last layout, which run about 1.5 times faster on a CPU than the
one-dimensional ones. Both are pure functions of a fixed-length input and hold their preprocessing inside.

Shape letters: B batch, C channel, T time (50 Hz), D embedding; 6 are the device's axes (models.types.INERTIAL_CHANNELS).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.inertial.channels import INVARIANT_CHANNELS, PRODUCT_CHANNELS, StreamChannels, WindowChannels


class ConvNorm(nn.Module):
    """Convolution along time, batch normalisation, optional rectifier. After `fold` the normalisation is part of the convolution."""

    def __init__(self, c_in: int, c_out: int, kernel: int, *, stride: int = 1, dilation: int = 1, relu: bool = True) -> None:
        super().__init__()
        padding = (kernel - 1) * dilation // 2
        self.conv = nn.Conv2d(c_in, c_out, (1, kernel), (1, stride), (0, padding), (1, dilation), bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(c_out)
        self.relu = relu

    def forward(self, x_BC1T: Tensor) -> Tensor:
        y_BC1T = self.norm(self.conv(x_BC1T))
        return F.relu(y_BC1T, inplace=True) if self.relu else y_BC1T

    def fold(self) -> None:
        """Merges the normalisation into the convolution; for inference only."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Two convolutions and a shortcut, length and channels kept."""

    def __init__(self, channels: int, kernel: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, kernel, dilation=dilation)
        self.second = ConvNorm(channels, channels, kernel, dilation=dilation, relu=False)

    def forward(self, x_BC1T: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x_BC1T)).add_(x_BC1T), inplace=True)


class WalkTCN(nn.Module):
    """(B, context + block + lookahead, 6) raw samples -> (B, block) logits of walking, one per sample of the block."""

    CONTEXT, BLOCK, LOOKAHEAD = 128, 64, 32
    """Grid samples at 50 Hz: 2.56 s of past, a decision every 1.28 s, 0.64 s of look-ahead."""

    context_samples, block_samples, lookahead_samples = CONTEXT, BLOCK, LOOKAHEAD

    STRIDE = 4
    """The trunk runs at 12.5 Hz; its last layer gives the four samples of each step."""

    DILATIONS = (1, 2, 4)
    """Of the residual blocks; each answers from 2 x dilation steps on either side."""

    GRAVITY_SAMPLES = 65
    """1.3 s, more than a stride: long enough to average a step out, short enough to follow sitting down."""

    def __init__(self, channels: int = 40) -> None:
        super().__init__()
        self.channels = StreamChannels(self.CONTEXT + self.BLOCK + self.LOOKAHEAD, self.GRAVITY_SAMPLES)
        self.stem = ConvNorm(INVARIANT_CHANNELS, channels, 9, stride=self.STRIDE)
        self.trunk = nn.Sequential(*(Residual(channels, 3, dilation=dilation) for dilation in self.DILATIONS))
        self.head = nn.Conv2d(channels, self.STRIDE, 1)

    def forward(self, x_BT6: Tensor) -> Tensor:
        # Only what the block's answers depend on is computed, two thirds: each layer drops the steps at its beginning that lack their past.
        first = self.CONTEXT // self.STRIDE - 2 * sum(self.DILATIONS) - 1
        h_BC1T = self.stem(self.channels(x_BT6)[..., first * self.STRIDE :])[..., 1:]
        for block, dilation in zip(self.trunk, self.DILATIONS, strict=True):
            h_BC1T = block(h_BC1T)[..., 2 * dilation :]
        logits_B41T = self.head(h_BC1T[..., : self.BLOCK // self.STRIDE])
        return logits_B41T[:, :, 0].transpose(1, 2).flatten(1)


class GaitTCN(nn.Module):
    """(B, 128, 6) raw samples of walking -> (B, 128) embedding of unit length and (B,) quality in [0, 1].

    The embedding is a linear discriminant of features pooled at three depths, not the output that the losses see: the last layer knows the
    placements and people it was trained on, the earlier ones hold on devices, placements and people that are new. How much that is worth
    stands in models/evaluation/EXPERIMENTS.md.
    """

    WINDOW, HOP, DIM = 128, 64, 128
    """Grid samples at 50 Hz: windows of 2.56 s every 1.28 s."""

    MATCHED_DIM = 64
    """Directions that are compared: the first ones differ most between people. A site's transform chooses its own among all of them, and
    needs the others (EXPERIMENTS.md); the gallery's time goes with their number."""

    HEAD_DIM = 64
    """Of the output for the losses."""

    PRODUCT_DROPOUT, RATE_DROPOUT = 0.15, 0.1
    """Shares of training windows without the products and without the lengths of the angular rate: no channel may be needed."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.channels = WindowChannels()
        middle, wide = 3 * width // 2, 2 * width
        self.stages = nn.ModuleList(
            [
                ConvNorm(INVARIANT_CHANNELS + PRODUCT_CHANNELS, width, 9, stride=2),
                nn.Sequential(ConvNorm(width, middle, 5, stride=2), Residual(middle, 3)),
                nn.Sequential(ConvNorm(middle, wide, 3, stride=2), Residual(wide, 3), Residual(wide, 3)),
            ]
        )
        self.feature_count = 2 * (width + middle + wide)
        self.discriminant = nn.Linear(self.feature_count, self.DIM)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(2 * wide, self.HEAD_DIM))
        self.quality = nn.Sequential(nn.Linear(2 * wide, 16), nn.ReLU(), nn.Linear(16, 1))
        self.head_features = 2 * wide

    def features(self, x_BT6: Tensor) -> Tensor:
        """(B, F) mean and standard deviation over time after every stage; the last `head_features` are those of the last stage."""
        h_BC1T = self.channels(x_BT6)
        if self.training:
            h_BC1T = h_BC1T * self._kept(h_BC1T)
        pooled = []
        for stage in self.stages:
            h_BC1T = stage(h_BC1T)
            mean_BC1 = h_BC1T.mean(-1)
            sd_BC1 = (h_BC1T - mean_BC1[..., None]).square().mean(-1).add(1e-5).sqrt()
            pooled += [mean_BC1[..., 0], sd_BC1[..., 0]]
        return torch.cat(pooled, dim=1)

    def trained_vector(self, x_BT6: Tensor) -> Tensor:
        """(B, HEAD_DIM) unit rows: what the losses see."""
        return F.normalize(self.head(self.features(x_BT6)[:, -self.head_features :]), dim=1)

    def embed_features(self, features_BF: Tensor) -> Tensor:
        """(B, DIM) unit rows."""
        return F.normalize(self.discriminant(features_BF), dim=1)

    def quality_of_features(self, features_BF: Tensor) -> Tensor:
        """(B,) quality in [0, 1]."""
        return torch.sigmoid(self.quality(features_BF[:, -self.head_features :]))[:, 0]

    def forward(self, x_BT6: Tensor) -> tuple[Tensor, Tensor]:
        features_BF = self.features(x_BT6)
        return self.embed_features(features_BF), self.quality_of_features(features_BF)

    def _kept(self, c_BC1T: Tensor) -> Tensor:
        """(B, C, 1, 1) of zeros for the channels that a training window does without, else ones."""
        keep_BC11 = c_BC1T.new_ones(*c_BC1T.shape[:2], 1, 1)
        keep_BC11[torch.rand(len(c_BC1T)) < self.PRODUCT_DROPOUT, INVARIANT_CHANNELS:] = 0.0
        keep_BC11[torch.rand(len(c_BC1T)) < self.RATE_DROPOUT, INVARIANT_CHANNELS // 2 : INVARIANT_CHANNELS] = 0.0
        return keep_BC11


def prepare_for_inference(network: nn.Module) -> nn.Module:
    """The network itself, in evaluation mode, normalisation folded, in the memory layout that is fastest on a CPU."""
    network.eval()
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.fold()
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's overloads
