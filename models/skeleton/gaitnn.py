"""GaitNN: identity from the score maps that a pose network computes for every frame of a walk.

Source: the published description of GaitNN (Margeta, 2017). Shape letters: B batch of walks, T frames, N = B * T, C channel (32 in), H and
W 17 x 17, U = 512 units, P people.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.published.tensorflow import BasicLSTM
from models.video.recipe import Recipe
from models.video.tensorflow import ResetFirstGRU, SamePlainConv2d, ShiftBatchNorm2d

Cell = Literal["gru", "lstm"]

EPS = 1e-4
UNITS = 512
SCORE_SCALE = 100.0
"""The pose network's scores are divided by this."""


class PreActivated(nn.Module):
    """Residual block: three times batch normalisation, ReLU, convolution (1 x 1, 3 x 3 with the stride, 1 x 1); ReLU after the sum."""

    def __init__(self, c_in: int, inner: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ShiftBatchNorm2d(c_in, EPS), nn.ReLU(), SamePlainConv2d(c_in, inner, (1, 1)),
            ShiftBatchNorm2d(inner, EPS), nn.ReLU(), SamePlainConv2d(inner, inner, (3, 3), stride),
            ShiftBatchNorm2d(inner, EPS), nn.ReLU(), SamePlainConv2d(inner, c_out, (1, 1)),
        )  # fmt: skip
        self.shortcut = SamePlainConv2d(c_in, c_out, (1, 1), stride) if stride > 1 else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.relu(self.body(x_NCHW) + self.shortcut(x_NCHW))


def elu_unit(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ELU."""
    return nn.Sequential(SamePlainConv2d(c_in, c_out, (kernel, kernel), bias=False), ShiftBatchNorm2d(c_out, EPS), nn.ELU())


class GaitNN(nn.Module):
    """(B, T, 32, 17, 17) scores of the pose network -> (B, P) logits; features (B, 512) are the mean over time of the recurrent layer.

    legacy: the published code computes three groups of residual blocks and throws their results away; they are left out. False puts them
    where they were meant to be.  shared: both recurrent layers use one set of weights, as some TensorFlow versions made of the code.
    """

    DIM = UNITS

    recipe = Recipe("rmsprop", 1e-3, 1, epochs=50, schedule="staircase", decay=0.96, decay_every=2, clip=0.1, published=False)
    """One walk a step, decay, optimizer and clipping are published; the rate and the number of epochs are not, and are ours."""

    small = Recipe("adam", 3e-4, 4, epochs=10, schedule="staircase", decay=0.96, decay_every=2, clip=1.0, published=False)

    def __init__(self, people: int, cell: Cell = "gru", layers: int = 1, *, legacy: bool = False, shared: bool = False) -> None:
        super().__init__()
        self.people = people

        def group(channels: int, inner: int, blocks: int) -> nn.Sequential:
            return nn.Sequential(*(PreActivated(channels, inner, channels) for _ in range(0 if legacy else blocks)))

        self.stem = elu_unit(32, 256, 1)
        self.group_b = group(256, 64, 3)
        self.down_c = PreActivated(256, 64, 512, 2)
        self.group_d = group(512, 128, 2)
        self.down_e = PreActivated(512, 128, 512, 2)
        self.group_f = group(512, 256, 1)
        self.last = nn.Sequential(elu_unit(512, 256, 1), elu_unit(256, 256, 3))
        self.descriptor = nn.Linear(256 * 5 * 5, UNITS)
        kind = ResetFirstGRU if cell == "gru" else BasicLSTM
        first = kind(UNITS, UNITS)
        self.recurrent = nn.Sequential(first, *(first if shared else kind(UNITS, UNITS) for _ in range(layers - 1)))
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(UNITS, people)

    def pose_descriptors(self, x_NCHW: Tensor) -> Tensor:
        """(N, 32, 17, 17) scores of single frames -> (N, 512)."""
        x_NCHW = self.group_b(self.stem(x_NCHW / SCORE_SCALE))
        x_NCHW = self.group_d(self.down_c(x_NCHW))
        x_NCHW = self.group_f(self.down_e(x_NCHW))
        # height, width, channel: the order in which TensorFlow flattens
        return self.descriptor(self.last(x_NCHW).permute(0, 2, 3, 1).flatten(1))

    def features(self, x_BTCHW: Tensor) -> Tensor:
        """(B, 512) identification vectors. Raises ValueError for another shape than (B, T, 32, 17, 17)."""
        if x_BTCHW.ndim != 5 or tuple(x_BTCHW.shape[2:]) != (32, 17, 17):
            raise ValueError(f"scores must be (B, T, 32, 17, 17), not {tuple(x_BTCHW.shape)}")
        batch, frames = x_BTCHW.shape[:2]
        pose_BTU = self.pose_descriptors(x_BTCHW.flatten(0, 1)).unflatten(0, (batch, frames))
        recurrent_BTU: Tensor = self.recurrent(pose_BTU)
        return recurrent_BTU.mean(dim=1)

    def forward(self, x_BTCHW: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x_BTCHW)))


def score_maps(place_TJ2: Tensor, *, low: float = -1.0, high: float = 1.0, scale: float = SCORE_SCALE) -> Tensor:
    """(T, 32, 17, 17) stand-ins for the pose network's scores, from 16 joints that another estimator found: ours, not published.

    Channels 0-15 are a Gaussian per joint of a deviation of one cell, channels 16-31 of three cells, times `scale`.
    place_TJ2: (T, 16, 2), low to high spans the map; NaN gives an empty map. Raises ValueError for another number of joints.
    """
    if place_TJ2.ndim != 3 or tuple(place_TJ2.shape[1:]) != (16, 2):
        raise ValueError(f"joints must be (T, 16, 2), not {tuple(place_TJ2.shape)}")
    cell_TJ2 = (place_TJ2 - low) / (high - low) * 16
    axis_N = torch.arange(17, dtype=cell_TJ2.dtype)
    squared = (axis_N - cell_TJ2[..., 1:2]).square()[..., :, None] + (axis_N - cell_TJ2[..., 0:1]).square()[..., None, :]
    return scale * torch.cat([torch.exp(-squared / (2 * width**2)) for width in (1.0, 3.0)], dim=1).nan_to_num(0.0)
