"""What a person wears, as colour histograms of trunk and thighs: tells people apart while they cross, never who somebody is.

Pixels are looked up along the limbs that the pose network found, so that background and neighbours hardly take part. A histogram is joint over
hue (opponent colours) and lightness with linear binning, compared by the Bhattacharyya coefficient (Kailath 1967; for tracking: Comaniciu,
Ramesh & Meer 2003).

Shape letters: J 17 joints of COCO, R trunk and thighs, A along, X across, P pixels, F features; 2 2 upper and lower, left and right.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.pose.boxes import Image
from models.types import Float32

SHOULDERS, HIPS, KNEES = [5, 6], [11, 12], [13, 14]

ALONG = 12
ACROSS = 7
LEAST_HALF_WIDTH = 0.18
"""Of the trunk's length: seen from the side both shoulders coincide, and what is looked up must still be more than a line."""

LIGHTNESS_BINS = 6
OPPONENT_BINS = 6
OPPONENT_SPAN = 64.0
"""Differences of colour channels beyond this many grey values count as this many: surveillance cameras rarely give more."""

_ENDS_R22 = np.array([[SHOULDERS, HIPS], [HIPS[:1] * 2, KNEES[:1] * 2], [HIPS[1:] * 2, KNEES[1:] * 2]])
"""Upper and lower pairs of joints of trunk and thighs."""
_HALF_WIDTHS_R1 = np.array([[1.0], [0.4], [0.4]])
_DOWN_A = np.linspace(0.12, 0.88, ALONG)
_ACROSS_X = np.linspace(-1.0, 1.0, ACROSS)
_TRUNK_POINTS, _THIGH_POINTS = ALONG * ACROSS, 2 * ALONG * ACROSS
_BINS_3 = np.array([LIGHTNESS_BINS, OPPONENT_BINS, OPPONENT_BINS])
_BINS = int(_BINS_3.prod())
_REGION_P = np.repeat([0, _BINS], [_TRUNK_POINTS, _THIGH_POINTS])
"""Where the histogram of a point's region begins."""
_STRIDE_L, _STRIDE_O = OPPONENT_BINS * OPPONENT_BINS, OPPONENT_BINS
_CORNERS_81 = (np.array([0, _STRIDE_L])[:, None, None] + np.array([0, _STRIDE_O])[:, None] + np.array([0, 1])).reshape(8, 1)
"""How far the eight nearest bins lie from the lowest of them."""
_VALUES_33 = np.array([[1 / 3, 0.0, -1.0], [1 / 3, -1.0, 0.5], [1 / 3, 1.0, 0.5]], np.float32)
"""Blue, green, red to lightness, red against green, yellow against blue."""
_LOWEST_3 = np.array([0.0, -OPPONENT_SPAN, -OPPONENT_SPAN], np.float32)
_HIGHEST_3 = np.array([255.0, OPPONENT_SPAN, OPPONENT_SPAN], np.float32)
_BINS_PER_VALUE_3 = ((_BINS_3 - 1) / (_HIGHEST_3 - _LOWEST_3)).astype(np.float32)

UNKNOWN = 0.3
"""Distance that is taken where one of the two was never seen: neither alike nor different."""


def appearance(image_HW3: Image, keypoints_J3: Float32) -> Float32 | None:
    """(2 * F,) histograms of trunk and thighs, each of sum one; None where one of the two lies outside the BGR picture."""
    ends_22R2 = keypoints_J3[:, :2].astype(np.float64)[_ENDS_R22.transpose(1, 2, 0)]
    height, width = image_HW3.shape[:2]
    x_P, y_P = _points(ends_22R2)
    inside_P = (x_P >= 0) & (x_P < width) & (y_P >= 0) & (y_P < height)
    trunk = np.count_nonzero(inside_P[:_TRUNK_POINTS])
    if trunk < 0.3 * _TRUNK_POINTS or np.count_nonzero(inside_P) - trunk < 0.3 * _THIGH_POINTS:
        return None
    bgr_P3 = image_HW3[y_P[inside_P], x_P[inside_P]].astype(np.float32)
    return _histograms(bgr_P3, _REGION_P[inside_P])


def distance(a: Float32 | None, b: Float32 | None) -> float:
    """0 (alike) to 1 (nothing in common): square root of 1 - Bhattacharyya coefficient, mean over both regions."""
    if a is None or b is None:
        return UNKNOWN
    alike_2 = np.sqrt(a * b).reshape(2, -1).sum(axis=1).tolist()
    return sum(math.sqrt(min(max(1.0 - alike, 0.0), 1.0)) for alike in alike_2) / 2


def _points(ends_22R2: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(P,) columns and rows of the pixels between upper and lower pairs of joints, region by region, at least LEAST_HALF_WIDTH to either side
    of the middle."""
    upper_R2, lower_R2 = ends_22R2.sum(axis=1) / 2
    trunk_px = math.hypot(*(upper_R2[0] - lower_R2[0]).tolist())
    middle_R2A = upper_R2[:, :, None] + (lower_R2 - upper_R2)[:, :, None] * _DOWN_A
    above_R, below_R = np.abs(ends_22R2[:, 0, :, 0] - ends_22R2[:, 1, :, 0])
    half_RA = np.maximum(0.35 * (above_R[:, None] + (below_R - above_R)[:, None] * _DOWN_A), LEAST_HALF_WIDTH * trunk_px * _HALF_WIDTHS_R1)
    x_RAX = middle_R2A[:, 0, :, None] + half_RA[:, :, None] * _ACROSS_X
    x_P, y_RA = np.rint(x_RAX).astype(np.intp).ravel(), np.rint(middle_R2A[:, 1]).astype(np.intp)
    return x_P, y_RA.repeat(ACROSS)


def _histograms(bgr_P3: Float32, begin_P: NDArray[np.int64]) -> Float32:
    """(2 * F,) per region the joint histogram of lightness, red against green and yellow against blue, each value shared by its two nearest
    bins."""
    value_P3 = (np.minimum(np.maximum(bgr_P3 @ _VALUES_33, _LOWEST_3), _HIGHEST_3) - _LOWEST_3) * _BINS_PER_VALUE_3
    lower_P3 = np.minimum(value_P3.astype(np.int64), _BINS_3 - 2)
    up_3P = (value_P3 - lower_P3).T
    light_2P, red_2P, yellow_2P = np.stack([1 - up_3P, up_3P], axis=1)
    weight_8P = light_2P[:, None, None] * red_2P[:, None] * yellow_2P
    lowest_P = lower_P3[:, 0] * _STRIDE_L + lower_P3[:, 1] * _STRIDE_O + lower_P3[:, 2] + begin_P
    histogram_2F = np.bincount((lowest_P + _CORNERS_81).ravel(), weight_8P.ravel(), minlength=2 * _BINS).reshape(2, _BINS)
    return (histogram_2F / histogram_2F.sum(axis=1, keepdims=True)).astype(np.float32).ravel()
