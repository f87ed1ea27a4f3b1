"""GaitNet: silhouettes and identity from six frames of a person crop, end to end.

Source: Song, Huang, Huang, Jia, Wang, "GaitNet: an end-to-end network for gait based human identification", Pattern Recognition 96, 2019.
Shape letters: B batch of samples, F frames of a sample (6), N = B * F, C channel, H height, W width (64), D = 256 features, P people.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from models.video.recipe import Recipe
from models.video.running_average import FadingBatchNorm2d

Stage = Literal["seg", "rec", "joint", "sia"]

MEAN = 127.5
"""Taken from every BGR value 0-255; nothing is divided."""


def caffe_pool() -> nn.MaxPool2d:
    """Caffe counts the last, incomplete window of a pool: 60 -> 30, not 29."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class Segmentation(nn.Module):
    """(N, 3, 64, 64) BGR less 127.5 -> (N, 1, 64, 64) logits of the person's mask, through a 1 x 1 bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 48, 5), nn.ReLU(), caffe_pool(),
            nn.Conv2d(48, 128, 5), nn.ReLU(), caffe_pool(),
            nn.Conv2d(128, 192, 3), nn.ReLU(), nn.Conv2d(192, 192, 3), nn.ReLU(), nn.Conv2d(192, 192, 3), nn.ReLU(),
            nn.Conv2d(192, 1024, 7), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(1024, 1024, 1), nn.ReLU(), nn.Dropout(0.5),
        )  # fmt: skip
        self.deconvolution = nn.ConvTranspose2d(1024, 1, 64)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x_N3HW: Tensor) -> Tensor:
        return self.deconvolution(self.body(x_N3HW))


class ContextBlock(nn.Module):
    """Three parallel 3 x 3 convolutions of 32 channels with dilation 1, 2, 3, each normalised; joined to 96; ReLU."""

    def __init__(self, c_in: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c_in, 32, 3, padding=dilation, dilation=dilation), FadingBatchNorm2d(32)) for dilation in (1, 2, 3)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return torch.relu(torch.cat([branch(x_BCHW) for branch in self.branches], dim=1))


class Recognition(nn.Module):
    """(B, 1, 64, 64) sum of six masks -> (B, 256) features after ReLU; `head` gives (B, P) logits."""

    def __init__(self, people: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 64, 5), FadingBatchNorm2d(64), nn.ReLU(), caffe_pool(),
            ContextBlock(64), caffe_pool(), ContextBlock(96), caffe_pool(), ContextBlock(96), nn.Flatten(),
        )  # fmt: skip
        self.fc_fea = nn.Linear(96 * 7 * 7, 256)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(256, people)
        for layer in self.body.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.fc_fea.weight, 0.0, 0.005)
        nn.init.constant_(self.fc_fea.bias, 0.1)
        nn.init.normal_(self.head.weight, 0.0, 0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, fused_B1HW: Tensor) -> Tensor:
        return torch.relu(self.fc_fea(self.body(fused_B1HW)))


_SGD = partial(Recipe, "sgd", schedule="step", decay=0.1, momentum=0.9, weight_decay=5e-4)


class GaitNet(nn.Module):
    """(B, 6, 3, 64, 64) BGR 0-255 -> (B, P) logits over people. The masks of the six frames are summed before recognition."""

    FRAMES, SIZE_PX, DIM = 6, 64, 256

    stages: ClassVar[dict[Stage, Recipe]] = {
        "seg": _SGD(learning_rate=1e-4, batch=128, iterations=70_000, decay_every=60_000),
        "rec": _SGD(learning_rate=1e-2, batch=128, iterations=60_000, decay_every=20_000),
        "joint": _SGD(learning_rate=1e-2, batch=128, iterations=30_000, decay_every=10_000),
        "sia": _SGD(learning_rate=1e-3, batch=64, iterations=30_000, decay_every=10_000),
    }
    """Batch counts samples of six frames, in the last stage pairs of samples. Each stage starts from the one before."""

    recipe = stages["joint"]
    small = Recipe("adam", 3e-4, 16, iterations=600, published=False)

    def __init__(self, people: int) -> None:
        super().__init__()
        self.people = people
        self.segmentation = Segmentation()
        self.recognition = Recognition(people)

    def mask_logits(self, x_BF3HW: Tensor) -> Tensor:
        """(B, F, 1, 64, 64) logits of the masks. Raises ValueError for pictures of another size."""
        if x_BF3HW.ndim != 5 or tuple(x_BF3HW.shape[2:]) != (3, self.SIZE_PX, self.SIZE_PX):
            raise ValueError(f"samples must be (B, F, 3, {self.SIZE_PX}, {self.SIZE_PX}), not {tuple(x_BF3HW.shape)}")
        batch, frames = x_BF3HW.shape[:2]
        logits_N1HW: Tensor = self.segmentation(x_BF3HW.flatten(0, 1) - MEAN)
        return logits_N1HW.unflatten(0, (batch, frames))

    def features(self, x_BF3HW: Tensor) -> Tensor:
        """(B, 256) the vector that is matched."""
        return self.masks_to_features(torch.sigmoid(self.mask_logits(x_BF3HW)))

    def masks_to_features(self, mask_BF1HW: Tensor) -> Tensor:
        """(B, 256) from masks 0-1, predicted or given."""
        return self.recognition(mask_BF1HW.sum(dim=1))

    def logits(self, feature_BD: Tensor) -> Tensor:
        """(B, P) from features, with dropout in training."""
        return self.recognition.head(self.recognition.dropout(feature_BD))

    def forward(self, x_BF3HW: Tensor) -> Tensor:
        return self.logits(self.features(x_BF3HW))

    def groups(self, stage: Stage, rate: float | None = None) -> list[dict[str, Any]]:
        """Parameter groups of SGD in that stage: what is not trained is left out; biases of the recognition part learn twice as fast.

        rate: None for the published one.
        """
        rate = self.stages[stage].learning_rate if rate is None else rate
        groups: list[dict[str, Any]] = []
        if stage != "rec":
            groups.append({"params": list(self.segmentation.parameters()), "lr": rate})
        if stage != "seg":
            named = list(self.recognition.named_parameters())
            groups.append({"params": [p for name, p in named if not name.endswith("bias")], "lr": rate})
            groups.append({"params": [p for name, p in named if name.endswith("bias")], "lr": 2 * rate})
        return groups
