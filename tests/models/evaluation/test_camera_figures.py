"""Camera evaluation: windows, templates and figures from cases that can be counted by hand; one real set through the whole of it."""

from pathlib import Path

import numpy as np
import pytest

from models.camera_embedder import CameraEmbedder
from models.camera_fusion import GaitCamera
from models.evaluation.camera import evaluate, figures_of, markdown, network_embed, scores_of, walk_vector
from models.evaluation.camera_tasks import Item, Task, casia_tasks, cut, first_and_others, joints_item, kth_tasks, noisy
from models.registry import load_camera_embedder
from models.types import CAMERA_WINDOW, SILHOUETTE_SHAPE, ShapeError


@pytest.mark.parametrize(
    ("steps", "windows"),
    [(1, 1), (20, 1), (32, 1), (39, 1), (40, 2), (64, 5)],  # a window every 8 steps; a short walk lies in one
)
def test_walks_are_cut_as_the_worker_cuts_them(steps: int, windows: int) -> None:
    rows = cut(np.arange(1, steps + 1, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32))
    assert rows.shape == (windows, CAMERA_WINDOW, 3)
    if steps < CAMERA_WINDOW:
        assert (rows[0, :, 0] > 0).sum() == steps
    else:
        assert np.array_equal(rows[-1, :, 0], 1 + 8 * (windows - 1) + np.arange(CAMERA_WINDOW))


def item(person: str, *directions: float) -> Item:
    """A walk of windows whose first coordinate says where its vector points, in degrees."""
    keypoints = np.zeros((len(directions), CAMERA_WINDOW, 17, 3), np.float32)
    keypoints[:, 0, 0, 0] = directions
    return Item(person, keypoints, np.zeros((len(directions), CAMERA_WINDOW, *SILHOUETTE_SHAPE), bool))


def pointing(walk: Item) -> tuple[np.ndarray, np.ndarray]:
    angle = np.radians(walk.keypoints_WTJ3[:, 0, 0, 0])
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), np.ones(len(angle), np.float32)


def test_figures_of_a_case_counted_by_hand() -> None:
    task = Task(
        "made",
        [item("a", 0.0), item("b", 90.0), item("c", 170.0, 190.0)],
        [item("a", 10.0), item("b", 80.0), item("c", 120.0), item("d", 0.0)],  # c is nearest to b; d is not enrolled
        ("joints",),
    )
    people, scores = scores_of(task, pointing)
    assert people == ["a", "b", "c"]
    assert sorted(scores) == ["a", "b", "c"]
    assert np.allclose(scores["c"][0], np.cos(np.radians([120.0, 30.0, 60.0])), atol=1e-5)
    figures = figures_of(people, scores)
    assert figures["rank1"].value == pytest.approx(2 / 3)
    # The best impostor (c as b, 30 degrees) is nearer than c to itself (60 degrees), further than the other two (10 degrees).
    assert 0.0 < figures["eer"].value < 1 / 3 + 1e-9
    assert figures["rank1"].low <= figures["rank1"].value <= figures["rank1"].high  # type: ignore[operator]


def test_windows_of_quality_zero_do_not_count() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.allclose(walk_vector(vectors, np.array([1.0, 0.0], np.float32)), [1.0, 0.0])


def test_first_walks_enrol_and_others_probe() -> None:
    enrol, probe = first_and_others(["a1", "a2", "b1", "a3"], lambda walk: str(walk)[0])
    assert (enrol, probe) == (["a1", "b1"], ["a2", "a3"])


def test_noise_is_a_share_of_the_trunk() -> None:
    keypoints = np.ones((400, 17, 3), np.float32)
    keypoints[:, 5:7, 1], keypoints[:, 11:13, 1] = 0.0, 50.0
    away = noisy(keypoints, np.random.default_rng(0)) - keypoints
    assert away[..., :2].std() == pytest.approx(0.05 * 50.0, rel=0.05)
    assert (away[..., 2] == 0).all()


def test_fusion_is_the_mean_of_cosines_and_drops_what_is_missing() -> None:
    import torch

    network = GaitCamera()
    rows = [torch.nn.functional.normalize(torch.randn(3, 128, generator=torch.Generator().manual_seed(i)), dim=1) for i in (0, 1)]
    ones = torch.ones(3)
    both, quality = network.fused(rows[0], ones * 0.5, rows[1], ones)
    cosines = [row @ row.T for row in rows]
    assert torch.allclose(both @ both.T, (cosines[0] + cosines[1]) / 2, atol=1e-5)
    assert torch.allclose(quality, torch.full((3,), 0.75))
    alone, quality = network.fused(rows[0], ones * 0.5, rows[1], ones * 0)  # no silhouettes
    assert torch.allclose(alone[:, :128], rows[0])
    assert (alone[:, 128:] == 0).all()
    assert torch.allclose(quality, ones * 0.5)
    nobody, quality = network.fused(rows[0], ones * 0, rows[1], ones * 0)
    assert torch.allclose(nobody.norm(dim=1), ones)
    assert (quality == 0).all()


@pytest.mark.parametrize("name", ["gait-skeleton", "gait-silhouette", "gait-camera"])
def test_shipped_networks_embed_whatever_the_batch(name: str) -> None:
    embedder = load_camera_embedder(name)
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 200, (70, CAMERA_WINDOW, 17, 3)).astype(np.float32)
    keypoints[..., 2] = 1.0
    masks = rng.random((70, CAMERA_WINDOW, *SILHOUETTE_SHAPE)) > 0.5
    vector_BD, quality_B = embedder.embed(keypoints, masks)
    assert vector_BD.shape == (70, embedder.dim)
    assert vector_BD.dtype == quality_B.dtype == np.float32
    assert np.allclose(np.linalg.norm(vector_BD, axis=1), 1.0, atol=1e-4)
    assert ((quality_B >= 0) & (quality_B <= 1)).all()
    one, _ = embedder.embed(keypoints[66:67], masks[66:67])
    assert np.allclose(one[0], vector_BD[66], atol=1e-4)
    assert embedder.space.startswith(f"{name}@")
    assert embedder.calibration.windows == (1, 2, 4)
    assert (embedder.window, embedder.hop) == (32, 8)
    with pytest.raises(ShapeError, match="masks_BTHW"):
        embedder.embed(keypoints, masks[:3])
    with pytest.raises(ShapeError, match="keypoints_BTJ3"):
        embedder.embed(keypoints[:, :, :15], masks)


def test_default_camera_network_is_the_fusion() -> None:
    assert load_camera_embedder().name == "gait-camera"
    assert isinstance(load_camera_embedder().network, GaitCamera)


def test_real_people_beat_chance_by_far(data_dir: Path) -> None:
    """KTH, outdoors: the default network and both baselines on the same walks; the table has a row of each."""
    task = kth_tasks(data_dir)[0]
    embedders: dict[str, CameraEmbedder] = {
        name: load_camera_embedder(name) for name in ("gait-skeleton", "gait-silhouette", "gait-camera")
    }
    rows = {row["network"]: row for row in evaluate(task, embedders)}
    assert set(rows) == {"gait-skeleton", "gait-silhouette", "gait-camera", "hand statistics", "gait energy image"}
    assert all(row["people"] == 14 and row["probes"] == 28 for row in rows.values())
    assert rows["gait-camera"]["rank1"]["value"] > 0.5  # chance is .07
    assert "gait-camera" in markdown(list(rows.values()))


def test_a_set_without_joints_leaves_skeletons_out(data_dir: Path) -> None:
    task = next(task for task in casia_tasks(data_dir) if task.name == "CASIA-A 90° → 90°")
    rows = {row["network"]: row for row in evaluate(task, {"gait-silhouette": load_camera_embedder("gait-silhouette")})}
    assert set(rows) == {"gait-silhouette", "gait energy image"}
    assert rows["gait energy image"]["rank1"]["value"] > 0.9  # as others found


def test_an_item_without_silhouettes_is_embedded_by_its_joints() -> None:
    embedder = load_camera_embedder()
    keypoints = np.random.default_rng(0).uniform(0, 100, (40, 17, 3)).astype(np.float32)
    keypoints[..., 2] = 1.0
    vector_WD, weight_W = network_embed(embedder)(joints_item("a", keypoints))
    assert (weight_W > 0).all()
    assert not vector_WD[:, 128:].any() and np.allclose(np.linalg.norm(vector_WD[:, :128], axis=1), 1.0, atol=1e-4)
