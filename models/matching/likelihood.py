"""What a cosine says: how often strangers reach it, and how probable it makes that the walker is enrolled.

Everything is computed in the depth u = -ln(1 - cosine), because cosines end at 1: there a false match rate falls as a power of the distance
to 1, which is a straight line of ln(rate) over u (the generalised Pareto tail with a finite end point; Pickands 1975). Measured quantiles of gait
embeddings lie on such a line within a few percent, whereas a normal distribution fitted to mean and deviation misses them by orders of magnitude.

Shape letters: C grid cells, K knots, S scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DEEPEST = 13.8
"""Depth of a cosine of 1 - 1e-6, what float32 unit vectors resolve; a copy of a template lies there."""

EDGE_C = np.linspace(-np.log(2.0), DEEPEST, 401)
"""Borders of the cells in which probabilities are compared; the first is the depth of cosine -1."""

CENTRE_C = (EDGE_C[1:] + EDGE_C[:-1]) / 2

TAIL_FROM = 0.1
"""Quantiles at this false match rate and below are the tail whose slope continues beyond the table."""

LEAST_SLOPE = 0.5
"""A flatter tail would say that a tenth of the rate needs more than e^4.6 = 100 times less distance: too few scores, not a distribution."""


def depth(cosine: ArrayLike) -> Floats:
    """-ln(1 - cosine), limited to DEEPEST."""
    return np.asarray(-np.log(np.maximum(1.0 - np.asarray(cosine, np.float64), np.exp(-DEEPEST))))


def cosine_at(u: ArrayLike) -> Floats:
    """The inverse of depth."""
    return np.asarray(-np.expm1(-np.asarray(u, np.float64)))


@dataclass(frozen=True)
class Impostors:
    """How a probe scores against a template of another person: ln(share of scores >= depth) is piecewise linear.

    u_K: rising depths.  log_rate_K: falling, the first 0.  slope: -d ln(rate) / du beyond the last knot, an extrapolation that nothing checks.
    """

    u_K: Floats
    log_rate_K: Floats
    slope: float

    @classmethod
    def from_table(cls, mean: float, sd: float, quantiles: tuple[tuple[float, float], ...]) -> Impostors:
        """From the moments and the rows (false match rate, cosine) of a calibration; normal in cosine below the mean, which stands for the median."""
        rows = [(rate, cosine) for rate, cosine in quantiles if 0.0 < rate < 0.5] or [(0.1587, mean + sd)]
        rows += [(rate, mean - deviations * sd) for rate, deviations in ((0.5, 0.0), (0.8413, 1.0), (0.9772, 2.0))]
        u, log_rate = [EDGE_C[0]], [0.0]
        for rate, cosine in sorted(rows, reverse=True):
            if float(depth(cosine)) > u[-1] and np.log(rate) < log_rate[-1]:
                u.append(float(depth(cosine)))
                log_rate.append(float(np.log(rate)))
        tail = [i for i, value in enumerate(log_rate) if value <= np.log(TAIL_FROM) + 1e-9]
        if len(tail) < 2:
            tail = list(range(max(0, len(u) - 2), len(u)))
        slope = -float(np.polyfit(np.array(u)[tail], np.array(log_rate)[tail], 1)[0]) if len(tail) > 1 else LEAST_SLOPE
        return cls(np.array(u), np.array(log_rate), max(slope, LEAST_SLOPE))

    def log_rate(self, u: Floats) -> Floats:
        """ln of the share of impostor scores at this depth or deeper."""
        beyond = np.maximum(u - self.u_K[-1], 0.0)
        return np.asarray(np.interp(u, self.u_K, self.log_rate_K) - self.slope * beyond)

    def depth_at(self, rate: float) -> float:
        """Depth that this share of impostor scores reaches."""
        if np.log(rate) < self.log_rate_K[-1]:
            return float(self.u_K[-1] + (self.log_rate_K[-1] - np.log(rate)) / self.slope)
        return float(np.interp(-np.log(rate), -self.log_rate_K, self.u_K))

    def moved(self, shift: float, stretch: float) -> Impostors:
        """The distribution of centre + shift + stretch * (u - centre); the centre is the depth of the mean cosine, here rate 0.5."""
        centre = self.depth_at(0.5)
        u_K = np.maximum(centre + shift + stretch * (self.u_K - centre), EDGE_C[0])
        keep = np.concatenate([np.diff(u_K) > 0, [True]])  # what was pushed below cosine -1 gathers there
        return Impostors(u_K[keep], self.log_rate_K[keep], self.slope / stretch)

    def share_of_best(self, comparisons: int) -> Floats:
        """(C,) share of strangers whose best of `comparisons` independent scores lies in each cell."""
        rate = np.minimum(np.exp(self.log_rate(EDGE_C)), 1.0 - 1e-15)
        return np.maximum(np.diff(np.exp(comparisons * np.log1p(-rate))), 0.0)


def genuine_share(mean: float, sd: float, quantiles: tuple[tuple[float, float], ...]) -> Floats:
    """(C,) share of genuine scores in each cell: normal in depth, through the median and as wide as the outer quantiles say."""
    known = {probability: float(depth(cosine)) for probability, cosine in quantiles}
    outer = [p for p in known if p not in (0.5,)]
    if 0.5 in known and len(outer) >= 2:
        low, high = min(outer), max(outer)
        width = (known[high] - known[low]) / (NormalDist().inv_cdf(high) - NormalDist().inv_cdf(low))
        centre = known[0.5]
    else:
        centre, width = float(depth(mean)), float(sd / max(1.0 - mean, 1e-3))  # first-order: du = ds / (1 - s)
    normal = NormalDist(centre, max(width, 1e-3))
    return np.diff([normal.cdf(float(u)) for u in EDGE_C])


def posterior(genuine_C: Floats, stranger_C: Floats) -> Floats:
    """(C,) probability that a score in the cell is genuine, if genuine and strangers' best scores are equally frequent; rises with the score.

    Isotonic regression of genuine / (genuine + stranger) weighted by the sum (pool adjacent violators; Zadrozny & Elkan 2002): the best
    rising function, which also settles cells that hardly any score of either kind reaches.
    """
    pools: list[list[float]] = []  # genuine mass, total mass, cells
    for genuine, stranger in zip((genuine_C + 1e-15).tolist(), (stranger_C + 1e-15).tolist(), strict=True):
        pools.append([genuine, genuine + stranger, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    return np.repeat([genuine / total for genuine, total, _ in pools], [int(cells) for *_, cells in pools])
