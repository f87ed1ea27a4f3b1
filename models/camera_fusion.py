"""`GaitCamera`, the default network of cameras: joints and silhouettes of one window as one unit vector.

The vector is the skeleton's times w beside the silhouette's times sqrt(1 - w²): the cosine of two such vectors is the weighted sum w² cos + (1 -
w²) cos of both networks' cosines, so fusing scores needs no second gallery. Where one input shows nobody, the other carries the vector alone.
The whole is then centred and whitened by how one person's vectors vary between pictures (`models.matching.site`): both networks learnt from
drawn joints and masks, these come from the real detector and pose network.

Shape letters: B batch, T 32 steps at 12.5 Hz, J 17 joints of COCO, H x W 64 x 44, D embedding; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.silhouette.gait_silhouette import PREPROCESSING as MASK_PREPROCESSING
from models.silhouette.gait_silhouette import GaitSilhouette
from models.skeleton.gait_skeleton import PREPROCESSING as JOINT_PREPROCESSING
from models.skeleton.gait_skeleton import GaitSkeleton
from models.types import CAMERA_HOP, CAMERA_WINDOW

PREPROCESSING = f"{JOINT_PREPROCESSING}+{MASK_PREPROCESSING}+whitened-1"


class GaitCamera(nn.Module):
    """(B, 32, 17, 3) joints and (B, 32, 64, 44) silhouettes -> (B, D) unit rows and (B,) quality in [0, 1].

    weight: w, kept with the weights; training chooses it on people that neither network has seen.  centre_D, matrix_DD: of the whitening.
    """

    WINDOW, HOP = CAMERA_WINDOW, CAMERA_HOP
    DIM = GaitSkeleton.DIM + GaitSilhouette.DIM

    weight: Tensor
    centre_D: Tensor
    matrix_DD: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.skeleton, self.silhouette = GaitSkeleton(), GaitSilhouette()
        self.register_buffer("weight", torch.tensor(0.5**0.5))
        self.register_buffer("centre_D", torch.zeros(self.DIM))
        self.register_buffer("matrix_DD", torch.eye(self.DIM))

    def forward(self, keypoints_BTJ3: Tensor, masks_BTHW: Tensor) -> tuple[Tensor, Tensor]:
        joints_BD, joints_B = self.skeleton(keypoints_BTJ3)
        masks_BD, masks_B = self.silhouette(masks_BTHW)
        vector_BD, quality_B = self.fused(joints_BD, joints_B, masks_BD, masks_B)
        return F.normalize((vector_BD - self.centre_D) @ self.matrix_DD, dim=1), quality_B

    def fused(self, joints_BD: Tensor, joints_B: Tensor, masks_BD: Tensor, masks_B: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors before the whitening, and qualities, of both networks' vectors and qualities; a quality of 0 says that its input shows nobody."""
        joints_share_B = self.weight.expand_as(joints_B) * (joints_B > 0)
        masks_share_B = (1.0 - self.weight**2).sqrt().expand_as(masks_B) * (masks_B > 0)
        length_B = (joints_share_B.square() + masks_share_B.square()).sqrt()
        nobody_B = length_B == 0
        joints_share_B = torch.where(nobody_B, torch.ones_like(joints_share_B), joints_share_B / length_B.clamp(min=1e-6))
        masks_share_B = torch.where(nobody_B, torch.zeros_like(masks_share_B), masks_share_B / length_B.clamp(min=1e-6))
        vector_BD = torch.cat([joints_share_B[:, None] * joints_BD, masks_share_B[:, None] * masks_BD], dim=1)
        return vector_BD, joints_share_B.square() * joints_B + masks_share_B.square() * masks_B
