"""GaitFormer: a transformer over 48 frames of a skeleton.

Source: Cosma, Radoi, "Learning Gait Representations with Noisy Multi-Task Learning", Sensors 22(18), 2022. Shape letters: B batch, 3 is
(x, y, confidence), T frames (48), J = 18 joints of OpenPose, D = 256, K = 128, A = 42.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.skeleton.appearance import SkeletonOutput, attribute_head
from models.video.recipe import Recipe

Pool = Literal["first", "mean"]

FRAMES, JOINTS, DIM = 48, 18, 256
LAYERS: dict[str, int] = {"sm": 4, "md": 8, "xl": 12}


class GaitFormer(nn.Module):
    """(B, 3, T, 18) skeletons, T up to 48 -> `SkeletonOutput`; features (B, 256) are unit vectors.

    pool: "first" takes the first frame's output, as the published code does; "mean" averages, as its figure shows.
    """

    DIM = DIM

    recipe = Recipe("adamw", 1e-4, 1024, epochs=400, schedule="cyclic", peak=1.5e-4, decay_every=10, weight_decay=0.01, clip=1.5)
    """Batch 1024 is 512 tracks in two views each. Temperature 0.001."""

    small = Recipe("adamw", 3e-4, 64, epochs=30, weight_decay=0.01, clip=1.5, published=False)

    def __init__(self, layers: int, pool: Pool = "first") -> None:
        super().__init__()
        self.pool = pool
        self.token = nn.Linear(JOINTS * 3, DIM)
        self.position_1TD = nn.Parameter(torch.randn(1, FRAMES, DIM))
        layer = nn.TransformerEncoderLayer(DIM, 8, 512, 0.1, activation="gelu", batch_first=True, norm_first=True)
        # a nested tensor is only for padded batches, and is not available to layers that normalise first
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.embedding = nn.Linear(DIM, DIM, bias=False)
        self.projection = nn.Linear(DIM, 128)
        self.attributes = attribute_head(DIM)

    def pooled(self, x_B3TJ: Tensor) -> Tensor:
        """(B, 256) before the embedding layer. Raises ValueError for another shape or more than 48 frames."""
        batch, axes, frames, joints = x_B3TJ.shape
        if (axes, joints) != (3, JOINTS) or not 1 <= frames <= FRAMES:
            raise ValueError(f"skeletons must be (B, 3, T <= {FRAMES}, {JOINTS}), not {tuple(x_B3TJ.shape)}")
        token_BTD = self.token(x_B3TJ.permute(0, 2, 3, 1).reshape(batch, frames, joints * axes)) + self.position_1TD[:, :frames]
        encoded_BTD: Tensor = self.encoder(token_BTD)
        return encoded_BTD[:, 0] if self.pool == "first" else encoded_BTD.mean(dim=1)

    def features(self, x_B3TJ: Tensor) -> Tensor:
        """(B, 256) unit vectors that are matched (published: nearest neighbour by L1)."""
        return F.normalize(self.embedding(self.pooled(x_B3TJ)), dim=1)

    def forward(self, x_B3TJ: Tensor) -> SkeletonOutput:
        pooled_BD = self.pooled(x_B3TJ)
        embedding_BD = self.embedding(pooled_BD)
        contrast_BK = F.normalize(self.projection(F.gelu(embedding_BD)), dim=1)
        return SkeletonOutput(F.normalize(embedding_BD, dim=1), contrast_BK, self.attributes(pooled_BD))
