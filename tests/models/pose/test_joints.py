"""One table of joint orders: left and right never swap, whatever way a skeleton takes through the orders."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.pose.blazepose import COCO_17_OF_LANDMARKS
from models.pose.joints import ORDERS, conversion, convert, mirrored
from models.video import human_pose

NAMES = sorted(ORDERS)


def sides(order: str) -> np.ndarray:
    """+1 for joints of the left, -1 of the right, 0 of the middle: a body whose left is +1, by names alone."""
    return np.array([{"left": 1.0, "right": -1.0}.get(name.split("_")[0], 0.0) for name in ORDERS[order]], np.float32)


@pytest.mark.parametrize(
    ("order", "count"),
    # lengths as published
    [
        ("coco-17", 17),
        ("openpose-18", 18),
        ("disentangle-15", 15),
        ("mpii-16", 16),
        ("kinect-20", 20),
        ("blazepose-33", 33),
        ("cmu-38", 38),
    ],
)
def test_orders_have_their_joints_once(order: str, count: int) -> None:
    assert len(ORDERS[order]) == len(set(ORDERS[order])) == count


@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5))
def test_left_and_right_never_swap(way: list[str]) -> None:
    points_J1 = sides(way[0])[:, None]
    for source, destination in pairwise(way):
        points_J1 = convert(points_J1, source, destination)
    wanted_J = sides(way[-1])
    reached_J = points_J1[:, 0]
    # A joint is on its own side or was lost (zero); none is on the other side.
    assert (reached_J * wanted_J >= 0).all()
    assert np.abs(reached_J[wanted_J == 0]).max(initial=0.0) < 1e-6
    limbs = [
        i
        for i, name in enumerate(ORDERS[way[-1]])
        if name.endswith(("shoulder", "elbow", "wrist", "hip", "knee", "ankle")) and "mid" not in name
    ]
    assert np.array_equal(reached_J[limbs], wanted_J[limbs])


@pytest.mark.parametrize("order", NAMES)
def test_a_mirror_swaps_exactly_the_sides(order: str) -> None:
    swap_J = mirrored(order)
    assert np.array_equal(swap_J[swap_J], np.arange(len(swap_J)))
    assert np.array_equal(sides(order)[swap_J], -sides(order))


@pytest.mark.parametrize("source", NAMES)
def test_weights_sum_to_one_or_the_joint_is_unseen(source: str) -> None:
    for destination in NAMES:
        total_D = conversion(source, destination).sum(axis=1)
        assert (np.isclose(total_D, 1.0) | (total_D == 0.0)).all()


def test_orders_agree_with_the_networks_that_use_them() -> None:
    assert tuple(ORDERS["blazepose-33"][i] for i in COCO_17_OF_LANDMARKS) == ORDERS["coco-17"]
    same = {"pelvis": "mid_hip", "thorax": "chest", "upper_neck": "neck"}
    assert tuple(same.get(name, name) for name in human_pose.JOINTS) == ORDERS["mpii-16"]


def test_a_head_without_a_face_gives_ears_and_no_nose() -> None:
    row = conversion("kinect-20", "coco-17")
    coco = ORDERS["coco-17"]
    assert row[coco.index("left_ear")].argmax() == ORDERS["kinect-20"].index("head")
    assert not row[coco.index("nose")].any()


def test_wrong_number_of_joints_is_refused() -> None:
    with pytest.raises(ValueError, match="kinect-20 must be"):
        convert(np.zeros((3, 17, 3)), "kinect-20")
