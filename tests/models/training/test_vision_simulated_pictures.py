"""Simulated walkers as pictures with joints: sides never swapped, what counts as marked, people kept apart, and a pose run on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.recordings import RecordingError
from models.data.vision_formats.pictures import JointPicture, squared
from models.pose.joints import ORDERS, mirrored
from models.simulation import Walker
from models.simulation.camera_view import Camera
from models.simulation.scene import HIDDEN, OUTSIDE, VISIBLE, Scene
from models.simulation.scene_actors import Passage
from models.training import vision, vision_pose_run, vision_simulated_pictures
from models.training.vision import SmallRun, load_run
from models.training.vision_data import people_of
from models.training.vision_pose_run import split_pictures, train_pose
from models.training.vision_run import main, train_files
from models.training.vision_simulated_pictures import marked, simulated_pictures
from models.types import Float32
from models.video.human_pose import JOINTS, MIRRORED
from models.video.recipe import Recipe

COCO = ORDERS["coco-17"]

NAME = "human-pose-resnet152"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures of four walkers, two of a passage and two passages of each."""
    folder = tmp_path_factory.mktemp("walkers")
    with pytest.MonkeyPatch.context() as patch:
        few(patch)
        simulated_pictures(4, folder)
    return folder


def few(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vision_simulated_pictures, "INSTANTS", 2)
    patch.setattr(vision_simulated_pictures, "MIDDLE", (0.4, 0.6))
    patch.setattr(vision_simulated_pictures, "WAYS", ((0, 0, 0), (1, 1, 0)))


def body(**third: float) -> Float32:
    """COCO joint j at (10 j, j), visible unless told otherwise."""
    joints_173 = np.array([(10.0 * j, j, third.get(name, VISIBLE)) for j, name in enumerate(COCO)], np.float32)
    return joints_173


@pytest.mark.parametrize(
    ("third", "joint", "row"),
    [
        ({}, "left_ankle", (150, 15, 1)),  # a joint that both orders have keeps its name
        ({}, "right_ankle", (160, 16, 1)),
        ({}, "right_wrist", (100, 10, 1)),
        ({}, "pelvis", (115, 11.5, 1)),  # between the hips
        ({}, "upper_neck", (55, 5.5, 1)),  # between the shoulders, as in the table of joints
        ({}, "thorax", (55, 5.5, 1)),
        ({}, "head_top", (0, 0, 0)),  # COCO has none
        ({"left_knee": HIDDEN}, "left_knee", (130, 13, 1)),  # behind the other leg: LSP marks it too
        ({"left_knee": OUTSIDE}, "left_knee", (130, 13, 0)),
        ({"left_hip": HIDDEN}, "pelvis", (115, 11.5, 1)),
        ({"left_hip": OUTSIDE}, "pelvis", (115, 11.5, 0)),  # half of it is not in the picture
    ],
)
def test_joints_of_the_renderer_become_those_of_the_networks(third: dict[str, float], joint: str, row: tuple[float, float, float]) -> None:
    assert marked(body(**third))[JOINTS.index(joint)].tolist() == pytest.approx(row)


def test_a_mirrored_body_is_marked_as_the_networks_mirror_it() -> None:
    rng = np.random.default_rng(0)
    joints_173 = np.column_stack([rng.uniform(0, 100, (17, 2)), rng.integers(0, 3, 17)]).astype(np.float32)
    assert np.allclose(marked(joints_173[mirrored("coco-17")]), marked(joints_173)[list(MIRRORED)])


@pytest.mark.parametrize(
    ("heading_rad", "start_m", "right_first"),
    [
        (-np.pi / 2, (0.0, 2.0), True),  # towards the camera: the right side is on the picture's left
        (np.pi / 2, (0.0, -2.0), False),  # away from it
    ],
)
def test_sides_are_those_of_the_person(heading_rad: float, start_m: tuple[float, float], right_first: bool) -> None:
    walk = Passage(Walker(1), begin_ns=0, duration_s=2.0, start_m=start_m, heading_rad=heading_rad, session=0, take=0)
    joints_J3 = marked(Scene([walk], Camera(position_m=(0.0, -6.0, 2.6), yaw_rad=np.pi / 2)).frame(10**9).joints_P17x3[0])
    for part in ("shoulder", "hip", "elbow"):
        right, left = (joints_J3[JOINTS.index(f"{side}_{part}"), 0] for side in ("right", "left"))
        assert (right < left) == right_first, part


def test_pictures_show_whole_torsos_and_are_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    made, again = simulated_pictures(1), simulated_pictures(4, kept)
    for item, read in zip(made, again, strict=False):
        assert (read.source, read.subject) == (item.source, item.subject) == ("simulation", "sim10000")
        assert (read.joints_J3 == item.joints_J3).all()
        assert np.abs(read.picture_HW3.astype(int) - item.picture_HW3).mean() < 5  # JPEG
    for item in again:
        square, joints_J3 = squared(item, 64)
        assert square.std() > 5  # not a border repeated
        assert joints_J3[[JOINTS.index(name) for name in ("upper_neck", "pelvis")], 2].all()
        assert joints_J3[JOINTS.index("pelvis"), 1] > joints_J3[JOINTS.index("upper_neck"), 1] + 5  # they stand
    assert people_of(again) == [("simulation", f"sim{seed}") for seed in range(10_000, 10_004)]
    assert simulated_pictures(0) == []


def test_a_walker_is_trained_on_or_held_out() -> None:
    nothing = np.zeros((1, 1, 3), np.uint8), np.zeros((16, 3), np.float32)
    walkers = [JointPicture(*nothing, "simulation", f"sim{10_000 + number // 3}") for number in range(30)]
    photographs = [JointPicture(*nothing, "lsp", str(number)) for number in range(20)]
    training, held_out = split_pictures([*photographs, *walkers])
    assert people_of(held_out) == [*(("lsp", str(k)) for k in range(16, 20)), ("simulation", "sim10008"), ("simulation", "sim10009")]
    assert not set(people_of(training)) & set(people_of(held_out))
    assert len(training) + len(held_out) == 50


def test_a_pose_network_is_trained_and_evaluated_on_walkers(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    few(monkeypatch)
    for phase in vision_pose_run.SMALL:
        monkeypatch.setitem(vision_pose_run.SMALL, phase, SmallRun(1, 1, Recipe("adamw", 1e-4, 2, epochs=1, published=False)))
    monkeypatch.setitem(vision.SMALL_PICTURE_PX, NAME, 32)
    (tmp_path / "walkers").symlink_to(kept)
    out = tmp_path / "run"
    main(["train", NAME, "--out", str(out), "--small", "--simulated", "4", "--target", "gaussian", "--device", "cpu"])
    assert "held_out_loss" in json.loads(capsys.readouterr().out)
    assert load_run(out).people == ("simulation/sim10000", "simulation/sim10001")
    main(["evaluate", str(out), "--simulated", "4", "--figures", str(tmp_path / "figures"), "--device", "cpu"])
    (row,) = json.loads(capsys.readouterr().out).values()
    assert (row["people"], row["pictures"]) == (2, 8)
    assert row["figures"]["pck50_gained"]["value"] == pytest.approx(
        row["figures"]["pck50"]["value"] - row["figures"]["usual_pck50"]["value"], abs=1e-6
    )
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["heat-maps-simulation.png"]


def test_too_few_walkers_are_answered(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    first = [item for item in simulated_pictures(4, kept) if item.subject in ("sim10000", "sim10001")]
    with pytest.raises(ValueError, match="8 pictures of 2 people: two people of every source are held out"):
        train_pose(NAME, first, tmp_path)
    with pytest.raises(RecordingError, match="counted from 0, not -1"):
        train_files(NAME, [], tmp_path, simulated=-1)
