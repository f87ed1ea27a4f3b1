"""Training of the published pose networks on pictures with joints: filled discs by sigmoid cross-entropy, or Gaussians by squared error.

Small runs use small pictures and few of them; the network is whole, starts from fresh weights (published: from ImageNet) and is told by how
much it beats placing every joint where it is on average.
Shape letters: N pictures, B batch, J 16 joints, H, W side of the picture; 3 is RGB, or x, y, visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from models.data.vision_formats.pictures import JointPicture, squared
from models.types import Float32
from models.video.heatmaps import disc_loss, gaussian_loss
from models.video.human_pose import JOINTS, MIRRORED, HumanPoseIR, HumanPoseResNet152, read_joints

Target = Literal["disc", "gaussian"]

PoseNetwork = HumanPoseIR | HumanPoseResNet152

GAUSSIAN_PX = 5.0
"""Deviation of a Gaussian on the whole map; not published."""

LARGEST_SHIFT = 0.06
"""Of a picture's side, by which a training picture is moved. Sizes of the published augmentations are not known."""

SLICE = 8

TORSO = tuple(JOINTS.index(name) for name in ("upper_neck", "pelvis"))


@dataclass(frozen=True, slots=True)
class Pictures:
    """rgb_NHW3: (N, H, H, 3) uint8.  joints_NJ3: (N, 16, 3) in their pixels.  subject_N: who is shown."""

    rgb_NHW3: NDArray[np.uint8]
    joints_NJ3: Float32
    subject_N: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.rgb_NHW3)


def cropped(items: Sequence[JointPicture], side_px: int) -> Pictures:
    """Square crops of all people that have a visible joint. Raises ValueError where none has."""
    shown = [item for item in items if (item.joints_J3[:, 2] > 0).any()]
    if not shown:
        raise ValueError("no picture shows a joint")
    squares, joints = zip(*(squared(item, side_px) for item in shown), strict=True)
    return Pictures(np.stack(squares), np.stack(joints), np.array([item.subject for item in shown]))


class PoseTask:
    """A pose network on `models.training.engine`. Raises ValueError for another target."""

    def __init__(
        self, network: PoseNetwork, training: Pictures, held_out: Pictures, batch: int, device: str, target: Target = "disc"
    ) -> None:
        if target not in ("disc", "gaussian"):
            raise ValueError(f"targets are 'disc' or 'gaussian', not {target!r}")
        self.module: nn.Module = network
        self.network, self.batch, self.device, self.target = network, batch, device, target
        self.training, self.held_out = training, held_out

    def loss(self, rng: Generator) -> Tensor:
        chosen_B = rng.choice(len(self.training), self.batch, replace=len(self.training) < self.batch)
        x_B3HW, joints_BJ3 = self._varied(chosen_B, rng)
        return self._loss(self.network(x_B3HW), joints_BJ3)

    def _varied(self, chosen_B: NDArray[np.int64], rng: Generator) -> tuple[Tensor, Tensor]:
        """Pictures mirrored or not and moved a little."""
        rgb_BHW3, joints_BJ3 = self.training.rgb_NHW3[chosen_B].copy(), self.training.joints_NJ3[chosen_B].copy()
        side = rgb_BHW3.shape[1]
        most = round(LARGEST_SHIFT * side)
        for k in range(len(rgb_BHW3)):
            if rng.random() < 0.5:
                rgb_BHW3[k] = rgb_BHW3[k, :, ::-1]
                joints_BJ3[k, :, 0] = side - 1 - joints_BJ3[k, :, 0]
                joints_BJ3[k] = joints_BJ3[k, list(MIRRORED)]
            right, down = (int(value) for value in rng.integers(-most, most + 1, 2))
            rgb_BHW3[k] = np.roll(np.roll(rgb_BHW3[k], right, axis=1), down, axis=0)
            joints_BJ3[k, :, :2] += (right, down)
        inside_BJ = ((joints_BJ3[..., :2] >= 0) & (joints_BJ3[..., :2] < side)).all(axis=2)
        joints_BJ3[..., 2] *= inside_BJ
        return _tensor(rgb_BHW3, self.device), torch.from_numpy(joints_BJ3).to(self.device)

    def _loss(self, logits_BJHW: Tensor, joints_BJ3: Tensor) -> Tensor:
        shrunk = logits_BJHW.shape[-1] / self.network.MAP_PX  # discs and Gaussians shrink with the map
        place_BJ2 = joints_BJ3[..., :2] * (logits_BJHW.shape[-1] / self.network.picture_px)
        visible_BJ = (joints_BJ3[..., 2] > 0).float()
        if self.target == "disc":
            return disc_loss(logits_BJHW.float(), place_BJ2, visible_BJ, self.network.DISC_PX * shrunk)
        return gaussian_loss(logits_BJHW.float(), place_BJ2, visible_BJ, GAUSSIAN_PX * shrunk)

    def validate(self) -> dict[str, float]:
        """Loss and share of right joints of held-out pictures; "score" is less the loss, which is finer than the share."""
        found_NJ2, loss = self.found(self.held_out)
        rates = {f"pck{100 * share:g}": float(np.nanmean(rate)) for share, rate in correct_joints(found_NJ2, self.held_out).items()}
        return {**rates, "held_out_loss": loss, "score": -loss}

    @torch.no_grad()
    def found(self, pictures: Pictures) -> tuple[Float32, float]:
        """(N, 16, 2) joints in pixels of the pictures, and the mean loss."""
        self.network.eval()
        places, losses = [], []
        for first in range(0, len(pictures), SLICE):
            part = slice(first, first + SLICE)
            x_B3HW = _tensor(pictures.rgb_NHW3[part], self.device)
            joints_BJ3 = torch.from_numpy(pictures.joints_NJ3[part]).to(self.device)
            logits_BJHW = self.network(x_B3HW)
            losses.append(float(self._loss(logits_BJHW, joints_BJ3)) * len(x_B3HW))
            places.append(read_joints(logits_BJHW, self.network.reading, self.network.picture_px).place_BJ2.cpu().numpy())
        return np.concatenate(places), sum(losses) / len(pictures)


def _tensor(rgb_BHW3: NDArray[np.uint8], device: str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb_BHW3.transpose(0, 3, 1, 2))).to(device).float()


def correct_joints(found_NJ2: Float32, pictures: Pictures, shares: Sequence[float] = (0.2, 0.5)) -> dict[float, Float32]:
    """By share: (N,) of every picture the part of its visible joints that lie within so much of the torso (upper neck to pelvis) of where they
    were marked; NaN where the torso is not visible."""
    joints_NJ3 = pictures.joints_NJ3
    neck, pelvis = TORSO
    torso_N = np.linalg.norm(joints_NJ3[:, neck, :2] - joints_NJ3[:, pelvis, :2], axis=1)
    torso_N = np.where((joints_NJ3[:, TORSO, 2] > 0).all(axis=1) & (torso_N > 0), torso_N, np.nan)
    off_NJ = np.linalg.norm(found_NJ2 - joints_NJ3[..., :2], axis=2)
    visible_NJ = joints_NJ3[..., 2] > 0
    result = {}
    for share in shares:
        right_NJ = (off_NJ <= share * torso_N[:, None]) & visible_NJ
        rate_N = right_NJ.sum(axis=1) / np.maximum(visible_NJ.sum(axis=1), 1)
        result[share] = np.where(np.isnan(torso_N), np.nan, rate_N).astype(np.float32)
    return result


def usual_places(training: Pictures, pictures: Pictures) -> Float32:
    """(N, 16, 2) where joints are in the training pictures on average: what a pose network has to beat."""
    visible_NJ1 = (training.joints_NJ3[..., 2:] > 0).astype(np.float64)
    mean_J2 = (training.joints_NJ3[..., :2] * visible_NJ1).sum(axis=0) / np.maximum(visible_NJ1.sum(axis=0), 1)
    return np.repeat(mean_J2[None], len(pictures), axis=0).astype(np.float32)
