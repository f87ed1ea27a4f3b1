"""Loaders of skeleton and silhouette files: grid, sides, errors that name file and field; 3-D walks before a camera."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.data.recordings import RecordingError
from models.data.silhouettes import load_silhouette_walks
from models.data.skeletons import (
    Walk3D,
    facing_forward,
    filmed,
    load_pose_walks,
    load_walks_3d,
    on_camera_grid,
    resampled,
    seen_by_camera,
)
from models.pose.joints import ORDERS
from models.silhouette.alignment import aligned

COCO = ORDERS["coco-17"]
LEFT_ANKLE, RIGHT_ANKLE = COCO.index("left_ankle"), COCO.index("right_ankle")


def write_3d(path: Path, **changes: object) -> Path:
    """A file of two walks of a depth camera; a value of None leaves the field out."""
    rng = np.random.default_rng(0)
    fields: dict[str, object] = {
        "X": rng.normal(size=(90, 20, 3)).astype(np.float16),
        "start": np.array([0, 60]),
        "length": np.array([60, 30]),
        "subject": np.array([1, 2]),
        "trial": np.array([1, 1]),
        "joints": np.array([f"j{i}" for i in range(20)]),
        "fps": np.float64(30.0),
    }
    np.savez(path, **{name: value for name, value in (fields | changes).items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"X": None}, "'X' is missing"),
        ({"fps": None}, "'fps' is missing"),
        ({"X": np.zeros((90, 19, 3))}, "'X' must be"),  # joints and points disagree
        ({"X": np.full((90, 20, 3), np.nan)}, "'X' holds NaN"),
        ({"length": np.array([60, 31])}, "'start' and 'length' leave the 90 frames"),  # the last walk ends behind the file
        ({"length": np.array([60, 0])}, "'start' and 'length' leave"),  # an empty walk
        ({"subject": np.array([1])}, "'subject' must have one entry per walk"),
        ({"fps": np.float64(0.0)}, "'fps' must be one rate"),
    ],
)
def test_unusable_files_name_file_and_field(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = write_3d(tmp_path / "broken.npz", **changes)
    with pytest.raises(RecordingError, match=words) as caught:
        load_walks_3d(path)
    assert "broken.npz" in str(caught.value)


@pytest.mark.parametrize("load", [load_walks_3d, load_pose_walks, load_silhouette_walks])
def test_missing_and_foreign_files_are_refused(tmp_path: Path, load: Callable[[Path], list]) -> None:  # type: ignore[type-arg]
    with pytest.raises(RecordingError, match="no such file"):
        load(tmp_path / "none.npz")
    foreign = tmp_path / "foreign.npz"
    foreign.write_bytes(b"not a zip")
    with pytest.raises(RecordingError, match=r"foreign\.npz"):
        load(foreign)


def test_the_grid_keeps_a_straight_line_and_marks_gaps() -> None:
    time_s = np.array([0.0, 0.04, 0.08, 0.16, 0.6, 0.64, 0.72])
    keypoints = np.zeros((7, 17, 3))
    keypoints[:, :, 0] = 100.0 * time_s[:, None]
    keypoints[:, :, 2] = 1.0
    poses = on_camera_grid(time_s, keypoints)
    step = np.arange(10)
    seen = poses.keypoints_TJ3[:, 0, 2] > 0
    assert len(poses.keypoints_TJ3) == 10
    assert seen.tolist() == [True, True, True, *[False] * 5, True, True]  # 0.16 to 0.6 s nobody was seen
    assert np.allclose(poses.keypoints_TJ3[seen, 0, 0], 8.0 * step[seen], atol=1e-4)


def test_another_frame_rate_is_the_same_walk() -> None:
    t = np.arange(120) / 60.0
    joints = np.zeros((120, 17, 3), np.float32)
    joints[..., 0] = np.sin(2 * np.pi * t)[:, None]
    fast = Walk3D(joints, np.ones(17, bool), 60.0, "a", "1", "made")
    slow = Walk3D(joints[::2], np.ones(17, bool), 30.0, "a", "1", "made")
    assert np.allclose(resampled(fast), resampled(slow)[: len(resampled(fast))], atol=0.02)


@pytest.mark.parametrize(
    ("azimuth_deg", "left_x", "forward_x"),
    # where the left hand and what lies ahead fall in the picture
    [(0.0, 1, 0), (90.0, 0, -1), (180.0, -1, 0), (270.0, 0, 1)],
)
def test_views_put_left_and_ahead_where_they_belong(azimuth_deg: float, left_x: int, forward_x: int) -> None:
    body = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)[None, None]
    one = np.ones(1)
    place = seen_by_camera(body, np.full((1, 1), np.radians(azimuth_deg)), 0 * one, 1e4 * one, 1e4 * one)[0, 0]
    assert np.allclose(place[:, 0], [left_x, forward_x, 0], atol=1e-3)
    assert np.allclose(place[:, 1], [0, 0, -1], atol=1e-3)  # up is towards smaller y


def test_facing_forward_takes_heading_and_way_away() -> None:
    rng = np.random.default_rng(3)
    body = rng.normal(size=(1, 17, 3)).astype(np.float32) * 0.05 + np.array([0, 0, 1], np.float32)
    for name, y in (("shoulder", 0.2), ("hip", 0.1)):
        body[0, COCO.index(f"left_{name}"), :2] = 0.0, y
        body[0, COCO.index(f"right_{name}"), :2] = 0.0, -y
    straight = np.repeat(body, 50, axis=0)
    turn = np.radians(70.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]], np.float32)
    walked = straight @ rotation.T + np.linspace(0, 5, 50)[:, None, None].astype(np.float32) * np.array([1, 0.5, 0], np.float32)
    assert np.allclose(facing_forward(walked), facing_forward(straight), atol=1e-4)


def test_recorded_people_walk_forwards(data_dir: Path) -> None:
    """Feet swing forwards faster than they stay behind, in both sets: the files' axes are read the right way round."""
    for file, share in (("cmu_walk.npz", 1.0), ("kgbd.npz", 0.85)):
        walks = load_walks_3d(data_dir / "vision" / file)[::8]
        forward = []
        for walk in walks:
            speed = np.diff(facing_forward(resampled(walk))[:, [LEFT_ANKLE, RIGHT_ANKLE], 0], axis=0)
            forward.append((speed**3).mean() > 0)
        assert np.mean(forward) >= share, file


def test_recorded_people_look_like_people(data_dir: Path) -> None:
    """Heads above hips above ankles before the camera; every joint that the device knows has confidence, no other."""
    walk = load_walks_3d(data_dir / "vision" / "kgbd.npz")[40]
    keypoints = filmed(walk, 90.0).keypoints_TJ3
    y = np.median(keypoints[..., 1], axis=0)
    assert y[COCO.index("left_ear")] < y[COCO.index("left_hip")] < y[LEFT_ANKLE]
    assert ((keypoints[..., 2] > 0).all(axis=0) == walk.seen_J).all()
    assert not walk.seen_J[COCO.index("nose")]


def test_poses_and_silhouettes_of_a_pass_are_of_the_same_moments(data_dir: Path) -> None:
    poses, masks = load_pose_walks(data_dir / "vision" / "kth_pose.npz"), load_silhouette_walks(data_dir / "vision" / "kth_sil.npz")
    assert len(poses) == len(masks) == 182
    for pose, mask in zip(poses, masks, strict=True):
        assert (pose.subject, pose.session, pose.conditions) == (mask.subject, mask.session, mask.conditions)
        assert pose.poses.start_ns == mask.silhouettes.start_ns
        assert len(pose.poses.keypoints_TJ3) == len(mask.silhouettes.masks_THW)


def test_silhouettes_come_by_view_and_run(data_dir: Path) -> None:
    walks = load_silhouette_walks(data_dir / "vision" / "casia_a_sil.npz")
    assert {(walk.conditions["view"], walk.session) for walk in walks} == {(v, r) for v in ("0", "45", "90") for r in "1234"}
    masks = walks[0].silhouettes.masks_THW
    assert masks.any(axis=(1, 2)).all()
    assert all(np.array_equal(aligned(mask), mask) for mask in masks[:5])  # aligning once is enough


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("sil_packed", np.zeros((3, 351), np.uint8), "'sil_packed' must hold"),  # too few bits
        ("shape", np.array([3, 32, 22]), "'sil_packed' must hold"),  # another size
        ("run", None, "'run' is missing"),
    ],
)
def test_unusable_silhouettes_are_refused(tmp_path: Path, field: str, value: object, words: str) -> None:
    fields: dict[str, object] = {
        "sil_packed": np.zeros((3, 352), np.uint8),
        "shape": np.array([3, 64, 44]),
        "start": np.array([0]),
        "length": np.array([3]),
        "subject": np.array(["a"]),
        "view": np.array([0]),
        "run": np.array([1]),
    }
    fields[field] = value
    np.savez(tmp_path / "sil.npz", **{name: entry for name, entry in fields.items() if entry is not None})
    with pytest.raises(RecordingError, match=words):
        load_silhouette_walks(tmp_path / "sil.npz")
