"""Figures of merit on scores small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.report import Figure, over_people
from models.evaluation.scores import (
    BinaryScores,
    binary_scores,
    det_curve,
    equal_error_rate,
    fnmr_at_fmr,
    identification_rate,
    rank_rate,
    threshold_at_fpir,
)


@pytest.mark.parametrize(
    ("genuine", "impostor", "eer"),
    [
        ([0.8, 0.9], [0.1, 0.2], 0.0),  # apart
        ([0.1, 0.2], [0.8, 0.9], 1.0),  # the wrong way round
        ([0.2, 0.6, 0.8, 0.9], [0.1, 0.3, 0.4, 0.7], 0.25),  # one of four on either side
        ([0.5, 0.5], [0.5, 0.5], 0.5),  # says nothing
    ],
)
def test_equal_error_rate(genuine: list[float], impostor: list[float], eer: float) -> None:
    assert equal_error_rate(np.array(genuine), np.array(impostor)) == pytest.approx(eer)


@given(seed=st.integers(0, 1000), scale=st.floats(0.5, 3.0))
def test_equal_error_rate_ignores_scale_and_shift(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(1, 1, 40), rng.normal(0, 1, 60)
    assert equal_error_rate(genuine, impostor) == pytest.approx(equal_error_rate(scale * genuine - 2, scale * impostor - 2), abs=1e-9)


def test_det_curve_falls_and_rises() -> None:
    rng = np.random.default_rng(0)
    curve = det_curve(rng.normal(1, 1, 100), rng.normal(0, 1, 100))
    assert (np.diff(curve.fmr_P) <= 0).all()
    assert (np.diff(curve.fnmr_P) >= 0).all()
    assert curve.fmr_P[-1] == 0.0  # beyond the highest score nobody matches
    with pytest.raises(ValueError, match="needs genuine"):
        det_curve(np.zeros(0), np.ones(3))


def test_fnmr_at_fmr_takes_a_threshold_that_keeps_the_promise() -> None:
    impostor, genuine = np.arange(100) / 100.0, np.array([0.5, 0.985, 0.995, 2.0])
    assert fnmr_at_fmr(genuine, impostor, 0.01) == pytest.approx(0.25)  # threshold 0.985 lets 0.99 through: one of a hundred
    assert fnmr_at_fmr(genuine, impostor, 0.0) == pytest.approx(0.5)  # threshold 0.995


def test_rank_rate_counts_better_entries() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.6], [0.3, 0.2, 0.1]])
    own = np.array([0, 1, 2])
    assert [rank_rate(scores, own, rank) for rank in (1, 2, 3)] == pytest.approx([1 / 3, 1 / 3, 1.0])


def test_identification_rate_needs_name_and_threshold() -> None:
    strangers = np.array([[0.1, 0.2]] * 99 + [[0.95, 0.1]])  # one in a hundred is very alike
    enrolled = np.array([[0.9, 0.1], [0.15, 0.1], [0.3, 0.8], [0.6, 0.5]])
    own = np.array([0, 0, 1, 1])  # right and high; right and too low; right and high; wrong name
    assert threshold_at_fpir(strangers, 0.01) > 0.2
    assert threshold_at_fpir(strangers, 0.0) > 0.95
    assert identification_rate(enrolled, own, strangers, 0.01) == pytest.approx(0.5)


def test_binary_scores() -> None:
    scores = binary_scores(np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool))
    assert scores == BinaryScores(2, 1, 1, 1)
    assert (scores.precision, scores.recall, scores.f1, scores.accuracy) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3 / 5))
    assert scores + scores == BinaryScores(4, 2, 2, 2)


def test_intervals_are_over_people() -> None:
    values = {"a": 0.0, "b": 0.5, "c": 1.0}
    figures = over_people(sorted(values), lambda chosen: {"mean": float(np.mean([values[person] for person in chosen]))}, seed=1)
    assert figures["mean"].value == pytest.approx(0.5)
    assert figures["mean"].low is not None
    assert figures["mean"].high is not None
    assert figures["mean"].low < 0.3 < 0.7 < figures["mean"].high
    assert over_people(["a"], lambda chosen: {"one": 1.0})["one"] == Figure(1.0)
