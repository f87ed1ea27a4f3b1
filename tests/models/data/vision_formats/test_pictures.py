"""Pictures with joints and photographs with masks: what is read, cropped and refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data.recordings import RecordingError
from models.data.vision_formats.pictures import LSP_14, JointPicture, joint_pictures, masked_people, sixteen, squared
from models.training.vision_data import has_masked_photographs, photographed_crops
from models.video.human_pose import JOINTS

rng = np.random.default_rng(0)


def end_to_end(pictures: list[np.ndarray], kind: str) -> tuple[np.ndarray, np.ndarray]:
    parts = [cv2.imencode(kind, picture)[1] for picture in pictures]
    return np.concatenate(parts), np.cumsum([0, *(len(part) for part in parts)])


def joint_file(path: Path, **changed: np.ndarray) -> Path:
    jpg, offsets = end_to_end([rng.integers(0, 255, (60, 50, 3), dtype=np.uint8) for _ in range(2)], ".jpg")
    fields = {"jpg": jpg, "jpg_off": offsets, "joints": np.full((2, 14, 3), 20.0, np.float32)} | changed
    np.savez(path, **fields)
    return path


def test_lsp_joints_become_sixteen_without_a_thorax() -> None:
    lsp_J3 = np.stack([np.array([10.0 * k, k, 1.0]) for k in range(14)]).astype(np.float32)
    joints_J3 = sixteen(lsp_J3)
    for place, name in enumerate(LSP_14):
        assert (joints_J3[JOINTS.index(name)] == lsp_J3[place]).all(), name
    assert joints_J3[JOINTS.index("pelvis")].tolist() == [25.0, 2.5, 1.0]  # between right (20, 2) and left hip (30, 3)
    assert joints_J3[JOINTS.index("thorax"), 2] == 0
    lsp_J3[LSP_14.index("left_hip"), 2] = 0
    assert sixteen(lsp_J3)[JOINTS.index("pelvis"), 2] == 0


def test_a_square_keeps_joints_on_what_they_mark() -> None:
    picture = np.zeros((200, 150, 3), np.uint8)
    joints_J3 = np.zeros((16, 3), np.float32)
    joints_J3[0] = (40, 30, 1)
    joints_J3[1] = (90, 170, 1)
    joints_J3[2] = (-500, 0, 0)  # unmarked joints lie anywhere
    cv2.circle(picture, (40, 30), 6, (255, 0, 0), -1)  # blue first
    cv2.circle(picture, (90, 170), 6, (0, 0, 255), -1)
    square, placed_J3 = squared(JointPicture(picture, joints_J3, "file", "0"), 96)
    assert square.shape == (96, 96, 3)
    for joint, channel in ((0, 2), (1, 0)):  # RGB
        x, y = (round(float(value)) for value in placed_J3[joint, :2])
        assert square[y, x, channel] > 150
        assert placed_J3[joint, 2] == 1
    assert placed_J3[2, 2] == 0
    with pytest.raises(ValueError, match="without a visible joint"):
        squared(JointPicture(picture, np.zeros((16, 3), np.float32), "file", "0"), 96)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"joints": np.zeros((2, 16, 3), np.float32)}, "field 'joints'"),  # another order
        ({"joints": np.full((2, 14, 3), np.nan, np.float32)}, "field 'joints'"),
        ({"jpg": np.zeros(90_000, np.uint8)}, "'jpg' number 0 is not a readable picture"),
        ({"jpg_off": np.array([0, 90_000_000, 90_000_001])}, "stay within"),
        ({"jpg_off": np.array([0, 9, 3])}, "must rise"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, changed: dict[str, np.ndarray], words: str) -> None:
    path = joint_file(tmp_path / "bad.npz", **changed)
    with pytest.raises(RecordingError, match=words) as caught:
        joint_pictures(path)
    assert str(path) in str(caught.value)


def test_people_of_photographs_are_cut_out_with_their_masks(tmp_path: Path) -> None:
    photographs, masks, boxes = [], [], []
    for number in range(8):
        picture, mask = np.zeros((80, 100, 3), np.uint8), np.zeros((80, 100), np.uint8)
        for person, left in ((1, 10), (2, 60)):
            picture[20:60, left : left + 10] = mask[20:60, left : left + 10, None] = 100 * person
            mask[20:60, left : left + 10] = person
            boxes.append((number, left, 20, left + 9, 59, person))
        photographs.append(picture)
        masks.append(mask)
    jpg, jpg_off = end_to_end(photographs, ".jpg")
    mask_png, mask_off = end_to_end(masks, ".png")
    path = tmp_path / "street.npz"
    np.savez(path, jpg=jpg, jpg_off=jpg_off, mask_png=mask_png, mask_off=mask_off, box=np.array(boxes, np.int32))
    people = masked_people(path)
    assert len(people) == 16
    assert all(person.picture_3HW.shape == (3, 64, 64) for person in people)
    assert all(abs(person.mask_HW.mean() - 0.25) < 0.03 for person in people)  # 10 of 40 pixels wide
    assert has_masked_photographs(path)
    walks = photographed_crops(path)
    assert [len(walk.masks_THW) for walk in walks] == [12]  # six photographs; the rest are too few for another clip
    boxes[0] = (99, 0, 0, 5, 5, 1)
    np.savez(path, jpg=jpg, jpg_off=jpg_off, mask_png=mask_png, mask_off=mask_off, box=np.array(boxes, np.int32))
    with pytest.raises(RecordingError, match="picture 99"):
        masked_people(path)


def test_files_at_hand_are_read(data_dir: Path) -> None:
    path = data_dir / "vision" / "lspet_upright.npz"
    if not path.exists():
        pytest.skip("no pictures: vision/lspet_upright.npz is absent")
    items = joint_pictures(path)
    assert len(items) == 1400
    square, joints_J3 = squared(items[0], 96)
    seen_J = joints_J3[:, 2] > 0
    assert seen_J.sum() == 15  # all but the thorax
    assert (joints_J3[seen_J, :2] >= 0).all()
    assert square.dtype == np.uint8
