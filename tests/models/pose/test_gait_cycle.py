"""Direction of walking and gait cycle: simulated walkers whose way and phase are known, and real passes that are labelled left or right."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from models.data.skeletons import load_pose_walks
from models.pose.gait_cycle import GaitCycle, Heading, gait_cycle, heading
from models.simulation import Walker
from models.simulation.camera_view import Camera
from models.simulation.scene_actors import Passage
from models.types import CAMERA_STEP_NS, Float32

VIEW = Camera(position_m=(0.0, -7.0, 2.2))
"""Looks along +y: a way towards +x leads to the picture's right."""
MOMENTS = 32


@cache
def passes(seed: int, azimuth_deg: float, noise: float = 0.0) -> tuple[Float32, float]:
    """(32, 17, 3) joints of a simulated walker on a way through the middle of the view, and the true time of a stride in seconds."""
    heading_rad = np.radians(azimuth_deg - 90.0)
    seconds = MOMENTS * CAMERA_STEP_NS / 1e9
    start_m = (-1.5 * np.cos(heading_rad), -1.5 * np.sin(heading_rad))
    walk = Passage(Walker(seed), begin_ns=0, duration_s=seconds, start_m=start_m, heading_rad=heading_rad)
    poses, phases = [], []
    for t in range(MOMENTS):
        posed = walk.posed(t * CAMERA_STEP_NS)
        assert posed is not None
        pixels_J3 = VIEW.project((posed.figure.point_P4B @ posed.transforms.astype(np.float32)).astype(np.float64))[:17]
        poses.append(np.column_stack([pixels_J3[:, :2], np.ones(17)]))
        phases.append(posed.phase)
    keypoints_TJ3 = np.array(poses, np.float32)
    height_px = np.ptp(keypoints_TJ3[..., 1], axis=1).mean()
    keypoints_TJ3[..., :2] += np.random.default_rng(seed).normal(0, noise * height_px, keypoints_TJ3[..., :2].shape)
    turns = np.diff(np.unwrap(np.array(phases), period=1.0)).sum()
    return keypoints_TJ3, (MOMENTS - 1) * CAMERA_STEP_NS / 1e9 / turns


@pytest.mark.parametrize("noise", [0.0, 0.015])  # exact joints, and the pose network's error
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("azimuth_deg", "direction"),
    [
        (0.0, "towards"),
        (20.0, "towards"),
        (90.0, "right"),
        (110.0, "right"),
        (180.0, "away"),
        (-90.0, "left"),
        (-75.0, "left"),
    ],
)
def test_directions_of_simulated_walkers(azimuth_deg, direction, seed, noise):
    found = heading(passes(seed, azimuth_deg, noise)[0])
    assert found.direction == direction
    assert abs((found.azimuth_deg - azimuth_deg + 180) % 360 - 180) < 35


@pytest.mark.parametrize("azimuth_deg", [0.0, 45.0, 90.0, 180.0, -90.0])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_strides_of_simulated_walkers(azimuth_deg, seed):
    keypoints_TJ3, stride_s = passes(seed, azimuth_deg)
    found_s = gait_cycle(keypoints_TJ3).stride_s
    # From behind the feet open too little in the picture for half of the walkers: then nothing is told, rather than something wrong.
    assert found_s == pytest.approx(stride_s, rel=0.1) or (azimuth_deg == 180.0 and found_s == 0.0)


@pytest.mark.data
def test_real_passes_go_where_their_labels_say(data_dir: Path):
    """KTH d1, d3 and d4: across the picture.  Not d2, where people come nearer as well."""
    labels = np.load(data_dir / "vision" / "kth_pose.npz")
    walks = load_pose_walks(data_dir / "vision" / "kth_pose.npz")
    told, rates_hz = [], []
    for walk, label in zip(walks, labels["direction"], strict=True):
        if walk.conditions["scenario"] != "2":
            told.append(heading(walk.poses.keypoints_TJ3).direction == {-1: "left", 1: "right"}[int(label)])
            rates_hz.append(gait_cycle(walk.poses.keypoints_TJ3).step_rate_hz)
    assert len(told) > 130 and all(told)
    known = np.array([rate_hz for rate_hz in rates_hz if rate_hz])
    assert len(known) >= 0.9 * len(rates_hz)
    assert np.mean((known > 1.4) & (known < 2.6)) >= 0.9, "steps a second of people who walk"


def test_who_stands_has_no_direction_and_no_steps():
    keypoints_TJ3 = np.repeat(passes(1, 90.0)[0][:1], MOMENTS, axis=0)
    keypoints_TJ3[:, [0, 3, 4], 0] = 100.0  # a face that cannot be told to look aside
    keypoints_TJ3[:, [5, 6, 11, 12], 0] = 100.0
    found = heading(keypoints_TJ3)
    assert found.direction == "unclear" and found.strength == pytest.approx(0.0)
    assert gait_cycle(keypoints_TJ3).stride_s == 0.0 and gait_cycle(keypoints_TJ3).step_rate_hz == 0.0


def test_a_follower_camera_tells_by_the_body():
    """The camera turns with the walker: nothing moves across, but the nose lies before the ears and the left shoulder beside the right one."""
    for azimuth_deg, direction in ((90.0, "right"), (-90.0, "left")):
        keypoints_TJ3 = passes(1, azimuth_deg)[0].copy()
        keypoints_TJ3[..., 0] -= keypoints_TJ3[:, [11, 12], 0].mean(axis=1)[:, None]
        assert heading(keypoints_TJ3).direction == direction


def test_unseen_moments_and_joints_count_for_nothing():
    keypoints_TJ3, stride_s = passes(2, 90.0)
    gappy = keypoints_TJ3.copy()
    gappy[[0, 1, 2, 12, 30, 31]] = 0.0
    assert heading(gappy).direction == "right"
    assert gait_cycle(gappy).stride_s == pytest.approx(stride_s, rel=0.12)
    assert (gait_cycle(gappy).contacts_K >= 3).all()
    faceless = keypoints_TJ3.copy()
    faceless[:, :5] = 0.0  # as of a depth camera
    faceless[:, :5, 1] = keypoints_TJ3[:, :5, 1]
    assert heading(faceless).direction == "right"
    assert heading(gappy[:5]).direction == "unclear"
    with pytest.raises(ValueError, match=r"\(T, 17, 3\)"):
        heading(keypoints_TJ3[:, :14])


ROWS = [
    (4.0, 0.0),  # at a contact
    (7.0, 0.25),  # half a step later
    (10.0, 0.5),  # the other foot
    (13.0, 0.75),
    (16.0, None),  # after the last contact
    (3.9, None),  # before the first
]


@pytest.mark.parametrize(("moment", "phase"), ROWS)
def test_phase(moment, phase):
    assert GaitCycle(np.array([4.0, 10.0, 16.0]), 0.96).phase_at(moment) == (phase if phase is None else pytest.approx(phase))


def test_a_gap_between_contacts_has_no_phase():
    assert GaitCycle(np.array([4.0, 30.0]), 0.96).phase_at(10.0) is None


@pytest.mark.parametrize(
    ("azimuth_deg", "strength", "direction"),
    [
        (44.0, 1.0, "towards"),
        (46.0, 1.0, "right"),
        (179.0, 1.0, "away"),
        (-179.0, 1.0, "away"),
        (-91.0, 1.0, "left"),
        (90.0, 0.2, "unclear"),
    ],
)
def test_four_directions(azimuth_deg, strength, direction):
    assert Heading(azimuth_deg, strength).direction == direction
