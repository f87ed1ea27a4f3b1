"""Training of the published camera networks: data, recipes in the engine's terms, and that every task's loss falls on real walks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.recordings import RecordingError
from models.skeleton import Disentangle, GaitFormer, GaitNN
from models.skeleton.gaitnn import score_maps
from models.skeleton.inputs import disentangle_clip, gaitformer_clip, heights, pose_maps
from models.training.engine import fit
from models.training.options import TrainOptions
from models.training.vision import few_of
from models.training.vision_data import (
    CropWalk,
    JointWalk,
    crop,
    enrolment_of,
    filmed_crops,
    joint_walks,
    people_of,
    silhouette_walks,
    split_walks,
)
from models.training.vision_feeding import feeding_of, pieces
from models.training.vision_gaitnet import GaitNetTask
from models.training.vision_optimisation import optimisation_of
from models.training.vision_tasks import ContrastiveTask, DisentangleTask, PoseMapTask, SequenceTask
from models.video.gaitnet import GaitNet
from models.video.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def poses(data_dir: Path) -> list[JointWalk]:
    """Passages of the first six people before a camera."""
    path = data_dir / "vision" / "kth_pose.npz"
    if not path.exists():
        pytest.skip("no recordings: vision/kth_pose.npz is absent")
    return [walk for walk in joint_walks(path) if int(walk.subject) <= 6]


def standing(frames: int = 12) -> np.ndarray:
    """(T, 17, 3) COCO joints of somebody in a picture, the left knee lifted, moving to the right."""
    joints = np.zeros((frames, 17, 3), np.float32)
    joints[..., 2] = 0.9
    joints[:, :5, :2] = (100, 40)
    joints[:, 5:11, :2] = [(110, 60), (90, 60), (115, 80), (85, 80), (115, 100), (85, 100)]
    joints[:, 11:, :2] = [(105, 110), (95, 110), (107, 125), (95, 140), (105, 165), (95, 170)]
    joints[..., 0] += 2 * np.arange(frames)[:, None]
    return joints


def test_inputs_do_not_depend_on_place_and_size_in_the_picture() -> None:
    near, far = standing(), standing()
    far[..., :2] = far[..., :2] * 0.3 + (400, 20)
    for made in (gaitformer_clip, disentangle_clip, pose_maps, heights):
        assert np.allclose(np.asarray(made(near)), np.asarray(made(far)), atol=2e-3)


def test_inputs_know_up_and_left() -> None:
    clip = gaitformer_clip(standing())
    assert len(clip) == 23  # twelve steps of 12.5 Hz at 25 Hz
    assert clip[0, 0, 1] > 1.0  # the nose is more than a torso above the hips
    assert clip[0, 12, 1] > clip[0, 9, 1]  # the left knee was lifted
    assert np.allclose(clip[:, 1, :2], [0, 1], atol=1e-3)  # the neck, one torso above
    way = disentangle_clip(standing())
    assert way[0, 8].tolist() == [0.0, 0.0]
    assert way[-1, 8, 0] == pytest.approx(22 / 50, abs=1e-3)  # the way is kept
    maps = pose_maps(standing())
    assert maps.shape == (23, 32, 17, 17)
    left_knee = np.unravel_index(int(maps[0, 4].argmax()), (17, 17))
    assert left_knee[0] > 8  # below the middle: y down in maps
    assert heights(standing())[0, 9, 1] == pytest.approx(1.4, abs=0.01)


def test_unseen_moments_are_left_out_and_nobody_is_an_error() -> None:
    joints = standing()
    joints[3:5, :, 2] = 0.0
    assert len(gaitformer_clip(joints)) == 19
    joints[..., 2] = 0.0
    with pytest.raises(ValueError, match="nobody"):
        gaitformer_clip(joints)
    joints[:, 0, 2] = 0.9
    with pytest.raises(ValueError, match="scaled"):
        gaitformer_clip(joints)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (10, 1),  # repeated
        (48, 1),
        (95, 1),  # no room for two
        (96, 2),
        (500, 3),
    ],
)
def test_pieces_do_not_overlap(frames: int, expected: int) -> None:
    walk = np.arange(frames, dtype=np.float32)[:, None, None]
    cut = pieces(walk, 48)
    assert [len(piece) for piece in cut] == [48] * expected
    assert frames < 48 or len(np.unique(np.concatenate(cut))) == 48 * expected


def test_crops_register_mask_and_picture() -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[20:100, 50:80] = 255  # a bright person in box (50, 20, 30, 80)
    aligned = np.zeros((64, 44), bool)
    aligned[:, 10:34] = True
    made, mask = crop(picture, aligned, np.array([50, 20, 30, 80]))
    assert made.shape == (3, 64, 64)
    assert ((made[0] > 127) == mask).mean() > 0.97
    assert np.flatnonzero(mask.any(axis=0)).mean() == pytest.approx(31.5, abs=1.5)
    _, beyond = crop(picture, aligned, np.array([150, 90, 30, 80]))  # a box that leaves the picture
    assert beyond.shape == (64, 64)


def test_held_out_people_are_others(poses: list[JointWalk]) -> None:
    training, held_out = split_walks(poses)
    assert not set(people_of(training)) & set(people_of(held_out))
    assert len(people_of(held_out)) == 2
    few = few_of(held_out)
    assert len(few) <= 4 * 2
    enrolled = enrolment_of(few)
    assert enrolled.any() and not enrolled.all()
    assert {walk.view for walk, first in zip(few, enrolled, strict=True) if first} == {"1"}  # the first scenario


def test_recipes_set_the_rate_of_every_step() -> None:
    options = TrainOptions("x", (), epochs=400, steps=5)
    cyclic = optimisation_of(GaitFormer.recipe)
    assert [cyclic.factor(5 * epoch, options) for epoch in (0, 10, 20)] == pytest.approx([1.0, 1.5, 1.0])
    stepped = optimisation_of(GaitNet.stages["rec"])
    assert [stepped.factor(k, options) for k in (19_999, 20_000)] == pytest.approx([1.0, 0.1])  # in iterations, not epochs
    network = GaitNet(2)
    waved = optimisation_of(Recipe("rmsprop", 1e-3, 4, epochs=4, schedule="cosine", published=False))
    rate = [waved.factor(number, options) for number in range(options.epochs * options.steps)]
    assert rate[0] == pytest.approx(0.05)  # warms up over a tenth of the whole run
    assert max(rate) == pytest.approx(1.0, abs=0.05)
    assert rate[-1] < 0.01
    optimizer = optimisation_of(GaitNet.stages["rec"], lambda module: network.groups("rec")).build(network, 1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-2, 2e-2]
    assert isinstance(optimizer, torch.optim.SGD)


def falls(task: SequenceTask | GaitNetTask, rate: float, steps: int) -> list[float]:
    """Losses over so many steps of Adam, every one on the same draw."""
    torch.manual_seed(0)
    task.module.eval()  # no dropout: the same draw must go down
    optimizer = torch.optim.Adam(task.module.parameters(), rate)
    history = []
    for _ in range(steps):
        loss = task.loss(np.random.default_rng(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history


def contrastive(training: list[JointWalk], held_out: list[JointWalk]) -> SequenceTask:
    network = GaitFormer(1)
    return ContrastiveTask(network, feeding_of(network), training, held_out, 8, "cpu", temperature=0.1)


def pose_map(training: list[JointWalk], held_out: list[JointWalk]) -> SequenceTask:
    network = GaitNN(len(people_of(training)), legacy=True)
    feeding = feeding_of(network, small=True)
    feeding.frames = 8
    return PoseMapTask(network, feeding, training, held_out, 2, "cpu")


def disentangled(training: list[JointWalk], held_out: list[JointWalk]) -> SequenceTask:
    network = Disentangle(len(people_of(training)), "pose")
    return DisentangleTask(network, feeding_of(network), training, held_out, 2, "cpu")


@pytest.mark.parametrize("build", [contrastive, pose_map, disentangled])
def test_losses_fall_and_held_out_people_are_scored(
    poses: list[JointWalk], build: Callable[[list[JointWalk], list[JointWalk]], SequenceTask]
) -> None:
    torch.manual_seed(0)
    training, held_out = split_walks(poses)
    task = build(training, few_of(held_out))
    history = falls(task, 1e-3, 6)
    assert history[-1] < history[0]
    figures = task.validate()
    assert figures["chance"] == pytest.approx(0.5)  # two people
    assert 0.0 <= figures["eer"] <= 1.0 and figures["score"] == 1.0 - figures["eer"]


def test_triplets_show_the_same_moment_from_another_view(data_dir: Path) -> None:
    path = data_dir / "vision" / "cmu_walk.npz"
    if not path.exists():
        pytest.skip("no recordings: vision/cmu_walk.npz is absent")
    walks = joint_walks(path)[:30]
    network = Disentangle(2, "pose")
    task = DisentangleTask(network, feeding_of(network), walks, [], 2, "cpu")
    assert task.triplets
    for a, others, strangers in task.triplets:
        for v in others:
            assert (task.walks[v].subject, task.walks[v].session) == (task.walks[a].subject, task.walks[a].session)
            assert task.walks[v].view != task.walks[a].view
        for i in strangers:
            assert task.walks[i].subject != task.walks[a].subject and task.walks[i].view == task.walks[a].view
    with pytest.raises(ValueError, match="two views"):
        DisentangleTask(network, feeding_of(network), joint_walks(path, (90.0,))[:10], [], 2, "cpu")


def test_gaitnet_takes_pictures_and_silhouettes_together(data_dir: Path) -> None:
    silhouettes, videos = data_dir / "vision" / "kth_sil.npz", data_dir / "vision" / "kth_walk"
    if not silhouettes.exists() or not videos.exists():
        pytest.skip("no recordings: vision/kth_sil.npz or vision/kth_walk is absent")
    rng = np.random.default_rng(0)
    pictured = [
        CropWalk(
            walk.masks_THW, rng.integers(0, 255, (len(walk.masks_THW), 3, 64, 64), dtype=np.uint8), "7", walk.view, walk.session, "kth_sil"
        )
        for walk in silhouette_walks(silhouettes)[:2]
    ]
    without = [walk for walk in silhouette_walks(silhouettes) if int(walk.subject) == 3][:3]
    network = GaitNet(2)
    history = falls(GaitNetTask(network, "joint", [*pictured, *without], without, 4, "cpu"), 1e-3, 3)
    assert history[-1] < history[0]
    assert GaitNetTask(network, "seg", [*pictured, *without], [], 2, "cpu").steps == 1  # the two with pictures
    with pytest.raises(ValueError, match="with pictures"):
        GaitNetTask(network, "seg", without, [], 2, "cpu")


def test_a_video_that_ends_early_is_named(data_dir: Path, tmp_path: Path) -> None:
    silhouettes, videos = data_dir / "vision" / "kth_sil.npz", data_dir / "vision" / "kth_walk"
    if not silhouettes.exists() or not videos.exists():
        pytest.skip("no recordings: vision/kth_sil.npz or vision/kth_walk is absent")
    (tmp_path / "person01_walking_d1.avi").write_bytes(b"no video")
    with pytest.raises(RecordingError, match=r"person01_walking_d1\.avi"):
        filmed_crops(silhouettes, tmp_path)
    with pytest.raises(RecordingError, match=r"absent\.npz: no such file"):
        joint_walks(tmp_path / "absent.npz")


def test_maps_of_a_batch_are_those_of_its_clips() -> None:
    feeding = feeding_of(GaitNN(2), small=False)
    clip = feeding.prepare(standing())
    batch = feeding.batch([clip, clip + 0.1])
    assert torch.equal(batch[0], score_maps(torch.from_numpy(clip), low=-2.5, high=2.5))
    assert Recipe("adam", 1e-3, 1, epochs=1).rate(3) == 1e-3


class Line:
    """A task whose gradient is the mean of what it draws."""

    def __init__(self) -> None:
        self.module = torch.nn.Linear(1, 1, bias=False)

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        return (self.module.weight * torch.from_numpy(rng.normal(size=4).astype(np.float32))).mean()

    def validate(self) -> dict[str, float]:
        return {"score": 0.0}


@pytest.mark.parametrize("batches", [1, 3])
def test_accumulated_batches_make_one_step_of_their_mean(tmp_path: Path, batches: int) -> None:
    task = Line()
    before = task.module.weight.item()
    options = TrainOptions("line", (), epochs=1, steps=1, seed=7)
    optimisation = optimisation_of(Recipe("sgd", 0.1, 4, epochs=1), accumulate=batches)
    history, _ = fit(task, options, tmp_path, optimisation=optimisation)
    rng = np.random.default_rng([7, 0])
    slopes = [rng.normal(size=4).astype(np.float32).mean() for _ in range(batches)]
    assert task.module.weight.item() == pytest.approx(before - 0.1 * np.mean(slopes), abs=1e-6)
    assert history[0]["loss"] == pytest.approx(before * np.mean(slopes), abs=1e-6)
