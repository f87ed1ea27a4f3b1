"""How well joints are placed: PCK of the torso (Yang & Ramanan 2013) and of the head (Andriluka et al. 2014), joint by joint, and masks.

PCK@a: share of the visible joints that lie within a torsos of the truth; the torso is the line from the left shoulder to the right hip.
PCKh@.5: within half of the line from neck to crown. `swapped` tells in how many pictures the legs (knees and ankles) would fit better with left
and right exchanged, by more than a tenth of the torso: what a single view from the side hardly shows.

Shape letters: J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.people_pictures import LSP_14
from models.pose.joints import ORDERS
from models.types import Float32

COCO = ORDERS["coco-17"]
BODY = COCO[5:]
"""Shoulders to ankles: the joints that both LSP and COCO have under the same name."""
LEGS = ("left_knee", "right_knee", "left_ankle", "right_ankle")
SHARES = (0.1, 0.2, 0.5)
"""Of the torso."""
CLOSE = 0.1
"""Of the body's height: what issue 5 asks of the live path on KTH."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Joints of one person against the truth.

    error_J: pixels, joints as BODY, NaN where the truth does not know the joint.  swapped: legs fit better exchanged; None where unknown.
    torso_px, head_px, height_px: NaN where unknown.  score: of the pose network.
    """

    error_J: NDArray[np.float64]
    swapped: bool | None
    torso_px: float
    head_px: float
    height_px: float
    score: float


def against_lsp(keypoints_J3: Float32, truth_J3: Float32, score: float) -> Placed:
    """A pose (17, 3) against LSP's 14 joints, of which only the visible count."""
    rows = [LSP_14.index(name) for name in BODY]
    known_J = truth_J3[rows, 2] > 0
    truth_J2 = np.where(known_J[:, None], truth_J3[rows, :2], np.nan)
    neck_2, crown_2 = (truth_J3[LSP_14.index(name)] for name in ("neck", "head_top"))
    head_px = float(np.linalg.norm(neck_2[:2] - crown_2[:2])) if neck_2[2] > 0 and crown_2[2] > 0 else float("nan")
    return _placed(keypoints_J3, truth_J2, head_px, float("nan"), score)


def against_coco(keypoints_J3: Float32, truth_J3: Float32, height_px: float, score: float) -> Placed:
    """A pose (17, 3) against another one of the same joints."""
    rows = [COCO.index(name) for name in BODY]
    return _placed(keypoints_J3, truth_J3[rows, :2].astype(np.float64), float("nan"), height_px, score)


def _placed(keypoints_J3: Float32, truth_J2: NDArray[np.float64], head_px: float, height_px: float, score: float) -> Placed:
    ours_J2 = keypoints_J3[[COCO.index(name) for name in BODY], :2].astype(np.float64)
    shoulder_2, hip_2 = (truth_J2[BODY.index(name)] for name in ("left_shoulder", "right_hip"))
    torso_px = float(np.linalg.norm(shoulder_2 - hip_2))
    legs = [BODY.index(name) for name in LEGS]
    exchanged = [legs[1], legs[0], legs[3], legs[2]]
    as_named = float(np.linalg.norm(ours_J2[legs] - truth_J2[legs], axis=1).mean())
    crossed = float(np.linalg.norm(ours_J2[exchanged] - truth_J2[legs], axis=1).mean())
    swapped = None if np.isnan(as_named) or np.isnan(torso_px) else crossed < as_named - 0.1 * torso_px
    return Placed(np.linalg.norm(ours_J2 - truth_J2, axis=1), swapped, torso_px, head_px, height_px, score)


def figures_of(people: Sequence[Placed]) -> dict[str, float]:
    """pck_*: mean over the joints that are known, and joint by joint at .2 (left and right together); NaN where nothing is known."""
    error_NJ = np.stack([p.error_J for p in people])
    torso_N = np.array([p.torso_px for p in people])
    head_N = np.array([p.head_px for p in people])
    height_N = np.array([p.height_px for p in people])
    figures = {f"pck_torso_{share}": _within(error_NJ, share * torso_N) for share in SHARES}
    figures["pckh_0.5"] = _within(error_NJ, 0.5 * head_N)
    for part in dict.fromkeys(name.split("_")[1] for name in BODY):
        columns = [n for n, name in enumerate(BODY) if name.endswith(part)]
        figures[f"pck_torso_0.2 {part}"] = _within(error_NJ[:, columns], 0.2 * torso_N)
    mean_N = np.nanmean(np.where(np.isnan(error_NJ).all(1, keepdims=True), np.inf, error_NJ), axis=1)
    figures["mean_within_0.1_height"] = float((mean_N <= CLOSE * height_N).mean()) if np.isfinite(height_N).all() else float("nan")
    known = [p.swapped for p in people if p.swapped is not None]
    figures["legs_swapped"] = float(np.mean(known)) if known else float("nan")
    return figures


def _within(error_NJ: NDArray[np.float64], limit_N: NDArray[np.float64]) -> float:
    """Share of the errors that are known at most the person's limit."""
    known_NJ = np.isfinite(error_NJ) & np.isfinite(limit_N)[:, None]
    return float((error_NJ <= limit_N[:, None])[known_NJ].mean()) if known_NJ.any() else float("nan")


def mask_iou(found_HW: NDArray[np.bool_], true_HW: NDArray[np.bool_]) -> float:
    """Intersection over union of two silhouettes; 0 where both are empty."""
    return float((found_HW & true_HW).sum() / max(int((found_HW | true_HW).sum()), 1))
