"""Motion against a learned background (MOG2: Zivkovic 2004): the gate in front of the networks, for cameras that stand still.

The background is learned from frames in order, so a gate belongs to one camera and its answers depend on the frames since it began.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.boxes import Detections, Float32, Image

WORK_WIDTH_PX = 160
"""The gate looks at a reduced picture: people worth a pose are still many pixels tall in it, and it takes 0.5 ms."""
HISTORY_FRAMES = 250
VARIANCE_THRESHOLD = 16.0
"""Squared distance, in standard deviations, beyond which a pixel is no background."""
SHADOW = 127
"""MOG2's value for shadows, which are no motion."""
LEAST_SHARE = 0.002
"""Share of moving pixels that opens the gate: 8 x 4 pixels of 160 x 120."""
MARGIN_SHARE = 0.15
"""Of its height, what moves around a box belongs to whoever is in it: swinging arms, bags, a shadow that was not recognised as one."""
LEAST_HEIGHT_SHARE = 0.15
"""Lower blobs, relative to the picture, are no person whose pose could be seen."""
LEAST_ASPECT = 1.2
"""Height over width of an upright person with arms and legs apart."""


class MotionGate:
    """Background model of one camera.  `see` must get its frames in order."""

    def __init__(self) -> None:
        self._background = cv2.createBackgroundSubtractorMOG2(HISTORY_FRAMES, VARIANCE_THRESHOLD, detectShadows=True)
        self._kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        self._shape: tuple[int, ...] | None = None
        self.frames = 0
        self._scale = 1.0
        self._moving_HW: NDArray[np.bool_] = np.zeros((1, 1), np.bool_)

    def see(self, image_HW3: Image) -> bool:
        """Learn from a picture and say whether something moves in it.  Raises ValueError when the size of the pictures changes."""
        if self._shape is None:
            self._shape = image_HW3.shape
        elif self._shape != image_HW3.shape:
            raise ValueError(f"pictures of one camera must keep their size: {self._shape[:2]}, then {image_HW3.shape[:2]}")
        self._scale = min(1.0, WORK_WIDTH_PX / image_HW3.shape[1])
        small = cv2.resize(image_HW3, None, fx=self._scale, fy=self._scale, interpolation=cv2.INTER_AREA)
        foreground = cv2.morphologyEx((self._background.apply(small) > SHADOW).astype(np.uint8), cv2.MORPH_OPEN, self._kernel)
        self._moving_HW = foreground.astype(bool)
        self.frames += 1
        # MOG2 takes the whole first picture for background: whether people stand in it, only a detector can tell.
        return self.frames == 1 or _enough(self._moving_HW)

    def moves_outside(self, boxes_N4: Float32) -> bool:
        """Whether enough moves in the last picture, boxes (N, 4) in its pixels and what is near them left out."""
        outside_HW = self._moving_HW.copy()
        margin_N = MARGIN_SHARE * (boxes_N4[:, 3] - boxes_N4[:, 1])
        grown_N4 = (boxes_N4 + margin_N[:, None] * np.array([-1, -1, 1, 1])) * self._scale
        for x0, y0, x1, y1 in np.maximum(np.rint(grown_N4), 0).astype(int).tolist():
            outside_HW[y0:y1, x0:x1] = False
        return _enough(outside_HW)

    def people(self) -> Detections:
        """Upright moving blobs of the last picture: what is left without a detector network.  Scores are the filled shares of the boxes."""
        closed = cv2.morphologyEx(self._moving_HW.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(closed)
        boxes, scores = [], []
        for x, y, width, height, area in stats[1:].tolist():
            if height >= LEAST_HEIGHT_SHARE * closed.shape[0] and height >= LEAST_ASPECT * width:
                boxes.append([x, y, x + width, y + height])
                scores.append(area / (width * height))
        if not boxes:
            return Detections.none()
        order = np.argsort(-np.array(scores), kind="stable")
        scaled_N4 = (np.array(boxes, np.float32) / np.float32(self._scale))[order]
        return Detections(scaled_N4, np.array(scores, np.float32)[order])


def _enough(moving_HW: NDArray[np.bool_]) -> bool:
    return int(np.count_nonzero(moving_HW)) >= LEAST_SHARE * moving_HW.size
