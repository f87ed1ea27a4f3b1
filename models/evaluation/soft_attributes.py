"""How well soft attributes (gender, clothing, what is carried) are told from gait, in the published terms.

Source: Cosma, Radoi, Sensors 22(18), 2022; alpha-evaluation: Boutell et al., Pattern Recognition 37, 2004. The published per-attribute "f1"
column is a recall; here F1 is F1 and the recall stands beside it. Shape letters: N walks, A attributes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

ALPHA, BETA, GAMMA = 1.0, 0.25, 1.0
"""Of the alpha-evaluation: how hard errors are forgiven, what a missed and what an invented attribute costs."""

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Attributes:
    """squared_error, log_loss: of probabilities against soft labels.  hamming: share of wrong attributes.  exact: share of walks with none
    wrong.  example_*: precision, recall and F1 of a walk's attributes, mean over walks.  label_*: of an attribute, mean over attributes that
    occur.  alpha: alpha-evaluation.  recall_A, f1_A: per attribute, NaN where it never occurs."""

    squared_error: float
    log_loss: float
    hamming: float
    exact: float
    example_precision: float
    example_recall: float
    example_f1: float
    label_precision: float
    label_recall: float
    label_f1: float
    alpha: float
    recall_A: Float64
    f1_A: Float64


def score_attributes(probability_NA: NDArray[np.floating], soft_NA: NDArray[np.floating], threshold: float = THRESHOLD) -> Attributes:
    """Compares predicted probabilities with soft labels. Raises ValueError for other shapes than (N >= 1, A) of both."""
    if probability_NA.ndim != 2 or probability_NA.shape != soft_NA.shape or not probability_NA.size:
        raise ValueError(f"probabilities and labels must be (N >= 1, A), got {probability_NA.shape} and {soft_NA.shape}")
    p_NA, soft = np.clip(probability_NA.astype(np.float64), 1e-7, 1 - 1e-7), soft_NA.astype(np.float64)
    found_NA, true_NA = p_NA >= threshold, soft >= threshold
    both, missed, invented = found_NA & true_NA, true_NA & ~found_NA, found_NA & ~true_NA
    example = _ratios(both.sum(axis=1), found_NA.sum(axis=1), true_NA.sum(axis=1), empty=1.0)
    label = _ratios(both.sum(axis=0), found_NA.sum(axis=0), true_NA.sum(axis=0), empty=0.0)
    occurs_A = true_NA.any(axis=0)
    union_N = (found_NA | true_NA).sum(axis=1)
    cost_N = np.divide(BETA * missed.sum(axis=1) + GAMMA * invented.sum(axis=1), union_N, out=np.zeros(len(p_NA)), where=union_N > 0)
    means = [float(values[occurs_A].mean()) if occurs_A.any() else float("nan") for values in label]
    return Attributes(
        squared_error=float(((p_NA - soft) ** 2).mean()),
        log_loss=float(-(soft * np.log(p_NA) + (1 - soft) * np.log(1 - p_NA)).mean()),
        hamming=float((found_NA != true_NA).mean()),
        exact=float((found_NA == true_NA).all(axis=1).mean()),
        example_precision=float(example[0].mean()),
        example_recall=float(example[1].mean()),
        example_f1=float(example[2].mean()),
        label_precision=means[0],
        label_recall=means[1],
        label_f1=means[2],
        alpha=float(((1 - cost_N) ** ALPHA).mean()),
        recall_A=np.where(occurs_A, label[1], np.nan),
        f1_A=np.where(occurs_A, label[2], np.nan),
    )


def _ratios(both: NDArray, found: NDArray, true: NDArray, *, empty: float) -> tuple[Float64, Float64, Float64]:
    """Precision, recall and F1; `empty` where nothing was found and nothing is true."""
    nothing = (found == 0) & (true == 0)
    precision = np.where(nothing, empty, np.divide(both, found, out=np.zeros(len(both)), where=found > 0))
    recall = np.where(nothing, empty, np.divide(both, true, out=np.zeros(len(both)), where=true > 0))
    total = precision + recall
    return precision, recall, np.divide(2 * precision * recall, total, out=np.zeros(len(both)), where=total > 0)


@dataclass(frozen=True, slots=True)
class Gender:
    """Figures weighted by how many walks each of the two has.  auc: area under the ROC curve.  average_precision: of "Female"."""

    precision: float
    recall: float
    f1: float
    auc: float
    average_precision: float


def score_gender(female_N: NDArray[np.floating], is_female_N: NDArray[np.bool_], threshold: float = THRESHOLD) -> Gender:
    """Compares probabilities of attribute 0 with the truth. Raises ValueError unless both occur."""
    if female_N.shape != is_female_N.shape or not is_female_N.any() or is_female_N.all():
        raise ValueError(f"gender needs walks of both kinds, got {int(is_female_N.sum())} of {len(is_female_N)}")
    guess_N = female_N >= threshold
    rows = np.zeros((2, 3))
    for k, kind in enumerate((True, False)):
        hits, guessed, true = (guess_N == kind) & (is_female_N == kind), guess_N == kind, is_female_N == kind
        right, found = hits.sum() / max(1, guessed.sum()), hits.sum() / true.sum()
        rows[k] = right, found, 2 * right * found / max(1e-12, right + found)
    weight = np.array([is_female_N.mean(), 1 - is_female_N.mean()])
    own, other = female_N[is_female_N][:, None], female_N[~is_female_N][None, :]
    auc = float(((own > other) + 0.5 * (own == other)).mean())
    order = np.argsort(-female_N, kind="stable")
    hit_N = is_female_N[order]
    average = float((np.cumsum(hit_N)[hit_N] / (np.flatnonzero(hit_N) + 1)).mean())
    precision, recall, f1 = (float(value) for value in weight @ rows)
    return Gender(precision, recall, f1, auc, average)
