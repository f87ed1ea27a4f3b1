"""Any detector or pose network, by path and a small description of what goes in and what comes out.

A description is a dataclass or the same fields as JSON beside the file (`net.onnx` → `net.json`), for example

    {"width_px": 416, "height_px": 416, "channels": "bgr", "low": 0, "high": 255, "padding": 114, "layout": "nchw", "output": "yolox"}

Shape letters: N candidates, J joints.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.blazepose import Pose
from models.pose.boxes import Detections, Float32, Image, clip, letterbox, square_crop, suppress
from models.pose.litert import GraphError
from models.pose.onnx import graph_of

YOLOX_STRIDES_PX = (8, 16, 32)
COCO_JOINTS = 17


@dataclass(frozen=True, slots=True)
class Description:
    """What a network wants and gives.

    low, high: what black and white become; dtype "uint8" passes pixels as they are.
    output: of a detector "yolox" (centre and log size per cell, objectness, classes) or "boxes" (rows x0, y0, x1, y1, score[, class] in
    input pixels); of a pose network "joints" (rows x, y, score, in this order).
    person: class number of people.  unit_joints: joints are in 0..1 instead of input pixels.  yx: rows begin with y.
    joints: for each COCO-17 joint the row that holds it.  margin: square crop around the box.
    """

    width_px: int
    height_px: int
    output: Literal["yolox", "boxes", "joints"]
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "uint8"] = "float32"
    low: float = 0.0
    high: float = 1.0
    padding: int = 0
    person: int = 0
    least_score: float = 0.4
    joints: tuple[int, ...] = tuple(range(COCO_JOINTS))
    unit_joints: bool = False
    yx: bool = False
    margin: float = 1.25

    def __post_init__(self) -> None:
        allowed = {
            "output": ("yolox", "boxes", "joints"),
            "channels": ("rgb", "bgr"),
            "layout": ("nchw", "nhwc"),
            "dtype": ("float32", "uint8"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise GraphError(f"description: {name} must be one of {', '.join(values)}, got {getattr(self, name)!r}")
        if not (32 <= self.width_px <= 4096 and 32 <= self.height_px <= 4096):
            raise GraphError(f"description: width_px and height_px must be 32..4096, got {self.width_px} x {self.height_px}")
        if len(self.joints) != COCO_JOINTS:
            raise GraphError(f"description: joints must name {COCO_JOINTS} rows, got {len(self.joints)}")
        if self.output == "yolox" and (self.width_px % YOLOX_STRIDES_PX[-1] or self.height_px % YOLOX_STRIDES_PX[-1]):
            raise GraphError(f"description: the sides of a yolox input are multiples of 32, got {self.width_px} x {self.height_px}")

    @classmethod
    def beside(cls, path: Path) -> Self:
        """The description in the JSON file beside a network.  Raises GraphError."""
        try:
            fields = json.loads(path.with_suffix(".json").read_text())
            if "joints" in fields:
                fields["joints"] = tuple(fields["joints"])
            return cls(**fields)
        except (OSError, ValueError, TypeError) as error:
            if isinstance(error, GraphError):
                raise
            raise GraphError(f"{path.with_suffix('.json').name} does not describe {path.name}: {error}") from error

    def tensor(self, image_HW3: Image) -> NDArray[Any]:
        """The network's input for a BGR picture of its size."""
        picture = cv2.cvtColor(image_HW3, cv2.COLOR_BGR2RGB) if self.channels == "rgb" else image_HW3
        x: NDArray[Any] = picture
        if self.dtype == "float32":
            x = picture.astype(np.float32) * np.float32((self.high - self.low) / 255) + np.float32(self.low)
        return np.ascontiguousarray((x.transpose(2, 0, 1) if self.layout == "nchw" else x)[None])


class DescribedDetector:
    """A detector network of the user's.  Raises GraphError when file and description do not go together."""

    def __init__(self, path: Path, description: Description | None = None) -> None:
        self.name = path.stem
        self._description = description or Description.beside(path)
        if self._description.output == "joints":
            raise GraphError(f"{path.name} is described as a pose network")
        self._graph = graph_of(path)
        self.detect(np.zeros((self._description.height_px, self._description.width_px, 3), np.uint8))

    def detect(self, image_HW3: Image) -> Detections:
        """People in a BGR picture, best first."""
        wanted = self._description
        canvas, scale = letterbox(image_HW3, wanted.width_px, wanted.height_px, wanted.padding)
        output = self._graph(wanted.tensor(canvas))[0]
        rows_NK = output.reshape(-1, output.shape[-1])
        boxes_N4, scores_N = self._yolox(rows_NK) if wanted.output == "yolox" else self._boxes(rows_NK)
        keep = scores_N > wanted.least_score
        boxes_N4 = clip(boxes_N4[keep] / np.float32(scale), image_HW3.shape[1], image_HW3.shape[0])
        return suppress(boxes_N4, scores_N[keep])

    def _yolox(self, rows_NK: Float32) -> tuple[Float32, Float32]:
        grids, strides = [], []
        for stride in YOLOX_STRIDES_PX:
            y, x = np.mgrid[: self._description.height_px // stride, : self._description.width_px // stride]
            grids.append(np.stack([x, y], -1).reshape(-1, 2))
            strides.append(np.full((len(grids[-1]), 1), stride))
        cell_N2, stride_N1 = np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)
        if len(rows_NK) != len(cell_N2) or rows_NK.shape[1] <= 5 + self._description.person:
            raise GraphError(
                f"{self.name} gives {rows_NK.shape}, yolox of this size has ({len(cell_N2)}, > {5 + self._description.person})"
            )
        centre_N2 = (rows_NK[:, :2] + cell_N2) * stride_N1
        half_N2 = np.exp(np.minimum(rows_NK[:, 2:4], 8.0)) * stride_N1 / 2
        return np.concatenate([centre_N2 - half_N2, centre_N2 + half_N2], axis=1), rows_NK[:, 4] * rows_NK[:, 5 + self._description.person]

    def _boxes(self, rows_NK: Float32) -> tuple[Float32, Float32]:
        if rows_NK.shape[1] not in (5, 6):
            raise GraphError(f"{self.name} gives rows of {rows_NK.shape[1]}, expected x0, y0, x1, y1, score[, class]")
        if rows_NK.shape[1] == 6:
            rows_NK = rows_NK[rows_NK[:, 5].astype(int) == self._description.person]
        order = [1, 0, 3, 2] if self._description.yx else [0, 1, 2, 3]
        return rows_NK[:, order], rows_NK[:, 4]


class DescribedPose:
    """A single-person pose network of the user's, without mask.  Raises GraphError when file and description do not go together."""

    def __init__(self, path: Path, description: Description | None = None) -> None:
        self.name = path.stem
        self._description = description or Description.beside(path)
        if self._description.output != "joints" or self._description.width_px != self._description.height_px:
            raise GraphError(f"{path.name} must be described with a square input and output joints")
        self._graph = graph_of(path)
        self.pose(np.zeros((64, 64, 3), np.uint8), np.array([0, 0, 64, 64]))

    def pose(self, image_HW3: Image, box_4: NDArray[Any]) -> Pose:
        """Pose of the person in the box of a BGR picture; the score is the mean confidence of the joints."""
        wanted = self._description
        crop, crop_23 = square_crop(image_HW3, box_4, wanted.width_px, wanted.margin)
        output = self._graph(wanted.tensor(crop))[0]
        if output.size % 3 or output.size // 3 <= max(wanted.joints):
            raise GraphError(f"{self.name} gives {output.shape}, expected rows x, y, score up to row {max(wanted.joints)}")
        rows_J3 = output.reshape(-1, 3)[list(wanted.joints)].astype(np.float32)
        xy_J2 = rows_J3[:, [1, 0]] if wanted.yx else rows_J3[:, :2]
        xy_J2 = xy_J2 * (wanted.width_px if wanted.unit_joints else 1)
        confidence_J1 = np.clip(rows_J3[:, 2:], 0, 1)
        picture_J2 = (xy_J2 - 0.5) @ crop_23[:, :2].T + crop_23[:, 2]
        return Pose(np.concatenate([picture_J2, confidence_J1], axis=1).astype(np.float32), float(confidence_J1.mean()), None, crop_23)
