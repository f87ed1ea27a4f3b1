"""Every order of joints that the project meets, in one table, and the way from one order to another.

Sources of the orders: COCO (Lin et al., ECCV 2014); OpenPose-18 as the published skeleton transformer stores it; the 15 joints of the published
disentangling network; the 16 of MPII and LSP (`models.video.human_pose`); the 20 of the first Kinect as KGBD stores them; BlazePose's 33
landmarks; the 38 of CMU's motion capture.

Names are anatomical: "left" is the person's own left, whichever way the person faces.  Shape letters: J joints, N anything before them,
S and D joints of the source and of the destination order.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.types import Float32

ORDERS: dict[str, tuple[str, ...]] = {
    "coco-17": (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
        "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    "openpose-18": (
        "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "right_hip",
        "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
    ),
    "disentangle-15": (
        "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "mid_hip",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    ),
    "mpii-16": (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "mid_hip", "chest", "neck", "head_top",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    ),
    "kinect-20": (
        "head", "neck", "right_shoulder", "left_shoulder", "right_elbow", "left_elbow", "right_wrist", "left_wrist", "right_hand",
        "left_hand", "spine", "mid_hip", "right_hip", "left_hip", "right_knee", "left_knee", "right_ankle", "left_ankle",
        "right_foot", "left_foot",
    ),
    "blazepose-33": (
        "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer", "left_ear",
        "right_ear", "left_mouth", "right_mouth", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
        "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot", "right_foot",
    ),
    "cmu-38": (
        "mid_hip", "left_hip_joint", "left_hip", "left_knee", "left_ankle", "left_toe", "left_foot", "right_hip_joint", "right_hip",
        "right_knee", "right_ankle", "right_toe", "right_foot", "lower_back", "spine", "chest", "lower_neck", "neck", "head", "head_top",
        "left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand", "left_index", "left_fingers", "left_thumb_base",
        "left_thumb", "right_collar", "right_shoulder", "right_elbow", "right_wrist", "right_hand", "right_index", "right_fingers",
        "right_thumb_base", "right_thumb",
    ),
}  # fmt: skip
"""Joint names by name of the order."""

SUBSTITUTES: dict[str, tuple[tuple[str, ...], ...]] = {
    "neck": (("left_shoulder", "right_shoulder"),),
    "mid_hip": (("left_hip", "right_hip"),),
    "chest": (("left_shoulder", "right_shoulder"),),
    "head": (("left_ear", "right_ear"), ("nose",), ("neck", "head_top")),
    "left_ear": (("head",), ("neck", "head_top")),
    "right_ear": (("head",), ("neck", "head_top")),
}
"""What stands in for a joint that the source does not have: the mean of the first group that it has whole. Joints without an entry stay
unseen. A head without a face stands in for the ears, which lie on its axis, never for nose or eyes, which lie in front of it."""


def mirrored(order: str) -> NDArray[np.int64]:
    """(J,): joint j of a body seen in a mirror is joint mirrored[j] of the original. Raises KeyError for an unknown order."""
    names = ORDERS[order]
    swap = {"left": "right", "right": "left"}
    partner = ["_".join([swap.get(side, side), *rest]) for side, *rest in (name.split("_") for name in names)]
    return np.array([names.index(name) for name in partner])


@cache
def conversion(source: str, destination: str) -> Float32:
    """(D, S) float32: rows of weights that sum to one, all zero where the source has neither the joint nor a substitute.

    Raises KeyError for an unknown order.
    """
    have, want = ORDERS[source], ORDERS[destination]
    weight_DS = np.zeros((len(want), len(have)), np.float32)
    for d, name in enumerate(want):
        for group in ((name,), *SUBSTITUTES.get(name, ())):
            if all(part in have for part in group):
                for part in group:
                    weight_DS[d, have.index(part)] = 1.0 / len(group)
                break
    return weight_DS


def convert(points_NJC: NDArray[np.floating], source: str, destination: str = "coco-17") -> Float32:
    """(..., J, C) points in another order; joints that the source lacks are zero throughout, confidences included.

    Raises ValueError if the points do not have the joints of the source order, KeyError for an unknown order.
    """
    if points_NJC.ndim < 2 or points_NJC.shape[-2] != len(ORDERS[source]):
        raise ValueError(f"points of {source} must be (..., {len(ORDERS[source])}, C), got {points_NJC.shape}")
    return np.matmul(conversion(source, destination), points_NJC.astype(np.float32))
