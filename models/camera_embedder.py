"""The camera embedder as the workers use it: joints and silhouettes of windows in, unit vectors and qualities out, any batch size.

Shape letters: B batch, T 32 steps at 12.5 Hz, J 17 joints of COCO, H x W 64 x 44, D embedding; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.calibration import ScoreCalibration
from models.camera_fusion import GaitCamera
from models.silhouette.gait_silhouette import GaitSilhouette
from models.skeleton.gait_skeleton import GaitSkeleton
from models.skeleton.live import PublishedSkeleton
from models.types import KEYPOINTS, SILHOUETTE_SHAPE, Float32, ShapeError

CameraNetwork = GaitSkeleton | GaitSilhouette | GaitCamera | PublishedSkeleton

SLICE = 64
"""Items per forward pass: 64 windows of silhouettes are 23 MB as single-precision numbers."""


class CameraEmbedder:
    """Turns windows of a camera into points of one embedding space; a pure function of each window, without state.

    Networks of one input ignore the other.  name, space: registered name; name@hash of weights and preprocessing.  card: the model card.
    window, hop: 32 steps of the camera grid every 8.  dim, matched_dim: D, all of which is compared.
    """

    def __init__(self, network: CameraNetwork, name: str, space: str, card: Mapping[str, Any]) -> None:
        self.name, self.space, self.card = name, space, card
        self.window, self.hop, self.dim = network.WINDOW, network.HOP, network.DIM
        self.matched_dim = self.dim
        self.network = network.eval()

    @cached_property
    def calibration(self) -> ScoreCalibration:
        """What cosines of this space mean. Raises CalibrationError if the model card does not say."""
        return ScoreCalibration.from_card(self.card)

    @torch.inference_mode()
    def embed(self, keypoints_BTJ3: Float32, masks_BTHW: NDArray[np.bool_]) -> tuple[Float32, Float32]:
        """(B, 32, 17, 3) float32 pixels and confidences, (B, 32, 64, 44) bool -> (B, dim) float32 unit rows, (B,) float32 quality in [0, 1].

        Raises ShapeError for other shapes, or different numbers of both.
        """
        if keypoints_BTJ3.ndim != 4 or keypoints_BTJ3.shape[1:] != (self.window, KEYPOINTS, 3):
            raise ShapeError(f"keypoints_BTJ3 must be (B, {self.window}, {KEYPOINTS}, 3), got {keypoints_BTJ3.shape}")
        if masks_BTHW.shape != (len(keypoints_BTJ3), self.window, *SILHOUETTE_SHAPE):
            wanted = (len(keypoints_BTJ3), self.window, *SILHOUETTE_SHAPE)
            raise ShapeError(f"masks_BTHW must be {wanted}, got {masks_BTHW.shape}")
        vector_BD = np.empty((len(keypoints_BTJ3), self.dim), np.float32)
        quality_B = np.empty(len(keypoints_BTJ3), np.float32)
        for begin in range(0, len(keypoints_BTJ3), SLICE):
            part = slice(begin, begin + SLICE)
            joints = torch.from_numpy(np.ascontiguousarray(keypoints_BTJ3[part], np.float32))
            masks = torch.from_numpy(np.ascontiguousarray(masks_BTHW[part]))
            vector, quality = self._forward(joints, masks)
            vector_BD[part], quality_B[part] = vector.numpy(), quality.numpy()
        return vector_BD, quality_B

    def _forward(self, joints: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.network, GaitSkeleton):
            return self.network(joints)
        if isinstance(self.network, GaitSilhouette):
            return self.network(masks)
        return self.network(joints, masks)
