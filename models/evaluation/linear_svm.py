"""The published matcher of GaitNN: a linear support vector machine on the gallery's vectors, one person against the others.

Source: Cortes, Vapnik, Machine Learning 20, 1995, with squared hinge as common linear solvers have it. Nothing of the published settings is
known; C = 1 on vectors scaled to unit mean square. Shape letters: G gallery vectors, P people, D dimensions, N probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.types import Float32

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearSvm:
    """people: names in the order of the rows.  weight_PD, bias_P: margins are (vector / scale) @ weight + bias."""

    people: tuple[str, ...]
    weight_PD: Float64
    bias_P: Float64
    scale: float

    def margins(self, vector_ND: Float32) -> Float64:
        """(N, P), the highest is the answer."""
        return vector_ND.astype(np.float64) / self.scale @ self.weight_PD.T + self.bias_P

    def answers(self, vector_ND: Float32) -> list[str]:
        """The person of each vector."""
        return [self.people[k] for k in self.margins(vector_ND).argmax(axis=1)]


def fit_svm(vector_GD: Float32, subject_G: NDArray[np.str_], cost: float = 1.0) -> LinearSvm:
    """Trains on the gallery. Raises ValueError for fewer than two people."""
    people = sorted(set(subject_G.tolist()))
    if len(people) < 2:
        raise ValueError(f"a classifier needs two people or more, got {people}")
    scale = float(np.sqrt((vector_GD.astype(np.float64) ** 2).mean())) or 1.0
    x_GD = np.concatenate([vector_GD.astype(np.float64) / scale, np.ones((len(vector_GD), 1))], axis=1)
    rows = [_one_against_others(x_GD, np.where(subject_G == person, 1.0, -1.0), cost) for person in people]
    solution = np.stack(rows)
    return LinearSvm(tuple(people), solution[:, :-1], solution[:, -1], scale)


def _one_against_others(x_GD: Float64, side_G: Float64, cost: float) -> Float64:
    """Minimises |w|² / 2 + cost * sum of max(0, 1 - side * (w x + b))²; the bias is the last weight, and not punished."""

    def objective(weight_D: Float64) -> tuple[float, Float64]:
        short_G = np.maximum(0.0, 1.0 - side_G * (x_GD @ weight_D))
        value = 0.5 * float(weight_D[:-1] @ weight_D[:-1]) + cost * float(short_G @ short_G)
        slope_D = -2.0 * cost * (short_G * side_G) @ x_GD
        slope_D[:-1] += weight_D[:-1]
        return value, slope_D

    found = minimize(objective, np.zeros(x_GD.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x, np.float64)
