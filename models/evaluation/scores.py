"""Figures of merit from scores, in the terms of ISO/IEC 19795-1. Higher score: more alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DetCurve:
    """Detection error trade-off at rising thresholds, all (P,): a comparison with score >= threshold is a match.

    fmr_P: false match rate, share of impostor scores >= threshold.  fnmr_P: false non-match rate, share of genuine scores < threshold.
    """

    threshold_P: Scores
    fmr_P: Scores
    fnmr_P: Scores


def det_curve(genuine: Scores, impostor: Scores) -> DetCurve:
    """The trade-off at every distinct score. Raises ValueError if either side is empty."""
    if not len(genuine) or not len(impostor):
        raise ValueError(f"a DET curve needs genuine and impostor scores, got {len(genuine)} and {len(impostor)}")
    threshold = np.unique(np.concatenate([genuine, impostor, [np.inf]]))
    fmr = (len(impostor) - np.searchsorted(np.sort(impostor), threshold, side="left")) / len(impostor)
    fnmr = np.searchsorted(np.sort(genuine), threshold, side="left") / len(genuine)
    return DetCurve(threshold, fmr, fnmr)


def thinned(curve: DetCurve, points: int = 60) -> list[list[float]]:
    """[false match rate, false non-match rate] at so many false match rates, evenly spread over their logarithm; one row each that exists."""
    smallest = curve.fmr_P[curve.fmr_P > 0].min(initial=1.0)
    wanted = np.geomspace(smallest, 1.0, points)
    at = np.unique([int(np.argmax(curve.fmr_P <= rate)) for rate in wanted])
    return [[float(curve.fmr_P[i]), float(curve.fnmr_P[i])] for i in at if curve.fmr_P[i] > 0]


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """Where false matches and false non-matches are equally frequent, interpolated between neighbouring thresholds."""
    curve = det_curve(genuine, impostor)
    difference = curve.fnmr_P - curve.fmr_P  # rises from <= 0 to >= 0
    above = int(np.argmax(difference >= 0))
    if above == 0 or difference[above] == 0:
        return float((curve.fmr_P[above] + curve.fnmr_P[above]) / 2)
    below = above - 1
    weight = difference[above] / (difference[above] - difference[below])
    return float(weight * curve.fmr_P[below] + (1 - weight) * curve.fmr_P[above])


def fnmr_at_fmr(genuine: Scores, impostor: Scores, fmr: float) -> float:
    """Least false non-match rate at a threshold whose false match rate is at most `fmr`."""
    curve = det_curve(genuine, impostor)
    return float(curve.fnmr_P[curve.fmr_P <= fmr].min())


def rank_rate(score_PG: NDArray[np.float64], own_P: NDArray[np.int64], rank: int) -> float:
    """Closed-set identification: share of probes whose own gallery entry own_P is among the `rank` highest scores of its row."""
    own = score_PG[np.arange(len(own_P)), own_P]
    better = (score_PG > own[:, None]).sum(axis=1)
    return float((better < rank).mean())


def identification_rate(enrolled_PG: NDArray[np.float64], own_P: NDArray[np.int64], stranger_SG: NDArray[np.float64], fpir: float) -> float:
    """Open-set identification: TPIR, the share of enrolled probes that are best matched by their own entry above the threshold at which
    at most the share `fpir` of strangers' probes matches anyone."""
    threshold = threshold_at_fpir(stranger_SG, fpir)
    best = enrolled_PG.max(axis=1)
    return float(((enrolled_PG.argmax(axis=1) == own_P) & (best >= threshold)).mean())


def threshold_at_fpir(stranger_SG: NDArray[np.float64], fpir: float) -> float:
    """Least threshold at which at most the share `fpir` of strangers' probes reaches it with any gallery entry."""
    best = np.sort(stranger_SG.max(axis=1))
    allowed = int(np.floor(fpir * len(best)))
    return float(np.nextafter(best[len(best) - 1 - allowed], np.inf))


@dataclass(frozen=True, slots=True)
class BinaryScores:
    """Counts of a yes/no decision."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def total(self) -> int:
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def accuracy(self) -> float:
        return (self.true_positive + self.true_negative) / max(self.total, 1)

    @property
    def precision(self) -> float:
        return self.true_positive / max(self.true_positive + self.false_positive, 1)

    @property
    def recall(self) -> float:
        return self.true_positive / max(self.true_positive + self.false_negative, 1)

    @property
    def f1(self) -> float:
        return 2 * self.true_positive / max(2 * self.true_positive + self.false_positive + self.false_negative, 1)

    def __add__(self, other: BinaryScores) -> BinaryScores:
        return BinaryScores(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )


def binary_scores(predicted: NDArray[np.bool_], actual: NDArray[np.bool_]) -> BinaryScores:
    """Counts over two arrays of the same shape."""
    return BinaryScores(
        int((predicted & actual).sum()),
        int((predicted & ~actual).sum()),
        int((~predicted & actual).sum()),
        int((~predicted & ~actual).sum()),
    )
