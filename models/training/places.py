"""Discriminants of places and the gate between them, for models.inertial.placed, from features of walking windows.

A place's discriminant is fitted on the real people who carried the device there; people of different sets, or with different sensors, are
never compared, for the device would be what tells them apart. Turned so that it agrees as far as possible with the discriminant of all
places together (orthogonal Procrustes; no cosine within the place changes), it lets a window between two places fall between, not
anywhere. The gate is the linear discriminant of places (Fisher 1936): Gaussians of one common covariance.

Shape letters: N windows, F features, D embedding, K places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.simulated import SOURCE
from models.training.discriminant import RIDGE, Group, Moments, discriminant, discriminant_of, mean_moments, moments
from models.types import Float32

LEAST_PEOPLE = 6
"""With the same sensor in the same place; fewer span too few directions for a discriminant of their own."""

NEVER = -1e4
"""Bias of the gate towards a place that nobody showed."""


@dataclass(frozen=True)
class PlacedDiscriminant:
    """gate_KF, gate_K: weight and bias of the gate.  weight_KDF, bias_KD: of every place's discriminant."""

    gate_KF: Float32
    gate_K: Float32
    weight_KDF: Float32
    bias_KD: Float32


def place_of(group: Group) -> str:
    """The place of a group; the placement may name the sensor after a slash."""
    return group[1].partition("/")[0]


def placed_discriminant(groups: Mapping[Group, Sequence[Float32]], dim: int, places: Sequence[str]) -> PlacedDiscriminant:
    """From the features (N, F) of every identity of every group. A place without people gets the discriminant of all, and is never chosen.

    Raises ValueError if no group has two identities.
    """
    shared_DF, shared_D = discriminant(groups, dim)
    real = {group: (len(rows), moments(rows)) for group, rows in groups.items() if group[0] != SOURCE and len(rows) >= LEAST_PEOPLE}
    weights, biases = [shared_DF] * len(places), [shared_D] * len(places)
    parts: dict[int, Moments] = {}
    for k, place in enumerate(places):
        if own := [real[group] for group in real if place_of(group) == place]:
            parts[k] = mean_moments(own)
            weight_DF, _ = discriminant_of(parts[k], dim)
            weights[k] = _turned(weight_DF, shared_DF, parts[k])
            biases[k] = -weights[k] @ parts[k][0].astype(np.float32)
    gate_KF, gate_K = gate(parts, len(places), shared_DF.shape[1])
    return PlacedDiscriminant(gate_KF, gate_K, np.stack(weights), np.stack(biases))


def gate(parts: Mapping[int, Moments], count: int, features: int) -> tuple[Float32, Float32]:
    """Weight (count, F) and bias (count,) whose softmax gives the probabilities of the places in `parts`, all equally frequent."""
    weight_KF, bias_K = np.zeros((count, features)), np.full(count, NEVER if parts else 0.0)
    if parts:
        spread_FF = np.mean([within + between for _, within, between in parts.values()], axis=0)
        scale_F = np.sqrt(np.diag(spread_FF)) + 1e-6
        spread_FF = spread_FF + RIDGE * np.diag(scale_F**2)
        middle_F = np.mean([mean for mean, _, _ in parts.values()], axis=0)
        for k, (mean_F, _, _) in parts.items():
            weight_KF[k] = np.linalg.solve(spread_FF, mean_F - middle_F)
            bias_K[k] = -0.5 * (mean_F + middle_F) @ weight_KF[k]
    return weight_KF.astype(np.float32), bias_K.astype(np.float32)


def _turned(weight_DF: Float32, towards_DF: Float32, moment: Moments) -> Float32:
    """The weight times the rotation that brings its outputs closest to those of `towards_DF`, over the features of these moments."""
    _, within_FF, between_FF = moment
    left_DD, _, right_DD = np.linalg.svd(towards_DF @ (within_FF + between_FF) @ weight_DF.T)
    turned: NDArray[np.float64] = (left_DD @ right_DD) @ weight_DF
    return turned.astype(np.float32)
