"""ST-GCN: convolutions over the skeleton's graph and over time, the published baseline of GaitFormer.

Source: Yan, Xiong, Lin, "Spatial temporal graph convolutional networks", AAAI 2018; sizes as published with GaitFormer. Shape letters:
B batch, C channel, T frames, J = 18 joints (V where summed over), K = 3 parts of a joint's neighbourhood, D = 256.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.skeleton.appearance import SkeletonOutput, attribute_head
from models.video.recipe import Recipe

EDGES = (
    (4, 3), (3, 2), (2, 1), (7, 6), (6, 5), (5, 1), (13, 12), (12, 11), (11, 5),
    (10, 9), (9, 8), (8, 2), (0, 1), (15, 0), (14, 0), (17, 15), (16, 14),
)  # fmt: skip
"""Bones of OpenPose's 18 joints."""

CENTRE = 1
"""The neck: neighbours nearer to it form the second part, farther ones the third."""

WIDTHS = (
    (3, 64, 1),
    (64, 64, 1),
    (64, 64, 1),
    (64, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 256, 1),
)


def hops_from(joint: int, joints: int = 18) -> list[int]:
    """Number of bones from the joint to every other."""
    near: dict[int, list[int]] = {j: [] for j in range(joints)}
    for a, b in EDGES:
        near[a].append(b)
        near[b].append(a)
    hops, queue = {joint: 0}, deque([joint])
    while queue:
        a = queue.popleft()
        for b in near[a]:
            if b not in hops:
                hops[b] = hops[a] + 1
                queue.append(b)
    return [hops[j] for j in range(joints)]


def spatial_partition(joints: int = 18) -> Tensor:
    """(3, J, J) weights from joint (second axis) to joint (third axis): equally far from the neck, nearer, farther.

    Each neighbourhood is normalised by its size (the column's sum over all parts is 1).
    """
    adjacent_JJ = torch.eye(joints)
    for a, b in EDGES:
        adjacent_JJ[a, b] = adjacent_JJ[b, a] = 1.0
    normal_JJ = adjacent_JJ / adjacent_JJ.sum(dim=0, keepdim=True)
    hop_J = torch.tensor(hops_from(CENTRE, joints))
    difference_JJ = hop_J[:, None] - hop_J[None, :]
    return torch.stack([normal_JJ * (difference_JJ == 0), normal_JJ * (difference_JJ < 0), normal_JJ * (difference_JJ > 0)])


class GraphBlock(nn.Module):
    """(B, C, T, J) -> (B, C', ceil(T / stride), J): graph convolution, then nine frames of time, with a residual path."""

    def __init__(self, c_in: int, c_out: int, stride: int, dropout: float, *, residual: bool) -> None:
        super().__init__()
        self.graph = nn.Conv2d(c_in, 3 * c_out, 1)
        self.time = nn.Sequential(
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
            nn.Conv2d(c_out, c_out, (9, 1), (stride, 1), (4, 0)),
            nn.BatchNorm2d(c_out),
            nn.Dropout(dropout),
        )
        self.shortcut: nn.Module | None = None
        if residual:
            same = c_in == c_out and stride == 1
            self.shortcut = nn.Identity() if same else nn.Sequential(nn.Conv2d(c_in, c_out, 1, (stride, 1)), nn.BatchNorm2d(c_out))

    def forward(self, x_BCTJ: Tensor, weight_KVJ: Tensor) -> Tensor:
        part_BKCTV = self.graph(x_BCTJ).unflatten(1, (3, -1))
        y_BCTJ = self.time(torch.einsum("bkctv,kvj->bctj", part_BKCTV, weight_KVJ))
        return F.relu(y_BCTJ if self.shortcut is None else y_BCTJ + self.shortcut(x_BCTJ))


class STGCN(nn.Module):
    """(B, 3, T, 18) skeletons of any length -> `SkeletonOutput`; features (B, 256) are unit vectors."""

    DIM = 256

    partition_KVJ: Tensor

    recipe = Recipe("adamw", 1e-3, 512, epochs=400, schedule="cyclic", peak=1.5e-2, decay_every=10, weight_decay=0.01, clip=1.5)
    """Temperature 0.01."""

    small = Recipe("adamw", 1e-3, 32, epochs=20, weight_decay=0.01, clip=1.5, published=False)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("partition_KVJ", spatial_partition(), persistent=False)
        self.input_norm = nn.BatchNorm1d(54)
        last = len(WIDTHS) - 1
        self.blocks = nn.ModuleList(
            GraphBlock(c_in, c_out, stride, 0.1 if k == last else 0.2, residual=k > 0) for k, (c_in, c_out, stride) in enumerate(WIDTHS)
        )
        self.importance = nn.ParameterList(torch.ones(3, 18, 18) for _ in WIDTHS)
        self.projection = nn.Linear(256, 128)
        self.attributes = attribute_head(256)

    def pooled(self, x_B3TJ: Tensor) -> Tensor:
        """(B, 256) mean over time and joints. Raises ValueError for another shape."""
        if x_B3TJ.ndim != 4 or (x_B3TJ.shape[1], x_B3TJ.shape[3]) != (3, 18):
            raise ValueError(f"skeletons must be (B, 3, T, 18), not {tuple(x_B3TJ.shape)}")
        frames = x_B3TJ.shape[2]
        flat_BFT = self.input_norm(x_B3TJ.permute(0, 3, 1, 2).reshape(len(x_B3TJ), 54, frames))
        x_BCTJ = flat_BFT.view(len(x_B3TJ), 18, 3, frames).permute(0, 2, 3, 1)
        for block, importance_KVJ in zip(self.blocks, self.importance, strict=True):
            x_BCTJ = block(x_BCTJ, self.partition_KVJ * importance_KVJ)
        return x_BCTJ.mean(dim=(2, 3))

    def features(self, x_B3TJ: Tensor) -> Tensor:
        """(B, 256) unit vectors that are matched."""
        return F.normalize(self.pooled(x_B3TJ), dim=1)

    def forward(self, x_B3TJ: Tensor) -> SkeletonOutput:
        pooled_BD = self.pooled(x_B3TJ)
        contrast_BK = F.normalize(F.gelu(self.projection(pooled_BD)), dim=1)
        return SkeletonOutput(F.normalize(pooled_BD, dim=1), contrast_BK, self.attributes(pooled_BD))
