"""Linear discriminant of pooled features: whitened within people, ordered by how much people differ.

Within and between covariances are those of people with the same sensor and placement, averaged over placements and data sets, because what
differs between devices or placements is no person's. Real and simulated walkers weigh half each. Source: Fisher 1936; regularised as Friedman, "Regularized Discriminant
Analysis", JASA 1989. Whitening without leaving dimensions out is within-class covariance normalisation.

Shape letters: N windows, F features, D embedding, K groups of identities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.simulated import SOURCE
from models.types import Float32

RIDGE = 0.3
"""Added to the diagonal of the correlation matrix within people."""

Group = tuple[str, str]
"""Source and placement."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Mean (F,), covariance within people (F, F) and between them (F, F)."""


def discriminant(groups: Mapping[Group, Sequence[Float32]], dim: int) -> tuple[Float32, Float32]:
    """Weight (dim, F) and bias (dim,) from the features (N, F) of every identity of every group.

    Raises ValueError if no group has two identities.
    """
    parts: dict[bool, list[tuple[int, Moments]]] = {}
    for (source, _), rows in groups.items():
        if len(rows) >= 2:
            parts.setdefault(source == SOURCE, []).append((len(rows), moments(rows)))
    if not parts:
        raise ValueError("a discriminant needs two people with the same sensor and placement")
    halves = [mean_moments(kind) for kind in parts.values()]
    return discriminant_of(mean_moments([(1, half) for half in halves]), dim)


def discriminant_of(moment: Moments, dim: int) -> tuple[Float32, Float32]:
    """Weight (dim, F) and bias (dim,) from moments."""
    mean_F, within_FF, between_FF = moment
    scale_F = np.sqrt(np.diag(within_FF)) + 1e-6
    value_F, vector_FF = np.linalg.eigh(within_FF / np.outer(scale_F, scale_F) + RIDGE * np.eye(len(scale_F)))
    white_FF = vector_FF / np.sqrt(value_F)
    _, order_FF = np.linalg.eigh(white_FF.T @ (between_FF / np.outer(scale_F, scale_F)) @ white_FF)
    weight_FD = (white_FF @ order_FF[:, ::-1][:, :dim]) / scale_F[:, None]
    return weight_FD.T.astype(np.float32), (-mean_F @ weight_FD).astype(np.float32)


def moments(rows: Sequence[Float32]) -> Moments:
    """Of identities, each of the same weight."""
    mean_KF = np.array([row_NF.mean(axis=0, dtype=np.float64) for row_NF in rows])
    within_FF = np.zeros((mean_KF.shape[1], mean_KF.shape[1]))
    for row_NF, mean_F in zip(rows, mean_KF, strict=True):  # one after the other: hundreds of such matrices do not fit into memory
        away_NF = row_NF - mean_F
        within_FF += away_NF.T @ away_NF / (len(row_NF) * len(rows))
    return mean_KF.mean(axis=0), within_FF, np.cov(mean_KF.T)


def mean_moments(parts: Sequence[tuple[int, Moments]]) -> Moments:
    """Mean of (weight, moments)."""
    weights = [weight for weight, _ in parts]
    mean_F, within_FF, between_FF = (np.average(np.array([moment[i] for _, moment in parts]), axis=0, weights=weights) for i in range(3))
    return mean_F, within_FF, between_FF
