"""Training of pose networks: right joints, the usual place, what mirroring does, and that both losses fall on real pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.data.vision_formats.pictures import JointPicture, joint_pictures
from models.training import vision, vision_pose_run
from models.training.vision import SmallRun, load_run
from models.training.vision_pose import Pictures, PoseTask, Target, correct_joints, cropped, usual_places
from models.training.vision_pose_run import split_pictures, train_pose
from models.video.human_pose import JOINTS, MIRRORED, HumanPoseResNet152
from models.video.recipe import Recipe

NECK, PELVIS = JOINTS.index("upper_neck"), JOINTS.index("pelvis")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def items(data_dir: Path) -> list[JointPicture]:
    path = data_dir / "vision" / "lspet_upright.npz"
    if not path.exists():
        pytest.skip("no pictures: vision/lspet_upright.npz is absent")
    return joint_pictures(path)


def drawn(count: int = 2, side: int = 64) -> Pictures:
    """Every joint is a pixel of its own brightness on black."""
    joints_NJ3 = np.zeros((count, 16, 3), np.float32)
    joints_NJ3[..., 0], joints_NJ3[..., 1] = np.arange(16) * 2 + 16, np.arange(16) % 4 * 4 + 24
    joints_NJ3[:, NECK, :2], joints_NJ3[:, PELVIS, :2] = (32, 14), (32, 34)
    joints_NJ3[..., 2] = 1
    rgb = np.zeros((count, side, side, 3), np.uint8)
    for joint, (x, y) in enumerate(joints_NJ3[0, :, :2].astype(int)):
        rgb[:, y, x] = 100 + joint
    return Pictures(rgb, joints_NJ3, np.arange(count).astype(str))


def test_right_joints_lie_within_a_share_of_the_torso() -> None:
    pictures = drawn()
    found = pictures.joints_NJ3[..., :2].copy()
    found[0, 0, 0] += 5  # a quarter of a torso of 20
    found[0, 1, 0] += 11
    rates = correct_joints(found, pictures)
    assert rates[0.2].tolist() == pytest.approx([14 / 16, 1.0])
    assert rates[0.5].tolist() == pytest.approx([15 / 16, 1.0])
    pictures.joints_NJ3[1, PELVIS, 2] = 0  # nothing to measure by
    pictures.joints_NJ3[0, 1, 2] = 0  # not marked: not counted
    rates = correct_joints(found, pictures)
    assert rates[0.5][0] == 1.0
    assert np.isnan(rates[0.5][1])


def test_the_usual_place_is_the_mean_of_what_is_marked() -> None:
    pictures = drawn(3)
    pictures.joints_NJ3[2, 0] = (9999, 9999, 0)
    assert usual_places(pictures, drawn(1))[0, 0].tolist() == pictures.joints_NJ3[0, 0, :2].tolist()


def test_varied_pictures_keep_every_joint_on_its_pixel() -> None:
    pictures = drawn()
    task = PoseTask(HumanPoseResNet152(64), pictures, pictures, 2, "cpu")
    rng, mirrored = np.random.default_rng(0), 0
    for _ in range(6):
        x_B3HW, joints_BJ3 = task._varied(np.array([0, 1]), rng)
        for picture_3HW, joints_J3 in zip(x_B3HW, joints_BJ3, strict=True):
            shown = [int(picture_3HW[0, int(y), int(x)]) - 100 for x, y, _ in joints_J3]
            assert shown in (list(range(16)), list(MIRRORED))
            mirrored += shown == list(MIRRORED)
    assert 0 < mirrored < 12


class OneConvolution(nn.Module):
    """Maps like a pose network's, from a single layer: what is tested is the task, and the real ones take a second a step."""

    MAP_PX, DISC_PX, picture_px = 64, 11, 64

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 16, 9, padding=4)
        nn.init.normal_(self.layer.weight, 0.0, 1e-4)
        self.reading = nn.Identity()

    def forward(self, x_B3HW: Tensor) -> Tensor:
        return self.layer(x_B3HW / 255)


@pytest.mark.parametrize("target", ["disc", "gaussian"])
def test_the_loss_falls_on_real_pictures(items: list[JointPicture], target: Target) -> None:
    torch.manual_seed(0)
    training, held_out = cropped(items[:8], 64), cropped(items[8:12], 64)
    task = PoseTask(OneConvolution(), training, held_out, 8, "cpu", target)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(task.module.parameters(), 1e-3)
    before = task.validate()
    for step in range(20):
        optimizer.zero_grad()
        task.loss(np.random.default_rng(step)).backward()
        optimizer.step()
    after = task.validate()
    assert after["held_out_loss"] < 0.7 * before["held_out_loss"]
    assert set(after) == {"pck20", "pck50", "held_out_loss", "score"}


def test_another_target_is_refused() -> None:
    with pytest.raises(ValueError, match="'disc' or 'gaussian', not 'cross'"):
        PoseTask(HumanPoseResNet152(64), drawn(), drawn(), 1, "cpu", "cross")  # type: ignore[arg-type]


def test_a_small_run_is_written_and_read(items: list[JointPicture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "human-pose-resnet152"
    for phase in vision_pose_run.SMALL:
        monkeypatch.setitem(vision_pose_run.SMALL, phase, SmallRun(1, 1, Recipe("rmsprop", 1e-4, 2, epochs=1, published=False)))
    monkeypatch.setitem(vision.SMALL_PICTURE_PX, name, 32)
    run = train_pose(name, items[:5], tmp_path, small=True)
    read = load_run(tmp_path)
    assert (read.name, read.people, read.kept) == (name, run.people, run.kept)
    assert read.cost["processor_s"] > 0
    x_B3HW = torch.rand(1, 3, 32, 32) * 255
    assert torch.equal(read.network(x_B3HW), run.network(x_B3HW))
    assert not torch.equal(read.network(x_B3HW), read.untrained()(x_B3HW))
    assert [row["stage"] for row in read.history] == ["shallow", "whole"]
    training, held_out = split_pictures(items[:5])
    assert (len(training), len(held_out)) == (3, 2)
    assert run.people == ("lspet_upright/0", "lspet_upright/1", "lspet_upright/2")


def test_a_start_is_taken_over_without_the_blocks_that_rest_first(
    items: list[JointPicture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "human-pose-resnet152"
    for phase in vision_pose_run.SMALL:
        monkeypatch.setitem(vision_pose_run.SMALL, phase, SmallRun(1, 1, Recipe("rmsprop", 1e-9, 2, epochs=1, published=False)))
    monkeypatch.setitem(vision.SMALL_PICTURE_PX, name, 32)
    start = {key: torch.ones_like(value) for key, value in vision.built(name, 0, True).state_dict().items()}
    after = train_pose(name, items[:5], tmp_path, small=True, start=start).network.state_dict()
    for key, value in (("scoring.weight", 1.0), ("stages.2.0.body.7.weight", 1.0), ("stages.2.1.body.7.weight", 0.0)):
        assert torch.allclose(after[key], torch.tensor(value), atol=1e-6), key  # the rate is next to nothing
