"""What a person wears, as colour histograms of trunk and thighs: tells people apart while they cross, never who somebody is.

Pixels are looked up along the limbs that the pose network found, so that background and neighbours hardly take part. A histogram is joint over
hue (opponent colours) and lightness with linear binning, compared by the Bhattacharyya coefficient (Kailath 1967; for tracking: Comaniciu,
Ramesh & Meer 2003).

Shape letters: J 17 joints of COCO, P pixels, F features, N regions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.pose.boxes import Image
from models.types import Float32

SHOULDERS, HIPS, KNEES = (5, 6), (11, 12), (13, 14)

ALONG = 12
ACROSS = 7
LEAST_HALF_WIDTH = 0.18
"""Of the trunk's length: seen from the side both shoulders coincide, and what is looked up must still be more than a line."""

LIGHTNESS_BINS = 6
OPPONENT_BINS = 6
OPPONENT_SPAN = 64.0
"""Differences of colour channels beyond this many grey values count as this many: surveillance cameras rarely give more."""

UNKNOWN = 0.3
"""Distance that is taken where one of the two was never seen: neither alike nor different."""


def appearance(image_HW3: Image, keypoints_J3: Float32) -> Float32 | None:
    """(2 * F,) histograms of trunk and thighs, each of sum one; None where neither lies in the BGR picture."""
    xy = keypoints_J3[:, :2].astype(np.float64)
    shoulder, hip, knee = (xy[list(pair)] for pair in (SHOULDERS, HIPS, KNEES))
    trunk_px = float(np.linalg.norm(shoulder.mean(0) - hip.mean(0)))
    half_px = LEAST_HALF_WIDTH * trunk_px
    regions = [
        _between(shoulder, hip, half_px),
        np.concatenate([_between(hip[[side, side]], knee[[side, side]], 0.4 * half_px) for side in (0, 1)]),
    ]
    height, width = image_HW3.shape[:2]
    parts = []
    for points_P2 in regions:
        at_P2 = np.round(points_P2).astype(np.int64)
        inside_P = (at_P2 >= 0).all(1) & (at_P2 < [width, height]).all(1)
        if inside_P.mean() < 0.3:
            return None
        at_P2 = at_P2[inside_P]
        parts.append(_histogram(image_HW3[at_P2[:, 1], at_P2[:, 0]].astype(np.float32)))
    return np.concatenate(parts)


def distance(a: Float32 | None, b: Float32 | None) -> float:
    """0 (alike) to 1 (nothing in common): square root of 1 - Bhattacharyya coefficient, mean over both regions."""
    if a is None or b is None:
        return UNKNOWN
    coefficient_2 = np.sqrt(a * b).reshape(2, -1).sum(axis=1)
    return float(np.sqrt(np.clip(1.0 - coefficient_2, 0.0, 1.0)).mean())


def _between(upper_22: NDArray[np.float64], lower_22: NDArray[np.float64], half_px: float) -> NDArray[np.float64]:
    """(P, 2) points between an upper and a lower pair of joints, at least `half_px` to either side of the middle."""
    down = np.linspace(0.12, 0.88, ALONG)[:, None]
    middle = (1 - down) * upper_22.mean(0) + down * lower_22.mean(0)
    spread = 0.35 * ((1 - down) * np.abs(upper_22[0] - upper_22[1])[:1] + down * np.abs(lower_22[0] - lower_22[1])[:1])
    across = np.linspace(-1.0, 1.0, ACROSS)
    x = middle[:, :1] + across * np.maximum(spread, half_px)
    return np.stack([x, np.broadcast_to(middle[:, 1:], x.shape)], axis=-1).reshape(-1, 2)


def _histogram(bgr_P3: Float32) -> Float32:
    """(F,) joint histogram of lightness, red against green and yellow against blue, each value shared by its two nearest bins."""
    blue, green, red = bgr_P3.T
    lightness = bgr_P3.mean(axis=1) / 255.0 * (LIGHTNESS_BINS - 1)
    scale = (OPPONENT_BINS - 1) / (2 * OPPONENT_SPAN)
    first = (np.clip(red - green, -OPPONENT_SPAN, OPPONENT_SPAN) + OPPONENT_SPAN) * scale
    second = (np.clip((red + green) / 2 - blue, -OPPONENT_SPAN, OPPONENT_SPAN) + OPPONENT_SPAN) * scale
    bins = (LIGHTNESS_BINS, OPPONENT_BINS, OPPONENT_BINS)
    lower = [np.minimum(value.astype(np.int64), size - 2) for value, size in zip((lightness, first, second), bins, strict=True)]
    share = [value - low for value, low in zip((lightness, first, second), lower, strict=True)]
    histogram = np.zeros(bins[0] * bins[1] * bins[2])
    for corner in range(8):
        up = [(corner >> axis) & 1 for axis in range(3)]
        index = ((lower[0] + up[0]) * bins[1] + lower[1] + up[1]) * bins[2] + lower[2] + up[2]
        weight = np.prod([s if u else 1 - s for s, u in zip(share, up, strict=True)], axis=0)
        histogram += np.bincount(index, weight, minlength=len(histogram))
    return (histogram / histogram.sum()).astype(np.float32)
