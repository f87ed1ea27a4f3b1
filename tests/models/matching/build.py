"""Seeded builders of vectors, galleries and calibrations with known distributions."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from models.calibration import ScoreCalibration
from models.matching import Matches
from models.matching.likelihood import cosine_at
from models.types import Float32

IMPOSTOR_DEPTH = NormalDist(0.8, 0.5)
GENUINE_DEPTH = NormalDist(3.5, 0.7)
"""Depths -ln(1 - cosine) of synthetic scores: normal, so that the tail beyond the calibration's table is known."""

FMRS = (0.1, 0.03, 0.01, 0.003, 0.001)


def units(count: int, dim: int, seed: int = 0) -> Float32:
    """(count, dim) unit rows."""
    vector_ND = np.random.default_rng(seed).standard_normal((count, dim))
    return (vector_ND / np.linalg.norm(vector_ND, axis=1, keepdims=True)).astype(np.float32)


def near(vector_D: Float32, cosine: float, seed: int = 0) -> Float32:
    """A unit vector at this cosine from the given one."""
    other = np.random.default_rng([4711, seed]).standard_normal(len(vector_D))
    other -= (other @ vector_D) * vector_D
    return (cosine * vector_D + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)).astype(np.float32)


def calibration(windows: tuple[int, ...] = (1, 4, 16), gain: float = 0.2) -> ScoreCalibration:
    """Normal depths; each further length of probe lifts the genuine ones and tightens the impostors by `gain`."""
    rng = np.random.default_rng(1)
    rows = []
    for step in range(len(windows)):
        impostor = NormalDist(IMPOSTOR_DEPTH.mean, IMPOSTOR_DEPTH.stdev * (1 - gain) ** step)
        genuine = NormalDist(GENUINE_DEPTH.mean + gain * step, GENUINE_DEPTH.stdev)
        scores = [cosine_at(rng.normal(normal.mean, normal.stdev, 20_000)) for normal in (impostor, genuine)]
        rows.append(
            (
                [(float(values.mean()), float(values.std())) for values in scores],
                tuple((rate, float(cosine_at(impostor.inv_cdf(1 - rate)))) for rate in FMRS),
                tuple((p, float(cosine_at(genuine.inv_cdf(p)))) for p in (0.05, 0.5, 0.95)),
            )
        )
    return ScoreCalibration(
        windows=windows,
        impostor_mean=tuple(moments[0][0] for moments, _, _ in rows),
        impostor_sd=tuple(moments[0][1] for moments, _, _ in rows),
        impostor_quantiles=tuple(table for _, table, _ in rows),
        genuine_mean=tuple(moments[1][0] for moments, _, _ in rows),
        genuine_sd=tuple(moments[1][1] for moments, _, _ in rows),
        genuine_quantiles=tuple(table for _, _, table in rows),
        counts=((20_000, 20_000),) * len(windows),
        people=50,
    )


def scored(best: float | list[float], second: float = -0.5, enrolled: int = 10) -> Matches:
    """Matches of B probes with these best scores ("ann") and this second one ("bob")."""
    best_B = np.atleast_1d(np.asarray(best, np.float64))
    score_BP = np.stack([best_B, np.minimum(second, best_B)], axis=1)
    return Matches("space@1", np.array([["ann", "bob"]] * len(best_B), object), score_BP, enrolled, enrolled)
