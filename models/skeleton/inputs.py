"""What the published skeleton networks are fed, made from COCO-17 joints on the camera's time grid: the same for training and live use.

None of the papers ships its normalisation. Ours, for all three: hips in the origin, the median distance from mid-hip to neck is 1, y up, and
frames at the published 25 Hz, interpolated from the grid. Sources of the networks: see their modules.
Shape letters: T steps of the camera grid, N frames at 25 Hz, J joints of the network's order, 3 is (x, y, confidence).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.pose.joints import ORDERS, convert
from models.skeleton.augment import centred
from models.skeleton.disentangle import FRAMES
from models.skeleton.gaitnn import score_maps
from models.types import CAMERA_RATE_HZ, Float32

RATE_HZ = 25.0
"""Frame rate of CASIA-B, on which all three systems were published."""

SEEN = 0.3
"""Joints with less confidence are not used for the scale."""

MAP_SPAN = 2.5
"""Half the side of a pose map, in torso lengths: a person is about three and a half tall, arms and stride included."""


def at_published_rate(keypoints_TJ3: Float32) -> Float32:
    """(N, J, 3) frames at 25 Hz, linear between those of the grid; confidence is the lower of both neighbours'."""
    steps = len(keypoints_TJ3)
    place_N = np.arange(round((steps - 1) * RATE_HZ / CAMERA_RATE_HZ) + 1) * CAMERA_RATE_HZ / RATE_HZ
    before_N = np.minimum(place_N.astype(np.int64), steps - 1)
    after_N = np.minimum(np.ceil(place_N).astype(np.int64), steps - 1)
    share_N11 = (place_N - before_N).astype(np.float32)[:, None, None]
    frames_NJ3 = (1 - share_N11) * keypoints_TJ3[before_N] + share_N11 * keypoints_TJ3[after_N]
    frames_NJ3[..., 2] = np.minimum(keypoints_TJ3[before_N, :, 2], keypoints_TJ3[after_N, :, 2])
    return np.asarray(frames_NJ3, np.float32)


def normalised(keypoints_TJ3: Float32, order: str, *, walking: bool = False) -> Float32:
    """(N, J, 3) frames of another joint order, moments at which nobody was seen left out: y up, torso 1, mid-hip in the origin in every
    frame, or with `walking` in the first frame only. Joints that the order has and COCO lacks stay at the origin, confidence 0.

    Raises ValueError where there is no frame with hips and shoulders.
    """
    seen_TJ3 = keypoints_TJ3[(keypoints_TJ3[..., 2] > 0).any(axis=1)]
    if len(seen_TJ3) == 0:
        raise ValueError("nobody is seen in these joints")
    frames_N173 = at_published_rate(seen_TJ3)
    names = ORDERS["coco-17"]
    shoulders, hips = ([names.index(f"{side}_{part}") for side in ("left", "right")] for part in ("shoulder", "hip"))
    sure_N = frames_N173[:, shoulders + hips, 2].min(axis=1) >= SEEN
    torso_N = np.linalg.norm(frames_N173[:, shoulders, :2].mean(axis=1) - frames_N173[:, hips, :2].mean(axis=1), axis=1)
    if not sure_N.any() or (torso := float(np.median(torso_N[sure_N]))) <= 0:
        raise ValueError("no frame shows hips and shoulders: the joints cannot be scaled")
    hip_N12 = frames_N173[:, hips, :2].mean(axis=1, keepdims=True)
    points_NJ3 = convert(frames_N173, "coco-17", order)
    shifted_NJ2 = (points_NJ3[..., :2] - (hip_N12[:1] if walking else hip_N12)) / torso
    shifted_NJ2[..., 1] *= -1.0
    shifted_NJ2[points_NJ3[..., 2] <= 0] = 0.0
    return np.concatenate([shifted_NJ2, points_NJ3[..., 2:]], axis=2).astype(np.float32)


def gaitformer_clip(keypoints_TJ3: Float32) -> Float32:
    """(N, 18, 3) OpenPose joints for `models.skeleton.augment`, GaitFormer and ST-GCN."""
    return normalised(keypoints_TJ3, "openpose-18")


USUAL_HEIGHT_J = np.array(
    [1.4, 1.0, 1.0, 0.4, -0.1, 1.0, 0.4, -0.1, 0.0, -0.9, -1.6, 0.0, -0.9, -1.6, 1.45, 1.45, 1.5, 1.5], np.float32
)  # fmt: skip
"""Where a walker's joints of OpenPose are above the hips, in torso lengths."""

SPREAD_J2 = np.array(
    [
        (0.2, 0.15), (0.1, 0.1), (0.15, 0.1), (0.25, 0.15), (0.35, 0.2), (0.15, 0.1), (0.25, 0.15), (0.35, 0.2), (0.1, 0.05),
        (0.25, 0.15), (0.4, 0.2), (0.1, 0.05), (0.25, 0.15), (0.4, 0.2), (0.2, 0.15), (0.2, 0.15), (0.15, 0.15), (0.15, 0.15),
    ], np.float32
)  # fmt: skip
"""How far they are spread about that place, over people, moments and views."""


def standardised(clip_NJ3: Float32) -> Float32:
    """(..., 18, 3) joints of OpenPose with mean 0 and spread 1, about; unknown joints stay 0.

    People differ by a twentieth of a torso in places that the legs cross by a whole one: without this the network's first layer hands on
    little but the step, and a short training run never finds the rest. Applied after augmentation, which needs the hips at x = 0.
    """
    scaled_NJ3 = clip_NJ3.copy()
    scaled_NJ3[..., 1] -= USUAL_HEIGHT_J
    scaled_NJ3[..., :2] /= SPREAD_J2
    scaled_NJ3[clip_NJ3[..., 2] <= 0, :2] = 0.0
    return scaled_NJ3


def gaitformer_input(clip_N183: Float32) -> Tensor:
    """(3, 48, 18) from the middle of a clip."""
    return torch.from_numpy(np.ascontiguousarray(standardised(centred(clip_N183)).transpose(2, 0, 1)))


def disentangle_clip(keypoints_TJ3: Float32) -> Float32:
    """(N, 15, 2) joints, the mid-hip's way kept."""
    return np.ascontiguousarray(normalised(keypoints_TJ3, "disentangle-15", walking=True)[..., :2])


def fit_length(clip_NJ2: Float32, rng: np.random.Generator | None = None) -> Float32:
    """(64, J, 2): as published, shorter clips are repeated and of longer ones 64 frames are taken in order, drawn at random; without rng
    the 64 in the middle. Raises ValueError for an empty clip."""
    if rng is not None and len(clip_NJ2) > FRAMES:
        return clip_NJ2[np.sort(rng.choice(len(clip_NJ2), FRAMES, replace=False))]
    return centred(clip_NJ2, FRAMES)


def pose_maps(keypoints_TJ3: Float32) -> Tensor:
    """(N, 32, 17, 17) stand-ins for the published pose network's scores, from joints that any estimator found."""
    points_NJ3 = normalised(keypoints_TJ3, "mpii-16")
    place_NJ2 = points_NJ3[..., :2] * np.array([1.0, -1.0], np.float32)
    place_NJ2[points_NJ3[..., 2] <= 0] = np.nan
    return score_maps(torch.from_numpy(place_NJ2), low=-MAP_SPAN, high=MAP_SPAN)


def heights(keypoints_TJ3: Float32) -> NDArray[np.float64]:
    """(N, 16, 2) joints for the Fourier matcher, in torso lengths so that the distance from the camera does not matter; the body's own way up
    and down is kept, since hips and pelvis are among the joints compared.

    COCO has no head top: the middle of the ears stands in.
    """
    place_N162 = normalised(keypoints_TJ3, "mpii-16", walking=True)[..., :2].astype(np.float64)
    place_N162[:, ORDERS["mpii-16"].index("head_top")] = normalised(keypoints_TJ3, "disentangle-15", walking=True)[:, 0, :2]
    return place_N162
