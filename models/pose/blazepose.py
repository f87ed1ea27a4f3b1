"""BlazePose landmark full (Bazarevsky et al. 2020): joints and mask of one person in a box.

Input: float RGB 256 x 256 in 0..1, a square around the person (longer side x 1.25).  Outputs: 39 x 5 (x, y, z in crop pixels, logits of
visibility and presence; 33 and 34 are hip centre and a point on the body's circle), a probability that a person is there, mask logits 256 x 256,
heat maps 64 x 64 x 39, world joints.  Shape letters: J joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.boxes import Float32, Image, square_crop
from models.pose.litert import Graph, GraphError, LiteRtGraph

SIDE_PX = 256
MARGIN = 1.25
LANDMARKS = 39
HEATMAP_CELLS = 64
REFINE_RADIUS = 3
"""Half of the 7 x 7 window of the heat map in which a landmark is refined."""
LEAST_HEAT = 0.5
"""A landmark whose heat map peaks lower stays where the regression put it."""

COCO_17_OF_LANDMARKS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""COCO-17: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left before right."""


@dataclass(frozen=True, slots=True)
class Pose:
    """One person in one picture.

    keypoints_J3: (17, 3) float32, COCO-17: x, y in pixels of the picture, confidence 0..1.
    score: probability that the crop shows a person.
    mask_HW: (256, 256) bool of the crop, or None where the network gives no mask.
    crop_23: (2, 3) map from crop to picture pixels.
    """

    keypoints_J3: Float32
    score: float
    mask_HW: NDArray[np.bool_] | None
    crop_23: NDArray[np.float64]


class PoseNetwork(Protocol):
    """Joints of a person whose box is known."""

    name: str

    def pose(self, image_HW3: Image, box_4: NDArray[Any]) -> Pose:
        """Pose of the person in the box of a BGR picture."""


class BlazePose:
    """The default pose network.  Raises GraphError for a file of another network."""

    name = "blazepose-full"

    def __init__(self, path: Path, *, num_threads: int = 1, graph: Graph | None = None) -> None:
        """graph: the same file on another runtime (`models.pose.batched`)."""
        self._graph = graph or LiteRtGraph(path, num_threads)
        wanted = [(1, LANDMARKS * 5), (1, 1), (1, SIDE_PX, SIDE_PX, 1), (1, HEATMAP_CELLS, HEATMAP_CELLS, LANDMARKS)]
        shapes = self._graph.output_shapes
        if self._graph.input_shape != (1, SIDE_PX, SIDE_PX, 3) or not set(wanted) <= set(shapes):
            raise GraphError(f"{path.name} is not a BlazePose landmark network: input {self._graph.input_shape}, outputs {shapes}")
        self._order = [shapes.index(shape) for shape in wanted]

    def pose(self, image_HW3: Image, box_4: NDArray[Any]) -> Pose:
        """Pose of the person in the box of a BGR picture."""
        crop, crop_23 = square_crop(image_HW3, box_4, SIDE_PX, MARGIN)
        x_1HW3 = np.multiply(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB)[None], np.float32(1 / 255), dtype=np.float32)
        landmarks, score, mask, heat = self._graph(x_1HW3, self._order)
        joints_J5 = landmarks.reshape(LANDMARKS, 5)[list(COCO_17_OF_LANDMARKS)]
        xy_J2 = refine(joints_J5[:, :2], heat[0][:, :, list(COCO_17_OF_LANDMARKS)])
        confidence_J = sigmoid(joints_J5[:, 3]) * sigmoid(joints_J5[:, 4])
        # Landmarks are in crop coordinates whose origin is a corner; the crop map takes pixel centres.
        picture_J2 = (xy_J2 - 0.5) @ crop_23[:, :2].T + crop_23[:, 2]
        keypoints_J3 = np.concatenate([picture_J2, confidence_J[:, None]], axis=1).astype(np.float32)
        return Pose(keypoints_J3, float(np.clip(score[0, 0], 0, 1)), mask[0, :, :, 0] > 0, crop_23)


def refine(xy_J2: Float32, heat_HWJ: Float32) -> Float32:
    """Landmarks moved to the centre of mass of the heat map around them, where the heat map is sure.

    xy_J2 in pixels of the 256 x 256 crop; heat_HWJ (64, 64, J) logits.
    """
    cells = HEATMAP_CELLS / SIDE_PX
    centre_J2 = np.floor(xy_J2 * cells).astype(int)
    refined_J2 = xy_J2.astype(np.float32).copy()
    for j, (cx, cy) in enumerate(centre_J2):
        if not (0 <= cx < HEATMAP_CELLS and 0 <= cy < HEATMAP_CELLS):
            continue
        x0, x1 = max(0, cx - REFINE_RADIUS), min(HEATMAP_CELLS, cx + REFINE_RADIUS + 1)
        y0, y1 = max(0, cy - REFINE_RADIUS), min(HEATMAP_CELLS, cy + REFINE_RADIUS + 1)
        window = sigmoid(heat_HWJ[y0:y1, x0:x1, j])
        if window.max() < LEAST_HEAT:
            continue
        total = window.sum()
        x = (window.sum(axis=0) * np.arange(x0, x1)).sum() / total
        y = (window.sum(axis=1) * np.arange(y0, y1)).sum() / total
        refined_J2[j] = x / cells, y / cells
    return refined_J2


def sigmoid(x: NDArray[Any]) -> Float32:
    """Logistic function, without overflow."""
    return (1 / (1 + np.exp(-np.clip(x, -60, 60)))).astype(np.float32)
