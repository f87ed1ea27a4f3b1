"""BlazePose landmark full (Bazarevsky et al. 2020): joints and mask of one person in a box.

Input: float RGB 256 x 256 in 0..1, a square around the person (longer side x 1.25).  Outputs: 39 x 5 (x, y, z in crop pixels, logits of
visibility and presence; 33 and 34 are hip centre and a point on the body's circle), a probability that a person is there, mask logits 256 x 256
(128 x 128 as `models.pose.trimmed`), heat maps 64 x 64 x 39, world joints.  Shape letters: J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.boxes import Float32, Image, square_crop
from models.pose.litert import Graph, GraphError, LiteRtGraph
from models.pose.trimmed import MASK_PX, trimmed

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
    mask_HW: bool of the crop, of any resolution, or None where the network gives no mask.
    crop_23: (2, 3) map from crop to picture pixels.
    """

    keypoints_J3: Float32
    score: float
    mask_HW: NDArray[np.bool_] | None
    crop_23: NDArray[np.float64]

    @property
    def mask_23(self) -> NDArray[np.float64]:
        """(2, 3) map from pixels of the mask to those of the picture.  Raises ValueError where there is no mask."""
        if self.mask_HW is None:
            raise ValueError("this pose network gives no mask")
        scale = SIDE_PX / len(self.mask_HW)
        shift_2 = self.crop_23[:, :2] @ np.full(2, (scale - 1) / 2)
        return np.concatenate([self.crop_23[:, :2] * scale, (self.crop_23[:, 2] + shift_2)[:, None]], axis=1)


class PoseNetwork(Protocol):
    """Joints of a person whose box is known."""

    name: str

    def pose(self, image_HW3: Image, box_4: NDArray[Any]) -> Pose:
        """Pose of the person in the box of a BGR picture."""


class BlazePose:
    """The default pose network.  Raises GraphError for a file of another network."""

    name = "blazepose-full"

    def __init__(self, path: Path, *, num_threads: int = 1, graph: Graph | None = None) -> None:
        """graph: the same graph on another runtime (`models.pose.batched`)."""
        self._graph = graph or pose_graph(path, num_threads)
        wanted = [(1, LANDMARKS * 5), (1, 1), (1, MASK_PX, MASK_PX, 1), (1, HEATMAP_CELLS, HEATMAP_CELLS, LANDMARKS)]
        shapes = self._graph.output_shapes
        if self._graph.input_shape != (1, SIDE_PX, SIDE_PX, 3) or not set(wanted) <= set(shapes):
            raise GraphError(f"{path.name} is not a BlazePose landmark network: input {self._graph.input_shape}, outputs {shapes}")
        self._order = [shapes.index(shape) for shape in wanted]

    def pose(self, image_HW3: Image, box_4: NDArray[Any]) -> Pose:
        """Pose of the person in the box of a BGR picture."""
        crop, crop_23 = square_crop(image_HW3, box_4, SIDE_PX, MARGIN)
        landmarks, score, mask, heat = self._graph(blaze_input(crop), self._order)
        joints_J5 = landmarks.reshape(LANDMARKS, 5)[list(COCO_17_OF_LANDMARKS)]
        xy_J2 = refine(joints_J5[:, :2], heat[0], COCO_17_OF_LANDMARKS)
        confidence_J = sigmoid(joints_J5[:, 3]) * sigmoid(joints_J5[:, 4])
        # Landmarks are in crop coordinates whose origin is a corner; the crop map takes pixel centres.
        picture_J2 = (xy_J2 - 0.5) @ crop_23[:, :2].T + crop_23[:, 2]
        keypoints_J3 = np.concatenate([picture_J2, confidence_J[:, None]], axis=1).astype(np.float32)
        return Pose(keypoints_J3, float(np.clip(score[0, 0], 0, 1)), mask[0, :, :, 0] > 0, crop_23)


def blaze_input(crop_HW3: Image) -> Float32:
    """(1, H, W, 3) RGB 0..1 of a BGR crop."""
    return np.multiply(cv2.cvtColor(crop_HW3, cv2.COLOR_BGR2RGB)[None], np.float32(1 / 255), dtype=np.float32)


def pose_graph(path: Path, num_threads: int = 1) -> LiteRtGraph:
    """The file as it is used here.  Raises GraphError for a file of another network."""
    return LiteRtGraph(path, num_threads, trimmed(path.read_bytes()))


def refine(xy_J2: Float32, heat_HWK: Float32, channels_J: Sequence[int]) -> Float32:
    """Landmarks moved to the centre of mass of the heat map around them, where the heat map is sure.

    xy_J2 in pixels of the 256 x 256 crop; heat_HWK (64, 64, K) logits, of which joint j has channel channels_J[j].
    """
    cells = HEATMAP_CELLS / SIDE_PX
    x_J, y_J = np.floor(xy_J2 * cells).astype(int).T
    around_R = np.arange(-REFINE_RADIUS, REFINE_RADIUS + 1)
    x_JR, y_JR = x_J[:, None] + around_R, y_J[:, None] + around_R
    in_x_JR, in_y_JR = (x_JR >= 0) & (x_JR < HEATMAP_CELLS), (y_JR >= 0) & (y_JR < HEATMAP_CELLS)
    last = HEATMAP_CELLS - 1
    window_JRR = heat_HWK[np.clip(y_JR, 0, last)[:, :, None], np.clip(x_JR, 0, last)[:, None], np.asarray(channels_J)[:, None, None]]
    weight_JRR = sigmoid(window_JRR) * (in_y_JR[:, :, None] & in_x_JR[:, None])
    inside_J = in_x_JR[:, REFINE_RADIUS] & in_y_JR[:, REFINE_RADIUS]
    sure_J = inside_J & (weight_JRR.max(axis=(1, 2)) >= LEAST_HEAT)
    weight_JRR = weight_JRR[sure_J]
    total_J = weight_JRR.sum(axis=(1, 2))
    refined_J2 = xy_J2.astype(np.float32)
    refined_J2[sure_J, 0] = (weight_JRR.sum(axis=1) * x_JR[sure_J]).sum(axis=1) / total_J / cells
    refined_J2[sure_J, 1] = (weight_JRR.sum(axis=2) * y_JR[sure_J]).sum(axis=1) / total_J / cells
    return refined_J2


def sigmoid(x: NDArray[Any]) -> Float32:
    """Logistic function, without overflow."""
    return (1 / (1 + np.exp(-np.clip(x, -60, 60)))).astype(np.float32)
