"""What a person wears, as colour histograms of trunk and thighs: tells people apart while they cross, never who somebody is.

Pixels are looked up along the limbs that the pose network found, so that background and neighbours hardly take part. A histogram is joint over
hue (opponent colours) and lightness with linear binning, compared by the Bhattacharyya coefficient (Kailath 1967; for tracking: Comaniciu,
Ramesh & Meer 2003).

Shape letters: J 17 joints of COCO, R trunk and thighs, A along, X across, P pixels, F features.
"""

from __future__ import annotations

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
_HALF_WIDTHS_R = np.array([1.0, 0.4, 0.4])
_DOWN_A1 = np.linspace(0.12, 0.88, ALONG)[:, None]
_ACROSS_X = np.linspace(-1.0, 1.0, ACROSS)
_BINS_3 = np.array([LIGHTNESS_BINS, OPPONENT_BINS, OPPONENT_BINS])
_BINS = int(_BINS_3.prod())
_STRIDES_3 = np.array([OPPONENT_BINS * OPPONENT_BINS, OPPONENT_BINS, 1])
_CORNERS_83 = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(8, 3)
_OPPONENTS_32 = np.array([[0.0, -1.0], [-1.0, 0.5], [1.0, 0.5]], np.float32)
"""Blue, green, red to red against green and yellow against blue."""
_BINS_PER_VALUE_3 = np.array([(LIGHTNESS_BINS - 1) / 255.0, *2 * [(OPPONENT_BINS - 1) / (2 * OPPONENT_SPAN)]], np.float32)

UNKNOWN = 0.3
"""Distance that is taken where one of the two was never seen: neither alike nor different."""


def appearance(image_HW3: Image, keypoints_J3: Float32) -> Float32 | None:
    """(2 * F,) histograms of trunk and thighs, each of sum one; None where one of the two lies outside the BGR picture."""
    xy_J2 = keypoints_J3[:, :2].astype(np.float64)
    ends_R222 = xy_J2[_ENDS_R22].swapaxes(0, 1)
    half_px = LEAST_HALF_WIDTH * float(np.hypot(*(ends_R222[0, 0].sum(0) - ends_R222[1, 0].sum(0)) / 2))
    points_P2 = _between(ends_R222[0], ends_R222[1], half_px * _HALF_WIDTHS_R)
    at_P2 = np.round(points_P2).astype(np.int64)
    inside_P: NDArray[np.bool_] = np.all((at_P2 >= 0) & (at_P2 < [image_HW3.shape[1], image_HW3.shape[0]]), axis=1)
    trunk = ALONG * ACROSS
    if np.count_nonzero(inside_P[:trunk]) < 0.3 * trunk or np.count_nonzero(inside_P[trunk:]) < 0.3 * (len(inside_P) - trunk):
        return None
    region_P = (np.arange(len(at_P2)) >= trunk)[inside_P]
    at_P2 = at_P2[inside_P]
    return _histograms(image_HW3[at_P2[:, 1], at_P2[:, 0]].astype(np.float32), region_P)


def distance(a: Float32 | None, b: Float32 | None) -> float:
    """0 (alike) to 1 (nothing in common): square root of 1 - Bhattacharyya coefficient, mean over both regions."""
    if a is None or b is None:
        return UNKNOWN
    coefficient_2 = np.sqrt(a * b).reshape(2, -1).sum(axis=1)
    return float(np.sqrt(np.clip(1.0 - coefficient_2, 0.0, 1.0)).mean())


def _between(upper_R22: NDArray[np.float64], lower_R22: NDArray[np.float64], half_R: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 2) points between upper and lower pairs of joints, region by region, at least `half_R` pixels to either side of the middle."""
    middle_RA2 = (1 - _DOWN_A1) * (upper_R22.sum(1) / 2)[:, None] + _DOWN_A1 * (lower_R22.sum(1) / 2)[:, None]
    apart_R1, below_R1 = (np.abs(pair_R22[:, 0, :1] - pair_R22[:, 1, :1])[:, None] for pair_R22 in (upper_R22, lower_R22))
    spread_RA1 = np.maximum(0.35 * ((1 - _DOWN_A1) * apart_R1 + _DOWN_A1 * below_R1), half_R[:, None, None])
    points_RAX2 = np.repeat(middle_RA2[:, :, None], ACROSS, axis=2)
    points_RAX2[..., 0] += _ACROSS_X * spread_RA1
    return points_RAX2.reshape(-1, 2)


def _histograms(bgr_P3: Float32, region_P: NDArray[np.bool_]) -> Float32:
    """(2 * F,) per region the joint histogram of lightness, red against green and yellow against blue, each value shared by its two nearest
    bins."""
    opponent_P2 = np.clip(bgr_P3 @ _OPPONENTS_32, -OPPONENT_SPAN, OPPONENT_SPAN) + OPPONENT_SPAN
    value_P3 = np.concatenate([bgr_P3.sum(axis=1, keepdims=True) / 3, opponent_P2], axis=1) * _BINS_PER_VALUE_3
    lower_P3 = np.minimum(value_P3.astype(np.int64), _BINS_3 - 2)
    up_P3 = value_P3 - lower_P3
    share_2P3 = np.stack([1 - up_P3, up_P3])
    weight_8P = (share_2P3[:, None, None, :, 0] * share_2P3[None, :, None, :, 1] * share_2P3[None, None, :, :, 2]).reshape(8, -1)
    index_P = lower_P3 @ _STRIDES_3 + region_P * _BINS
    index_8P = index_P + _CORNERS_83 @ _STRIDES_3[:, None]
    histogram_2F = np.bincount(index_8P.ravel(), weight_8P.ravel(), minlength=2 * _BINS).reshape(2, _BINS)
    return (histogram_2F / histogram_2F.sum(axis=1, keepdims=True)).astype(np.float32).ravel()
