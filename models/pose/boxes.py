"""Boxes as rows x0, y0, x1, y1 in pixels: overlap, suppression, letterboxes, square crops.

Shape letters: N boxes, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Detections:
    """People found in one picture: boxes_N4 (N, 4) float32 in pixels of the picture, scores_N (N,) float32, best first."""

    boxes_N4: Float32
    scores_N: Float32

    def __post_init__(self) -> None:
        if self.boxes_N4.ndim != 2 or self.boxes_N4.shape[1] != 4 or self.scores_N.shape != (len(self.boxes_N4),):
            raise ValueError(f"Detections are (N, 4) and (N,), got {self.boxes_N4.shape} and {self.scores_N.shape}")

    def __len__(self) -> int:
        return len(self.boxes_N4)

    @classmethod
    def none(cls) -> Detections:
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def iou(a_N4: NDArray[Any], b_M4: NDArray[Any]) -> Float32:
    """(N, M) intersection over union."""
    a, b = np.asarray(a_N4, np.float32)[:, None], np.asarray(b_M4, np.float32)[None]
    size = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    inside = size[..., 0] * size[..., 1]
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return (inside / np.maximum(area_a + area_b - inside, 1e-6)).astype(np.float32)


def suppress(boxes_N4: Float32, scores_N: Float32, most_iou: float = 0.5, most: int = 32) -> Detections:
    """Greedy non-maximum suppression: of boxes that overlap more than `most_iou` the better one stays."""
    order = np.argsort(-scores_N, kind="stable")[:512]
    kept: list[int] = []
    overlap_NN = iou(boxes_N4[order], boxes_N4[order])
    open_N = np.ones(len(order), bool)
    for n in range(len(order)):
        if open_N[n]:
            kept.append(int(order[n]))
            open_N &= overlap_NN[n] <= most_iou
            if len(kept) == most:
                break
    return Detections(boxes_N4[kept].astype(np.float32), scores_N[kept].astype(np.float32))


def clip(boxes_N4: Float32, width_px: int, height_px: int) -> Float32:
    """Boxes cut at the border of the picture."""
    corner_4 = np.array([width_px, height_px, width_px, height_px], np.float32)
    return np.minimum(np.maximum(boxes_N4, 0), corner_4).astype(np.float32)


def letterbox(image_HW3: Image, side_w: int, side_h: int, padding: int = 0) -> tuple[Image, float]:
    """The picture scaled into the upper left of a (side_h, side_w) canvas, and the scale (canvas pixels per picture pixel)."""
    height, width = image_HW3.shape[:2]
    scale = min(side_w / width, side_h / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.full((side_h, side_w, 3), padding, np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(image_HW3, size, interpolation=cv2.INTER_LINEAR)
    return canvas, scale


def square_crop(image: NDArray[Any], box_4: NDArray[Any], side_px: int, margin: float) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A square of `side_px` around a box (longer side x margin, zeros outside), and the 2 x 3 map from crop to picture pixels."""
    x0, y0, x1, y1 = (float(v) for v in box_4)
    side = max(x1 - x0, y1 - y0, 1.0) * margin
    scale = side / side_px
    # Pixel centres: crop pixel u covers picture x from left + u * scale to left + (u + 1) * scale.
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    to_picture = np.array([[scale, 0, left + 0.5 * scale - 0.5], [0, scale, top + 0.5 * scale - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_picture, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_CONSTANT), to_picture
