"""Figures of soft attributes, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.soft_attributes import score_attributes, score_gender


def test_attributes_by_hand() -> None:
    soft = np.array([[0.9, 0.1, 0.8], [0.2, 0.3, 0.9]])
    probability = np.array([[0.8, 0.6, 0.7], [0.4, 0.2, 0.1]])
    figures = score_attributes(probability, soft)
    assert figures.squared_error == pytest.approx((0.1**2 + 0.5**2 + 0.1**2 + 0.2**2 + 0.1**2 + 0.8**2) / 6)
    assert figures.hamming == pytest.approx(2 / 6)  # one invented, one missed
    assert figures.exact == 0.0
    assert figures.example_precision == pytest.approx((2 / 3 + 0) / 2)
    assert figures.example_recall == pytest.approx((1 + 0) / 2)
    assert figures.label_recall == pytest.approx((1 + 0.5) / 2)  # of the two attributes that occur
    assert figures.recall_A[0] == 1.0 and np.isnan(figures.recall_A[1]) and figures.f1_A[2] == pytest.approx(2 / 3)
    assert figures.alpha == pytest.approx(((1 - 1 / 3) + (1 - 0.25)) / 2)  # invented: 1 of 3, missed: a quarter of 1
    assert figures.log_loss > -(soft * np.log(soft) + (1 - soft) * np.log(1 - soft)).mean()  # soft labels themselves are the best answer


def test_perfect_attributes() -> None:
    truth = np.array([[1.0, 0.0], [0.0, 0.0]])
    figures = score_attributes(truth, truth)
    assert (figures.hamming, figures.exact, figures.alpha, figures.example_f1) == (0.0, 1.0, 1.0, 1.0)


def test_gender_by_hand() -> None:
    figures = score_gender(np.array([0.9, 0.6, 0.4, 0.7, 0.1]), np.array([True, True, True, False, False]))
    assert figures.recall == pytest.approx(0.6 * 2 / 3 + 0.4 * 1 / 2)
    assert figures.precision == pytest.approx(0.6 * 2 / 3 + 0.4 * 1 / 2)
    assert figures.auc == pytest.approx(4 / 6)
    assert figures.average_precision == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    with pytest.raises(ValueError, match="both"):
        score_gender(np.ones(2), np.ones(2, bool))


def test_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        score_attributes(np.zeros((2, 3)), np.zeros((2, 4)))
