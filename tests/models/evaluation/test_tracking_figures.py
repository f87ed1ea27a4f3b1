"""MOTA, IDF1 and switches: by hand on small examples, and of the camera's own code on a simulated crowd."""

import numpy as np
import pytest

from models.evaluation.tracking import TrackingCount, Truth, evaluate_tracking
from models.pose import fetch
from models.pose.blazepose import BlazePose
from models.pose.detector import EfficientDetLite0
from models.pose.scene import CameraScene

A, B = np.array([0.0, 0, 10, 20]), np.array([50.0, 0, 60, 20])


def counted(pictures: list[list[tuple[str, np.ndarray]]], counts: bool = True) -> TrackingCount:
    """Two people who stand at A and B for all pictures."""
    count = TrackingCount()
    for found in pictures:
        count.add([Truth("a", A, True), Truth("b", B, counts)], found)
    return count


@pytest.mark.parametrize(
    ("pictures", "mota", "idf1", "switches"),
    [
        ([[("1", A), ("2", B)]] * 10, 1.0, 1.0, 0),  # all right
        ([[("1", A), ("2", B)]] * 5 + [[("2", A), ("1", B)]] * 5, 0.9, 0.5, 2),  # exchanged half-way
        ([[("1", A)]] * 10, 0.5, 2 / 3, 0),  # one never found: 10 right of 20 true and 10 found
        ([[("1", A), ("2", B), ("3", A + 200)]] * 10, 0.5, 0.8, 0),  # one too many
        ([[("1", A), ("2", B + 6)]] * 10, 0.0, 0.5, 0),  # a box that overlaps too little is missed and false at once
        ([], 0.0, 0.0, 0),  # nobody
    ],
)
def test_by_hand(pictures, mota, idf1, switches):
    count = counted(pictures)
    assert (count.mota, count.idf1, count.switches) == (pytest.approx(mota), pytest.approx(idf1), switches)


def test_who_is_hidden_is_neither_missed_nor_false():
    for pictures in ([[("1", A)]] * 10, [[("1", A), ("2", B)]] * 10):
        count = counted(pictures, counts=False)
        assert (count.mota, count.idf1) == (1.0, 1.0)


def test_two_people_of_a_simulated_scene_are_followed():
    try:
        networks = EfficientDetLite0(fetch.path_of(fetch.DETECTOR)), BlazePose(fetch.path_of(fetch.POSE))
    except fetch.WeightsUnavailable as error:
        pytest.skip(str(error))
    figures = evaluate_tracking(2, 6.0, 0, CameraScene(*networks))  # both cross after 4 s
    assert figures.mota > 0.75 and figures.idf1 > 0.85 and figures.switches == 0 and figures.tracks == 2
