"""A mask of a picture as the 64 x 44 silhouette of the published data sets: height fills the rows, centre of mass in the middle column.

Shape letters: H x W any picture or crop.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import SILHOUETTE_SHAPE

LEAST_PIXELS = 20
"""A smaller mask is nobody."""

LEAST_HEIGHT_PX = 8


def aligned(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(64, 44) bool: the largest connected part, scaled with its proportions kept; all False where there is nobody.

    What is wider than 44 columns is cut off on both sides. Raises ValueError for anything but a two-dimensional mask.
    """
    if mask_HW.ndim != 2:
        raise ValueError(f"a mask must be (H, W), got {mask_HW.shape}")
    height, width = SILHOUETTE_SHAPE
    out = np.zeros(SILHOUETTE_SHAPE, bool)
    mask_HW8 = np.ascontiguousarray(mask_HW).view(np.uint8)
    left, top, w, h = cv2.boundingRect(mask_HW8)
    if w * h < LEAST_PIXELS:
        return out
    _, label_HW, stats, _ = cv2.connectedComponentsWithStats(mask_HW8[top : top + h, left : left + w], connectivity=8)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    left, top, w, h, area = stats[largest].tolist()
    if area < LEAST_PIXELS or h < LEAST_HEIGHT_PX:
        return out
    part = (label_HW[top : top + h, left : left + w] == largest).astype(np.float32)
    scaled_w = max(1, round(w * height / h))
    shrinking = h > height
    scaled = cv2.resize(part, (scaled_w, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR) > 0.5
    column_W = scaled.sum(axis=0)
    pixels = int(column_W.sum())
    if not pixels:
        return out
    middle = round(float(column_W @ np.arange(scaled_w)) / pixels)
    begin = middle - width // 2
    source = slice(max(0, begin), min(scaled_w, begin + width))
    out[:, source.start - begin : source.stop - begin] = scaled[:, source]
    return out
