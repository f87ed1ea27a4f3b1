"""Detector, pose network and motion gate on real video and street photographs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.pose.boxes import iou
from models.pose.motion import MotionGate
from tests.models.pose.conftest import read_clip

pytestmark = pytest.mark.data

LEFT, RIGHT = list(range(1, 17, 2)), list(range(2, 17, 2))
"""COCO-17: eyes, ears, shoulders, elbows, wrists, hips, knees, ankles."""


@pytest.mark.parametrize(
    ("person", "scenario"),
    [
        (1, 1),  # outdoors
        (2, 3),  # other clothes
        (4, 4),  # indoors
    ],
)
def test_boxes_and_joints_agree_with_the_data_set(detector, pose_network, kth_frames, person, scenario):
    frames = kth_frames(person, scenario, 6)
    overlap, near, side = [], [], []
    for frame in frames:
        found = detector.detect(frame.image)
        best = iou(found.boxes_N4, frame.box_4[None])[:, 0] if len(found) else np.zeros(1)
        overlap.append(best.max())
        if best.max() > 0.5:
            pose = pose_network.pose(frame.image, found.boxes_N4[best.argmax()])
            error_J = np.linalg.norm(pose.keypoints_J3[:, :2] - frame.keypoints_J3[:, :2], axis=1)
            near.append(error_J.mean() <= 0.1 * frame.height_px)
            ours_P, known_P = (k[LEFT, 0] - k[RIGHT, 0] for k in (pose.keypoints_J3, frame.keypoints_J3))
            apart_P = np.abs(known_P) > 0.08 * frame.height_px  # seen from the side most pairs lie over one another
            side.append((np.sign(ours_P) == np.sign(known_P))[apart_P])
    assert np.mean(np.array(overlap) > 0.5) >= 0.9
    assert np.mean(near) >= 0.9
    sure = np.concatenate(side)
    assert len(sure) >= 20 and sure.mean() >= 0.6, (
        len(sure),
        sure.mean(),
    )  # both networks err at times; exchanged in the table, it would be below 0.4


def test_street_photographs(detector, data_dir: Path):
    photographs = np.load(data_dir / "vision" / "pennfudan.npz")
    ends = photographs["jpg_off"]
    found, people = 0, 0
    for n in range(0, 40):
        image = cv2.imdecode(photographs["jpg"][ends[n] : ends[n + 1]], cv2.IMREAD_COLOR)
        true_N4 = photographs["box"][photographs["box"][:, 0] == n][:, 1:5].astype(float)
        boxes = detector.detect(image).boxes_N4
        people += len(true_N4)
        found += int((iou(boxes, true_N4).max(axis=0, initial=0) > 0.5).sum())
    assert found / people >= 0.9  # .968 over all 120


def test_the_mask_covers_the_person(pose_network, kth_frames):
    for frame in kth_frames(1, 1, 40):
        pose = pose_network.pose(frame.image, frame.box_4)
        mask_HW = cv2.warpAffine(pose.mask_HW.astype(np.uint8), pose.mask_23, frame.image.shape[1::-1]).astype(bool)
        x0, y0, x1, y1 = frame.box_4.astype(int)
        assert mask_HW[y0:y1, x0:x1].sum() >= 0.9 * mask_HW.sum()  # inside the box
        assert 0.15 <= mask_HW[y0:y1, x0:x1].mean() <= 0.8  # neither empty nor the whole box


def test_a_still_scene_keeps_the_gate_shut_and_a_walker_opens_it(data_dir: Path):
    known = np.load(data_dir / "vision" / "kth_pose.npz")
    passes = np.flatnonzero((known["subject"] == 1) & (known["scenario"] == 1))
    walker = {int(f) for n in passes for f in known["frame"][known["start"][n] :][: known["length"][n]]}
    gate = MotionGate()
    opened, overlap = [], []
    for number, image in enumerate(read_clip(data_dir, 1, 1)):
        moves = gate.see(image)
        if number in walker and number > 20:
            opened.append(moves)
            row = int(np.flatnonzero(known["frame"][known["start"][passes[0]] :] == number)[0] + known["start"][passes[0]])
            x, y, width, height = known["box"][row].astype(float)
            blobs = gate.people().boxes_N4
            overlap.append(iou(blobs, np.array([[x, y, x + width, y + height]])).max(initial=0))
    assert np.mean(opened) >= 0.98
    assert np.mean(np.array(overlap) > 0.5) >= 0.6  # .71 over all clips
    empty = MotionGate()
    still = read_clip(data_dir, 1, 1)[0]
    assert [empty.see(still) for _ in range(5)] == [True, False, False, False, False]
    with pytest.raises(ValueError, match="keep their size"):
        empty.see(still[:100])
