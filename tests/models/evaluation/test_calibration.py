"""The calibration survives the model card, and ill-formed cards are refused by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.calibration import CalibrationError, ScoreCalibration

CALIBRATION = ScoreCalibration(
    windows=(1, 4),
    impostor_mean=(0.1, 0.12),
    impostor_sd=(0.2, 0.15),
    impostor_quantiles=(((0.1, 0.4), (0.01, 0.6)), ((0.1, 0.35),)),
    genuine_mean=(0.8, 0.9),
    genuine_sd=(0.1, 0.05),
    genuine_quantiles=(((0.05, 0.5), (0.5, 0.8)), ((0.05, 0.6), (0.5, 0.9))),
    counts=((1000, 100), (400, 40)),
    people=12,
)


def test_card_and_back() -> None:
    assert ScoreCalibration.from_card(json.loads(json.dumps({"calibration": CALIBRATION.to_card()}))) == CALIBRATION


@pytest.mark.parametrize(("windows", "index"), [(0.5, 0), (1, 0), (3.9, 0), (4, 1), (100, 1)])
def test_the_table_is_entered_from_below(windows: float, index: int) -> None:
    assert CALIBRATION.index_of(windows) == index


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"windows": []}, "windows"),
        ({"windows": [4, 1]}, "windows"),  # not rising
        ({"impostor_sd": [0.2]}, "impostor_sd"),  # one entry short
        ({"genuine_sd": [0.1, 0.0]}, "positive"),
        ({"people": None}, "ill-formed"),
        ({"impostor_quantiles": [1, 2]}, "ill-formed"),
    ],
)
def test_ill_formed_cards_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        ScoreCalibration.from_card({"calibration": {**CALIBRATION.to_card(), **change}})


@pytest.mark.parametrize("card", [{}, {"calibration": 3}, {"calibration": {"windows": [1]}}])
def test_missing_calibration_is_said(card: dict[str, Any]) -> None:
    with pytest.raises(CalibrationError, match="calibration"):
        ScoreCalibration.from_card(card)
