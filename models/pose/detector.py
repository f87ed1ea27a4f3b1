"""EfficientDet-Lite0 (Tan, Pang & Le 2020): boxes of people in a picture.

Input: uint8 RGB 320 x 320, letterboxed with zeros.  Outputs: per anchor ty, tx, th, tw and 90 class scores (0 is person).
Anchors: 5 levels x 3 octaves x aspects 1, 2, 1/2, scale 3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from models.pose.boxes import Detections, Float32, Image, clip, letterbox, suppress
from models.pose.litert import Graph, GraphError, LiteRtGraph

SIDE_PX = 320
LEVEL_CELLS = (40, 20, 10, 5, 3)
ASPECTS = (1.0, 2.0, 0.5)
ANCHOR_SCALE = 3.0
PERSON = 0
LEAST_SCORE = 0.4
"""Recall .968 at precision .805 on street photographs, where small unlabelled people count as false; at .3 .978 and .696."""


class Detector(Protocol):
    """Finds people."""

    name: str

    def detect(self, image_HW3: Image) -> Detections:
        """People in a BGR picture, best first, boxes in its pixels."""


class EfficientDetLite0:
    """The default detector.  Raises GraphError for a file of another network."""

    name = "efficientdet-lite0"

    def __init__(self, path: Path, *, least_score: float = LEAST_SCORE, num_threads: int = 1, graph: Graph | None = None) -> None:
        """graph: the same file on another runtime (`models.pose.batched`)."""
        self._graph = graph or LiteRtGraph(path, num_threads)
        self._least_score = least_score
        self._anchors_A4 = anchors()
        count = len(self._anchors_A4)
        shapes = self._graph.output_shapes
        if self._graph.input_shape != (1, SIDE_PX, SIDE_PX, 3) or sorted(shapes) != [(1, count, 4), (1, count, 90)]:
            raise GraphError(f"{path.name} is not EfficientDet-Lite0: input {self._graph.input_shape}, outputs {shapes}")
        self._order = (shapes.index((1, count, 4)), shapes.index((1, count, 90)))

    def detect(self, image_HW3: Image) -> Detections:
        """People in a BGR picture."""
        canvas, scale = letterbox(image_HW3, SIDE_PX, SIDE_PX)
        raw_1A4, score_1AK = self._graph(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)[None], self._order)
        score_A = score_1AK[0, :, PERSON]
        rows = np.flatnonzero(score_A > self._least_score)
        boxes_N4 = decode(raw_1A4[0, rows], self._anchors_A4[rows]) / np.float32(scale)
        return suppress(clip(boxes_N4, image_HW3.shape[1], image_HW3.shape[0]), score_A[rows])


def anchors() -> Float32:
    """(19206, 4) centre y, centre x, height, width in pixels of the 320 x 320 input, in the order of the graph's outputs."""
    levels = []
    for cells in LEVEL_CELLS:
        stride = SIDE_PX / cells
        centre_y, centre_x = np.meshgrid((np.arange(cells) + 0.5) * stride, (np.arange(cells) + 0.5) * stride, indexing="ij")
        sizes = [
            (ANCHOR_SCALE * stride * 2 ** (octave / 3) / aspect**0.5, ANCHOR_SCALE * stride * 2 ** (octave / 3) * aspect**0.5)
            for octave in range(3)
            for aspect in ASPECTS
        ]
        size_K2 = np.array(sizes)
        centre_CC12 = np.stack([centre_y, centre_x], -1)[:, :, None].repeat(len(sizes), axis=2)
        level = np.concatenate([centre_CC12, np.broadcast_to(size_K2, (*centre_CC12.shape[:2], *size_K2.shape))], -1)
        levels.append(level.reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def decode(raw_N4: Float32, anchors_N4: Float32) -> Float32:
    """(N, 4) boxes x0, y0, x1, y1 from ty, tx, th, tw relative to anchors."""
    centre_N2 = raw_N4[:, :2] * anchors_N4[:, 2:] + anchors_N4[:, :2]
    half_N2 = np.exp(np.minimum(raw_N4[:, 2:], 8.0)) * anchors_N4[:, 2:] / 2
    return np.concatenate([(centre_N2 - half_N2)[:, ::-1], (centre_N2 + half_N2)[:, ::-1]], axis=1).astype(np.float32)
