"""How well people are found: precision, recall and average precision at IoU .5, and recall by the person's height in the picture.

A found box is right if it overlaps a true box that no better found box has taken by at least half (Everingham et al. 2010). Average precision is
the area under the precision-recall curve made monotonous (the VOC definition since 2010).

Shape letters: P true people, N found people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.evaluation.report import Figure, over_people
from models.pose.boxes import Detections, iou
from models.types import Float32

MATCH_IOU = 0.5
HEIGHTS_PX = (0, 60, 90, 150, 250, 350, 10_000)
"""Borders of the classes of height. KTH's people are 50 to 110 tall, Penn-Fudan's 170 to 375."""
LEAST_IN_CLASS = 10
"""People of a height, below which no figure is given for it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a detector found in one picture.

    scores_N: of all boxes, best first.  right_N: whether each takes a true box.  taken_P: score of the box that took each true person, -inf
    where none did.  heights_P: of the true people, pixels.
    """

    scores_N: Float32
    right_N: NDArray[np.bool_]
    taken_P: NDArray[np.float64]
    heights_P: NDArray[np.float64]


def compared(found: Detections, boxes_P4: Float32) -> Found:
    """Found boxes, best first, each with the free true box that it overlaps most."""
    right_N = np.zeros(len(found), bool)
    taken_P = np.full(len(boxes_P4), -np.inf)
    overlap_NP = iou(found.boxes_N4, boxes_P4)
    for n in range(len(found)):
        free_P = np.where(np.isinf(taken_P), overlap_NP[n], 0.0)
        if len(free_P) and free_P.max() >= MATCH_IOU:
            right_N[n] = True
            taken_P[free_P.argmax()] = found.scores_N[n]
    return Found(found.scores_N, right_N, taken_P, (boxes_P4[:, 3] - boxes_P4[:, 1]).astype(np.float64))


def average_precision(scores_N: NDArray[np.floating], right_N: NDArray[np.bool_], people: int) -> float:
    """Area under the monotonous precision-recall curve; NaN without people."""
    if people == 0:
        return float("nan")
    order = np.argsort(-scores_N, kind="stable")
    hits = np.cumsum(right_N[order])
    precision = hits / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * right_N[order]).sum() / people)


def figures_of(pictures: Sequence[Found], threshold: float) -> dict[str, float]:
    """precision and recall of boxes above the threshold, ap of all, recall by height; NaN where there is nobody."""
    scores_N = np.concatenate([p.scores_N for p in pictures])
    right_N = np.concatenate([p.right_N for p in pictures])
    taken_P = np.concatenate([p.taken_P for p in pictures])
    heights_P = np.concatenate([p.heights_P for p in pictures])
    above_N = scores_N > threshold
    figures = {
        "precision": _mean(right_N[above_N]),
        "recall": _mean(taken_P > threshold),
        "ap": average_precision(scores_N, right_N, len(taken_P)),
    }
    for low, high in pairwise(HEIGHTS_PX):
        inside_P = (heights_P >= low) & (heights_P < high)
        figures[height_name(low, high)] = _mean(taken_P[inside_P] > threshold) if inside_P.sum() >= LEAST_IN_CLASS else float("nan")
    return figures


def with_intervals(groups: Mapping[str, Sequence[Found]], threshold: float, resamples: int) -> dict[str, Figure]:
    """Figures with intervals from drawing groups: single photographs, or whole clips, whose frames resemble each other."""

    def figures(names: Sequence[str]) -> dict[str, float]:
        return figures_of([p for name in names for p in groups[name]], threshold)

    return known(over_people(sorted(groups), figures, resamples=resamples))


def known(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """Those that have a value: a set without people of a height tells nothing about it."""
    return {name: figure for name, figure in figures.items() if not math.isnan(figure.value)}


def height_name(low: int, high: int) -> str:
    """Name of the recall of a class of height."""
    return f"recall_{low}_px_and_more" if high == HEIGHTS_PX[-1] else f"recall_{low}_to_{high}_px"


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
