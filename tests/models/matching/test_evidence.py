"""Evidence of a bout: the mean direction of its last windows, and overlapping windows counted for what they are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.matching.evidence import EVIDENCE_WINDOWS, HOP_NS, WINDOW_NS, combine, windows_in_a_row
from models.types import ShapeError
from tests.models.matching.build import units

S = 1_000_000_000


@pytest.mark.parametrize(
    ("starts_s", "qualities", "effective"),
    [
        ([0], [1], 1.0),  # one window
        ([0, 1.28], [1, 1], 1.5),  # half of the second is new
        ([0, 1.28, 2.56, 3.84], [1, 1, 1, 1], 2.5),  # (n + 1) / 2
        ([0, 10, 20], [1, 1, 1], 3.0),  # no overlap
        ([0, 0, 0], [1, 1, 1], 1.0),  # the same window again says nothing new
        ([0, 2.56], [0.7, 0.7], 2.0),  # the common level of quality does not matter
        ([0, 2.56], [1, 0], 1.0),  # a worthless window
        ([0, 2.56, 5.12], [1, 1, 0.5], 3 * 2.5**2 / (3 * 2.25)),  # Kish
    ],
)
def test_effective_windows(starts_s: list[float], qualities: list[float], effective: float) -> None:
    vectors = units(len(starts_s), 8)
    starts = [np.array([int(start * S) for start in starts_s])]
    _, effective_B = combine([vectors], [qualities], starts)
    assert effective_B[0] == pytest.approx(effective, rel=5e-3)


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_windows_in_a_row_inverts_the_discount(count: int) -> None:
    starts = np.arange(count) * HOP_NS
    for times in (None, [starts]):
        _, effective_B = combine([units(count, 8)], [np.ones(count)], times)
        assert windows_in_a_row(effective_B)[0] == pytest.approx(count)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_each_bout_by_itself_is_the_weighted_mean_of_its_last_windows(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = [units(size, 8, seed + i) for i, size in enumerate(sizes)]
    qualities = [rng.uniform(0.05, 1, size) for size in sizes]
    starts = [np.cumsum(rng.integers(HOP_NS, 3 * WINDOW_NS, size)) for size in sizes]
    vector_BD, effective_B = combine(vectors, qualities, starts)
    assert vector_BD.dtype == np.float32
    for i, size in enumerate(sizes):
        alone_1D, alone_1 = combine([vectors[i]], [qualities[i]], [starts[i]])
        assert (alone_1D[0] == vector_BD[i]).all()
        assert alone_1[0] == effective_B[i]
        last = slice(-EVIDENCE_WINDOWS, None)
        mean_D = (vectors[i][last] * qualities[i][last, None]).sum(axis=0)
        np.testing.assert_allclose(vector_BD[i], mean_D / np.linalg.norm(mean_D), atol=1e-6)
        assert 1.0 <= effective_B[i] <= min(size, EVIDENCE_WINDOWS) + 1e-9


def test_old_windows_do_not_exist() -> None:
    vectors = units(60, 8)
    late, effective = combine([vectors], [np.ones(60)])
    other, other_effective = combine([vectors[-EVIDENCE_WINDOWS:]], [np.ones(EVIDENCE_WINDOWS)])
    assert (late == other).all()
    assert (effective == other_effective).all()


def test_windows_of_no_quality_still_have_a_direction() -> None:
    vectors = units(3, 8)
    nothing, _ = combine([vectors], [np.zeros(3)])
    equal, _ = combine([vectors], [np.ones(3)])
    np.testing.assert_allclose(nothing, equal, atol=1e-6)
    cancelled, _ = combine([np.stack([vectors[0], -vectors[0]])], [np.ones(2)])
    np.testing.assert_allclose(cancelled[0], -vectors[0], atol=1e-6)  # the last window


@pytest.mark.parametrize(
    ("vectors", "qualities", "starts"),
    [
        ([np.zeros((0, 8))], [[]], None),  # a bout without windows
        ([units(2, 8)], [[1.0]], None),  # too few qualities
        ([units(2, 8), units(2, 4)], [[1, 1], [1, 1]], None),  # two dimensions
        ([units(2, 8)], [[1, 1]], [[0]]),  # too few start times
        ([units(2, 8)[0]], [[1, 1]], None),  # one vector instead of a matrix
    ],
)
def test_what_does_not_fit_is_refused(vectors: list, qualities: list, starts: list | None) -> None:
    with pytest.raises(ShapeError):
        combine(vectors, qualities, starts)


def test_no_bouts() -> None:
    vector_BD, effective_B = combine([], [])
    assert len(vector_BD) == len(effective_B) == 0
