"""Overlap, suppression, letterboxes, crops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.pose.boxes import Detections, iou, letterbox, square_crop, suppress

coordinate = st.floats(0, 100, width=32)
box = st.tuples(coordinate, coordinate, st.floats(1, 50, width=32), st.floats(1, 50, width=32)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 10, 10), 1.0),  # the same
        ((5, 0, 15, 10), 1 / 3),  # half of each
        ((10, 0, 20, 10), 0.0),  # they touch
        ((50, 50, 60, 60), 0.0),  # apart
        ((2, 2, 2, 2), 0.0),  # no area
    ],
)
def test_iou(other, expected):
    assert iou(np.array([[0, 0, 10, 10]]), np.array([other]))[0, 0] == pytest.approx(expected)


@given(st.lists(box, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_suppression_keeps_the_best_of_each_heap(boxes, random):
    boxes_N4 = np.array(boxes, np.float32)
    scores_N = np.array([random.random() for _ in boxes], np.float32)
    kept = suppress(boxes_N4, scores_N)
    assert kept.scores_N[0] == scores_N.max()
    assert (np.diff(kept.scores_N) <= 0).all()
    overlap_NN = iou(kept.boxes_N4, kept.boxes_N4)
    assert (overlap_NN[~np.eye(len(kept), dtype=bool)] <= 0.5).all()
    assert (iou(boxes_N4, kept.boxes_N4).max(axis=1) > 0.5).all()  # whoever is gone overlaps one who stayed


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(2, 4\) and \(3,\)"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(3, np.float32))


def test_letterbox_scales_and_pads():
    canvas, scale = letterbox(np.full((50, 100, 3), 7, np.uint8), 320, 320)
    assert scale == pytest.approx(3.2)
    assert (canvas[:160] == 7).all() and (canvas[160:] == 0).all()


def test_a_crop_maps_back_to_where_it_came_from():
    image = np.zeros((120, 160, 3), np.uint8)
    image[60:64, 100:104] = 255
    crop, to_picture_23 = square_crop(image, np.array([90, 40, 110, 80]), 256, 1.25)
    y, x = (positions.mean() for positions in np.nonzero(crop[..., 0] > 127))
    assert to_picture_23 @ np.array([x, y, 1]) == pytest.approx([101.5, 61.5], abs=0.15)
