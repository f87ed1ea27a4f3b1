"""`GaitCamera`, the default network of cameras: joints and silhouettes of one window as one unit vector.

Both vectors, each times the square root of one half, lie side by side: the cosine of two such vectors is the mean of both networks' cosines, so
fusing scores needs no second gallery. Where one input shows nobody, the other carries the vector alone. The trunks are those of
`gait-skeleton` and `gait-silhouette`, which learnt from drawn joints and masks; the discriminants are of its own and learnt from pictures that
went through the real pose network (`models.training.camera_film`).

Shape letters: B batch, T 32 steps at 12.5 Hz, J 17 joints of COCO, H x W 64 x 44, D embedding; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.silhouette.gait_silhouette import PREPROCESSING as MASK_PREPROCESSING
from models.silhouette.gait_silhouette import GaitSilhouette
from models.skeleton.gait_skeleton import PREPROCESSING as JOINT_PREPROCESSING
from models.skeleton.gait_skeleton import GaitSkeleton
from models.types import CAMERA_HOP, CAMERA_WINDOW

PREPROCESSING = f"{JOINT_PREPROCESSING}+{MASK_PREPROCESSING}+filmed-2"


class GaitCamera(nn.Module):
    """(B, 32, 17, 3) joints and (B, 32, 64, 44) silhouettes -> (B, D) unit rows and (B,) quality in [0, 1].

    Equal shares, not chosen ones: on filmed walkers half and .7 for the joints did not differ.
    """

    WINDOW, HOP = CAMERA_WINDOW, CAMERA_HOP
    DIM = GaitSkeleton.DIM + GaitSilhouette.DIM

    def __init__(self) -> None:
        super().__init__()
        self.skeleton, self.silhouette = GaitSkeleton(), GaitSilhouette()

    def forward(self, keypoints_BTJ3: Tensor, masks_BTHW: Tensor) -> tuple[Tensor, Tensor]:
        joints_BD, joints_B = self.skeleton(keypoints_BTJ3)
        masks_BD, masks_B = self.silhouette(masks_BTHW)
        return self.fused(joints_BD, joints_B, masks_BD, masks_B)

    def fused(self, joints_BD: Tensor, joints_B: Tensor, masks_BD: Tensor, masks_B: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors and qualities, of both networks' vectors and qualities; a quality of 0 says that its input shows nobody."""
        joints_share_B, masks_share_B = 0.5 * (joints_B > 0), 0.5 * (masks_B > 0)
        nobody_B = joints_share_B + masks_share_B == 0
        joints_share_B = torch.where(nobody_B, torch.ones_like(joints_share_B), joints_share_B)
        total_B = joints_share_B + masks_share_B
        joints_share_B, masks_share_B = joints_share_B / total_B, masks_share_B / total_B
        vector_BD = torch.cat([joints_share_B.sqrt()[:, None] * joints_BD, masks_share_B.sqrt()[:, None] * masks_BD], dim=1)
        return vector_BD, joints_share_B * joints_B + masks_share_B * masks_B
