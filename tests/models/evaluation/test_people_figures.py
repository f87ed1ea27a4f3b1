"""Figures of detection and pose: by hand on small examples, and on a few real pictures."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models.evaluation import people_detection, people_pose
from models.evaluation.people import detection_row, markdown, on_passers_by, on_sports_people
from models.evaluation.people_pictures import LSP_14, passers_by, photographs, sports_people
from models.pose import fetch
from models.pose.blazepose import BlazePose
from models.pose.boxes import Detections
from models.pose.detector import EfficientDetLite0
from models.pose.joints import ORDERS

A, B = [0.0, 0, 40, 100], [200.0, 0, 260, 160]
TRUTH = np.array([A, B], np.float32)


def found(*rows: tuple[list[float], float]) -> people_detection.Found:
    boxes = np.array([box for box, _ in rows], np.float32).reshape(-1, 4)
    return people_detection.compared(Detections(boxes, np.array([score for _, score in rows], np.float32)), TRUTH)


def moved(box: list[float], x: float) -> list[float]:
    return [box[0] + x, box[1], box[2] + x, box[3]]


@pytest.mark.parametrize(
    ("rows", "precision", "recall", "ap"),
    [
        ([(A, 0.9), (B, 0.8)], 1.0, 1.0, 1.0),  # all found
        ([(A, 0.9)], 1.0, 0.5, 0.5),  # one missed
        ([(A, 0.9), (A, 0.85), (B, 0.8)], 2 / 3, 1.0, (1 + 2 / 3) / 2),  # the second box of a person is false
        ([(moved(B, 500), 0.9), (A, 0.8), (B, 0.7)], 2 / 3, 1.0, 2 / 3),  # the surest is nobody: never more precise than at the end
        ([(moved(A, 20), 0.9), (B, 0.8)], 0.5, 0.5, 0.25),  # overlaps by a third only
        ([(A, 0.9), (B, 0.3)], 1.0, 0.5, 1.0),  # below the threshold: counts for the average precision only
    ],
)
def test_detection_by_hand(rows, precision, recall, ap):
    figures = people_detection.figures_of([found(*rows)], 0.4)
    assert [figures[name] for name in ("precision", "recall", "ap")] == pytest.approx([precision, recall, ap])


def test_recall_is_told_by_height():
    pictures = [found((B, 0.9))] * people_detection.LEAST_IN_CLASS
    figures = people_detection.figures_of(pictures, 0.4)
    assert figures["recall_90_to_150_px"] == 0.0  # A is 100 tall and always missed
    assert figures["recall_150_to_250_px"] == 1.0
    assert np.isnan(figures["recall_0_to_60_px"])
    shown = people_detection.with_intervals({str(n): [picture] for n, picture in enumerate(pictures)}, 0.4, 10)
    assert "recall_0_to_60_px" not in shown and shown["recall"].low == shown["recall"].high == 0.5


def body() -> np.ndarray:
    """A person in the order of COCO: joint n at (10 n, 20 n), so that the torso (left shoulder to right hip) is 134 pixels."""
    n = np.arange(17)
    return np.stack([10 * n, 20 * n, np.ones(17)], axis=1).astype(np.float32)


def as_lsp(body_J3: np.ndarray) -> np.ndarray:
    """The same in LSP's order; neck and crown 40 pixels apart."""
    truth = np.zeros((14, 3), np.float32)
    for row, name in enumerate(LSP_14):
        truth[row] = body_J3[ORDERS["coco-17"].index(name)] if name in ORDERS["coco-17"] else 0
    truth[LSP_14.index("neck")], truth[LSP_14.index("head_top")] = (50, 40, 1), (50, 0, 1)
    return truth


TORSO_PX = float(np.hypot(70, 140))


@pytest.mark.parametrize(
    ("shift_px", "expected"),
    [
        (0.0, {"pck_torso_0.1": 1.0, "pck_torso_0.2": 1.0, "pckh_0.5": 1.0}),  # exact
        (0.15 * TORSO_PX, {"pck_torso_0.1": 0.0, "pck_torso_0.2": 1.0, "pckh_0.5": 0.0}),  # 23 px: more than half of the head's 40
        (0.3 * TORSO_PX, {"pck_torso_0.2": 0.0, "pck_torso_0.5": 1.0, "pck_torso_0.2 knee": 0.0}),
    ],
)
def test_joints_by_hand(shift_px, expected):
    pose = body()
    pose[:, 0] += shift_px
    figures = people_pose.figures_of([people_pose.against_lsp(pose, as_lsp(body()), 1.0)])
    assert {name: figures[name] for name in expected} == expected
    assert figures["legs_swapped"] == 0.0 and np.isnan(figures["mean_within_0.1_height"])


def test_one_joint_apart_and_joints_that_nobody_knows():
    pose, truth = body(), as_lsp(body())
    pose[ORDERS["coco-17"].index("left_wrist"), 0] += 500
    figures = people_pose.figures_of([people_pose.against_lsp(pose, truth, 1.0)])
    assert figures["pck_torso_0.2"] == pytest.approx(11 / 12) and figures["pck_torso_0.2 wrist"] == 0.5
    truth[LSP_14.index("left_wrist"), 2] = 0
    assert people_pose.figures_of([people_pose.against_lsp(pose, truth, 1.0)])["pck_torso_0.2"] == 1.0
    truth[LSP_14.index("right_hip"), 2] = 0  # no torso, no measure
    assert np.isnan(people_pose.figures_of([people_pose.against_lsp(pose, truth, 1.0)])["pck_torso_0.2"])


def test_exchanged_legs_are_told():
    pose = body()
    legs = [ORDERS["coco-17"].index(name) for name in people_pose.LEGS]
    pose[legs] = pose[[legs[1], legs[0], legs[3], legs[2]]]
    assert people_pose.figures_of([people_pose.against_coco(pose, body(), 360.0, 1.0)])["legs_swapped"] == 1.0


@pytest.mark.parametrize(("shift_px", "close"), [(35, 1.0), (37, 0.0)])  # of 360 pixels a tenth
def test_agreement_in_heights(shift_px, close):
    pose = body()
    pose[:, 1] += shift_px
    assert people_pose.figures_of([people_pose.against_coco(pose, body(), 360.0, 1.0)])["mean_within_0.1_height"] == close


def test_masks_by_hand():
    whole, half = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    half[:2] = True
    assert people_pose.mask_iou(half, whole) == 0.5
    assert people_pose.mask_iou(~whole, ~whole) == 0.0


@pytest.mark.data
def test_real_pictures_and_the_orders_of_their_joints(data_dir: Path):
    try:
        detector, network = EfficientDetLite0(fetch.path_of(fetch.DETECTOR)), BlazePose(fetch.path_of(fetch.POSE))
    except fetch.WeightsUnavailable as error:
        pytest.skip(str(error))
    vision = data_dir / "vision"
    streets = list(islice(photographs(vision / "pennfudan.npz"), 8))
    assert all(
        0.2 < mask.sum() / ((x1 - x0) * (y1 - y0)) < 0.95
        for p in streets
        for mask, (x0, y0, x1, y1) in zip(p.masks_PHW, p.boxes_P4, strict=True)
    )
    whole, found = on_sports_people(detector, network, list(islice(sports_people(vision / "lspet_upright.npz"), 40)))
    assert whole.figures["pck_torso_0.5"].value > 0.85, "all joints of a wrong order would be far away"
    assert found.people >= 32, "most of them are found"
    walkers = list(islice(passers_by(vision / "kth_pose.npz", vision / "kth_walk", 20), 12))
    stored, detected = on_passers_by(detector, network, walkers)
    assert stored.figures["mean_within_0.1_height"].value > 0.9 and detected.figures["mean_within_0.1_height"].value > 0.9
    streets_row = detection_row("street", detector, [(p.name, p.image_HW3, p.boxes_P4) for p in streets])
    assert streets_row.figures["recall"].value > 0.9
    shown = markdown([whole, found, stored, detected, streets_row])
    assert "pck torso 0.2" in shown and "| precision |" in shown
