"""Hand statistics of a walk's joints: the baseline that a skeleton network has to beat.

Lengths of bones, places of joints and angles of limbs in trunk lengths, each as mean and standard deviation over the window, and the beat of
the ankles: what earlier work on depth cameras compares people by (e.g. Andersson and Araujo, AAAI 2015: limb lengths and joint angles with a
nearest neighbour, on the very KGBD). Needs nothing learnt but each feature's mean and spread.

Shape letters: B batch, T steps, J 17 joints of COCO, K 13 joints used, F features; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

import numpy as np
import torch

from models.skeleton.gait_skeleton import BODY, BONES, JOINTS, body_frame
from models.types import CAMERA_RATE_HZ, Float32

ANGLES = tuple((1 + BODY.index(f"{side}_{a}"), 1 + BODY.index(f"{side}_{b}"), 1 + BODY.index(f"{side}_{c}")) for a, b, c in
               (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"), ("shoulder", "hip", "knee")) for side in ("left", "right"))  # fmt: skip
"""Triples of joints: the angle at the middle one."""

BEAT_HZ = (0.6, 3.0)
"""Where the stride's and the step's frequency lie."""


def hand_statistics(keypoints_BTJ3: Float32) -> Float32:
    """(B, F) statistics of windows of joints. Left and right are averaged, and x is taken without its sign: a mirror changes nothing."""
    with torch.inference_mode():
        place, sure = body_frame(torch.from_numpy(keypoints_BTJ3))
    place_BTK2, weight_BT = place.numpy(), (sure.amax(dim=-1) > 0).numpy().astype(np.float32)
    x_BTK, y_BTK = place_BTK2[..., 0], place_BTK2[..., 1]
    first, second = zip(*BONES, strict=True)
    bone_BTN = np.linalg.norm(place_BTK2[:, :, list(first)] - place_BTK2[:, :, list(second)], axis=-1)
    angle_BTA = np.stack([_angle(place_BTK2[:, :, a], place_BTK2[:, :, b], place_BTK2[:, :, c]) for a, b, c in ANGLES], axis=-1)
    width_BTM = np.abs(x_BTK[..., 1::2] - x_BTK[..., 2::2])
    y_BTM = (y_BTK[..., 1::2] + y_BTK[..., 2::2]) / 2
    bones_BTM = (bone_BTN + bone_BTN[..., _mirrored_bones()]) / 2
    angles_BTM = (angle_BTA[..., ::2] + angle_BTA[..., 1::2]) / 2
    rows_BTM = np.concatenate([width_BTM, y_BTM, y_BTK[..., :1], bones_BTM, angles_BTM], axis=-1)
    share_BT1 = (weight_BT / np.maximum(weight_BT.sum(1, keepdims=True), 1e-6))[..., None]
    mean_BM = (rows_BTM * share_BT1).sum(1)
    sd_BM = np.sqrt((((rows_BTM - mean_BM[:, None]) ** 2) * share_BT1).sum(1))
    return np.concatenate([mean_BM, sd_BM, _beat(width_BTM[..., -1], weight_BT > 0)], axis=1).astype(np.float32)


def _mirrored_bones() -> list[int]:
    swap = {k: (k + 1 if k % 2 else k - 1) if k else 0 for k in range(JOINTS)}
    return [next(i for i, pair in enumerate(BONES) if set(pair) == {swap[a], swap[b]}) for a, b in BONES]


def _angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    first, second = a - b, c - b
    cross = np.abs(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])
    return np.arctan2(cross, (first * second).sum(-1))


def _beat(width_BT: np.ndarray, seen_BT: np.ndarray) -> np.ndarray:
    """(B, 1) frequency in Hz at which the ankles' distance swings most."""
    centred = np.where(seen_BT, width_BT - (width_BT * seen_BT).sum(1, keepdims=True) / np.maximum(seen_BT.sum(1, keepdims=True), 1), 0.0)
    power_BF = np.abs(np.fft.rfft(centred * np.hanning(centred.shape[1]), 256)) ** 2
    hz_F = np.fft.rfftfreq(256, 1.0 / CAMERA_RATE_HZ)
    power_BF[:, (hz_F < BEAT_HZ[0]) | (hz_F > BEAT_HZ[1])] = 0.0
    return hz_F[power_BF.argmax(1)][:, None]


class HandStatistics:
    """Statistics, each centred and scaled by people to compare with, as unit vectors."""

    def __init__(self, keypoints_BTJ3: Float32) -> None:
        """keypoints_BTJ3: windows of those people, at least two."""
        rows = hand_statistics(keypoints_BTJ3)
        self._mean_F, self._sd_F = rows.mean(0), rows.std(0) + 1e-3

    def embed(self, keypoints_BTJ3: Float32) -> Float32:
        """(B, F) unit rows."""
        row_BF = (hand_statistics(keypoints_BTJ3) - self._mean_F) / self._sd_F
        return np.asarray(row_BF / np.maximum(np.linalg.norm(row_BF, axis=1, keepdims=True), 1e-9), np.float32)
