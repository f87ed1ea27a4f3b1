"""Sensors with times of their own, brought together on the accelerometer's times.

Legend: N samples, 3 axes x, y, z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_GAP_NS = 100_000_000
"""Between two readings further apart nothing is interpolated, and beyond the first and last reading nothing is held longer: the
pipeline ends a segment at the same gap.  A push carries about a second of each sensor, and their last readings differ by a sample or two."""


class Series(NamedTuple):
    """Readings of one sensor: (N,) int64 strictly increasing times in ns since the epoch, (N, 3) float64 values."""

    time_ns_N: NDArray[np.int64]
    value_N3: NDArray[np.float64]


def series_of(time_ns: list[int], values: list[list[float]]) -> Series:
    """Readings in any order as a series; of several with the same time the first counts."""
    time_ns_N, first = np.unique(np.array(time_ns, np.int64), return_index=True)
    return Series(time_ns_N, np.array(values, np.float64).reshape(-1, 3)[first])


def bring_together(wanted: Series, *others: Series) -> tuple[Series, list[NDArray[np.float64]]]:
    """The wanted series without the samples that another sensor does not cover, and the others' values (N, 3) at its times.

    Linear interpolation; equal times give the reading itself.  A time within MAX_GAP_NS of the other sensor's first or last reading
    takes that reading.
    """
    covered_N = np.ones(len(wanted.time_ns_N), bool)
    for other in others:
        covered_N &= _covers(other, wanted.time_ns_N)
    kept = Series(wanted.time_ns_N[covered_N], wanted.value_N3[covered_N])
    return kept, [_at(other, kept.time_ns_N) for other in others]


def _covers(series: Series, time_ns_N: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a value at each time follows from readings near enough."""
    known = series.time_ns_N
    if not len(known):
        return np.zeros(len(time_ns_N), bool)
    after_N = np.searchsorted(known, time_ns_N)  # the first reading at or after each time
    before_ns_N, after_ns_N = known[np.maximum(after_N - 1, 0)], known[np.minimum(after_N, len(known) - 1)]
    inside_N = (after_N > 0) & (after_N < len(known))
    exact_N = after_ns_N == time_ns_N
    reach_ns_N = np.where(inside_N, after_ns_N - before_ns_N, np.minimum(abs(time_ns_N - before_ns_N), abs(time_ns_N - after_ns_N)))
    covered_N: NDArray[np.bool_] = exact_N | (reach_ns_N <= MAX_GAP_NS)
    return covered_N


def _at(series: Series, time_ns_N: NDArray[np.int64]) -> NDArray[np.float64]:
    if not len(time_ns_N):
        return np.empty((0, 3))
    base_ns = min(int(series.time_ns_N[0]), int(time_ns_N[0]))  # times since 1970 in ns exceed the precision of a float
    at_N, known_N = (time_ns_N - base_ns).astype(np.float64), (series.time_ns_N - base_ns).astype(np.float64)
    return np.stack([np.interp(at_N, known_N, series.value_N3[:, axis]) for axis in range(3)], axis=1)
