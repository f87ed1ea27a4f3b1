"""The published skeleton networks as the camera workers use an embedder: windows of COCO joints in, unit vectors and qualities out.

Shape letters: B batch, T 32 steps at 12.5 Hz, J 17 joints of COCO, D embedding; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.pose.joints import ORDERS
from models.skeleton.augment import centred
from models.skeleton.gaitformer import GaitFormer
from models.skeleton.inputs import SEEN, gaitformer_clip, standardised
from models.skeleton.st_gcn import STGCN
from models.types import CAMERA_HOP, CAMERA_WINDOW, KEYPOINTS

_TRUNK = [ORDERS["coco-17"].index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]


class PublishedSkeleton(nn.Module):
    """(B, 32, 17, 3) -> (B, D) unit vectors, (B,) quality: share of steps in which hips and shoulders are seen.

    The weights also hold how the run fed its network: `stride` among the 48 published frames, and whether GaitFormer averages its tokens.
    A window that shows no trunk becomes the same vector as every other such window, of quality 0.
    """

    WINDOW, HOP = CAMERA_WINDOW, CAMERA_HOP

    stride: Tensor
    averages: Tensor

    def __init__(self, build: Callable[[], GaitFormer | STGCN], *, stride: int = 1, averages: bool = False) -> None:
        super().__init__()
        self.network = build()
        self.register_buffer("stride", torch.tensor(stride))
        self.register_buffer("averages", torch.tensor(averages))

    @property
    def DIM(self) -> int:
        """D."""
        return self.network.DIM

    def forward(self, keypoints_BTJ3: Tensor, masks_BTHW: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """masks_BTHW are not looked at. Raises ValueError for another shape."""
        if tuple(keypoints_BTJ3.shape[1:]) != (self.WINDOW, KEYPOINTS, 3):
            raise ValueError(f"joints must be (B, {self.WINDOW}, {KEYPOINTS}, 3), not {tuple(keypoints_BTJ3.shape)}")
        quality_B = (keypoints_BTJ3[:, :, _TRUNK, 2].amin(dim=2) >= SEEN).float().mean(dim=1)
        x_B3TJ, shown_B = self._inputs(keypoints_BTJ3)
        vector_BD = torch.full((len(keypoints_BTJ3), self.DIM), self.DIM**-0.5, device=x_B3TJ.device)
        if shown_B.any():
            vector_BD[shown_B] = F.normalize(self._features(x_B3TJ[shown_B]).float(), dim=1)
        return vector_BD, quality_B * shown_B

    def _features(self, x_B3TJ: Tensor) -> Tensor:
        if isinstance(self.network, GaitFormer):
            self.network.pool = "mean" if self.averages else "first"
        return self.network.features(x_B3TJ)

    def _inputs(self, keypoints_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 48 / stride, 18), and which of them show somebody."""
        stride = int(self.stride)
        rows, shown = [], []
        for keypoints_TJ3 in keypoints_BTJ3.cpu().numpy():
            try:
                clip_NJ3 = centred(gaitformer_clip(keypoints_TJ3))
                shown.append(True)
            except ValueError:  # no trunk: nothing to scale by
                clip_NJ3 = np.zeros((48, 18, 3), np.float32)
                shown.append(False)
            rows.append(standardised(clip_NJ3[::stride]).transpose(2, 0, 1))
        device = keypoints_BTJ3.device
        return torch.from_numpy(np.stack(rows)).to(device), torch.tensor(shown, device=device)
