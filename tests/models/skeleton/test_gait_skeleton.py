"""Our skeleton network: what must not change its answer, and what must."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.skeletons import filmed, load_walks_3d
from models.registry import load_camera_embedder
from models.skeleton.gait_skeleton import STATISTICS, GaitSkeleton, involved_joints, other_side_signs, statistics
from models.skeleton.statistics import HandStatistics, hand_statistics
from models.training.camera_walks import BodyWalk, Cast, filmed_windows, random_views, simulated_bodies

STEPS = 32


@pytest.fixture(scope="module")
def bodies() -> list[BodyWalk]:
    """Two walks of each of five simulated people that no training has seen."""
    return simulated_bodies(range(300, 305), 2)


@pytest.fixture(scope="module")
def windows(bodies: list[BodyWalk]) -> torch.Tensor:
    """(10, 32, 17, 3) a window of every walk, seen from random places without errors."""
    rng = np.random.default_rng(0)
    cast = Cast(bodies, copies=1, seed=0, strength=0.0)
    person = np.repeat(np.arange(5), 2)
    seen = cast.windows(person, np.zeros(10, int), STEPS, rng)
    return torch.from_numpy(filmed_windows(seen, random_views(10, STEPS, rng, one_camera=False), rng, 0.0))


@pytest.fixture(scope="module")
def network() -> GaitSkeleton:
    torch.manual_seed(0)
    return GaitSkeleton().eval()


def moved(x: torch.Tensor) -> torch.Tensor:
    out = x.clone()
    out[..., 0] += 250.0
    out[..., 1] -= 80.0
    return out


def enlarged(x: torch.Tensor) -> torch.Tensor:
    out = x.clone()
    out[..., :2] *= 3.0
    return out


def jumped(x: torch.Tensor) -> torch.Tensor:
    """Picture by picture somewhere else, on average nowhere."""
    out = x.clone()
    out[:, 1:-1, :, 0] += 9.0 * (-1.0) ** torch.arange(x.shape[1] - 2)[:, None]
    return out


def unsure_joint_moved(x: torch.Tensor) -> torch.Tensor:
    """A joint that the pose network is not sure of is somewhere else."""
    out = x.clone()
    out[:, 3:9, 9, 2] = 0.05
    out[:, 3:9, 9, :2] = 1e4
    return out


def unsure_joint(x: torch.Tensor) -> torch.Tensor:
    out = x.clone()
    out[:, 3:9, 9, 2] = 0.05
    return out


def lost_pictures_hold_rubbish(x: torch.Tensor) -> torch.Tensor:
    out = lost_pictures(x)
    out[:, :5, :, :2] = torch.randn(len(x), 5, 17, 2) * 1e3
    return out


def lost_pictures(x: torch.Tensor) -> torch.Tensor:
    out = x.clone()
    out[:, :5, :, 2] = 0.0
    return out


def same(x: torch.Tensor) -> torch.Tensor:
    return x


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (same, moved),  # where in the picture
        (same, enlarged),  # how large in the picture
        (same, jumped),  # a camera that shakes
        (unsure_joint, unsure_joint_moved),  # places of joints below the least confidence
        (lost_pictures, lost_pictures_hold_rubbish),  # places in pictures without the person
    ],
)
def test_what_does_not_change_the_answer(network: GaitSkeleton, windows: torch.Tensor, before, after) -> None:  # type: ignore[no-untyped-def]
    with torch.inference_mode():
        first, second = network(before(windows)), network(after(windows))
    assert torch.allclose(first[0], second[0], atol=2e-3)
    assert torch.allclose(first[1], second[1], atol=2e-3)


def test_a_camera_on_the_other_side_gives_the_same_answer(network: GaitSkeleton, windows: torch.Tensor) -> None:
    other = windows.clone()
    other[..., 0] = 640.0 - other[..., 0]
    with torch.inference_mode():
        assert torch.allclose(network(windows)[0], network(other)[0], atol=1e-4)
        measured, side, *_ = network.measured(windows)
        opposite, away, *_ = network.measured(other)
    assert torch.allclose(measured * other_side_signs(), opposite, atol=1e-4)
    assert torch.allclose(side, 1.0 - away, atol=1e-4)


def test_the_standard_side_is_front_and_left(bodies: list[BodyWalk]) -> None:
    cast = Cast(bodies, copies=1, seed=0, strength=0.0)
    for azimuth_deg, standard in ((0, True), (45, True), (90, True), (180, False), (225, False), (270, False)):
        rng = np.random.default_rng(1)
        seen = cast.windows(np.arange(5), np.zeros(5, int), STEPS, rng)
        views = random_views(5, STEPS, rng, one_camera=True)
        views.azimuth_NT[:] = np.radians(azimuth_deg)
        _, side_B, *_ = GaitSkeleton().measured(torch.from_numpy(filmed_windows(seen, views, rng, 0.0)))
        assert ((side_B > 0.5) == standard).all(), azimuth_deg


def test_swapping_left_and_right_changes_the_answer(network: GaitSkeleton, windows: torch.Tensor) -> None:
    swapped = windows[:, :, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]]
    with torch.inference_mode():
        assert (network(windows)[0] * network(swapped)[0]).sum(1).min() < 0.999


def test_nobody_has_quality_zero_and_a_finite_vector(network: GaitSkeleton) -> None:
    with torch.inference_mode():
        vector_BD, quality_B = network(torch.zeros(3, STEPS, 17, 3))
    assert torch.isfinite(vector_BD).all()
    assert torch.allclose(vector_BD.norm(dim=1), torch.ones(3), atol=1e-4)
    assert (quality_B == 0).all()


def test_an_answer_does_not_depend_on_the_batch(network: GaitSkeleton, windows: torch.Tensor) -> None:
    with torch.inference_mode():
        assert torch.allclose(network(windows)[0][3:4], network(windows[3:4])[0], atol=1e-5)


def test_statistics_find_the_beat_of_a_pendulum() -> None:
    """A joint that swings with a known period: its autocovariances are those of a cosine."""
    period = 12.5
    place_BTK2 = torch.zeros(1, STEPS, 13, 2)
    place_BTK2[0, :, 3, 0] = 0.4 * torch.sin(2 * torch.pi * torch.arange(STEPS) / period)
    found = statistics(place_BTK2, torch.ones(1, STEPS, 13))
    assert found.shape == (1, STATISTICS)
    auto = found[0, -5 * 26 :].unflatten(0, (5, 26))[:, 3]
    wanted = 0.08 * np.cos(2 * np.pi * np.arange(2, 7) / period)
    assert np.allclose(auto.numpy(), wanted / np.sqrt(np.abs(wanted) + 0.003), atol=0.06)


def test_a_joint_that_is_never_seen_takes_its_statistics_out(network: GaitSkeleton, windows: torch.Tensor) -> None:
    hidden = windows.clone()
    hidden[:, :, 9, 2] = 0.0  # the left wrist is joint 5 of those used
    with torch.inference_mode():
        features_BF, _ = network.features(hidden)
    first_M, second_M = involved_joints()
    assert (features_BF[:, :STATISTICS][:, (first_M == 5) | (second_M == 5)] == 0).all()
    assert (features_BF[:, :STATISTICS][:, (first_M == 6) & (second_M == 6)] != 0).any()


def test_wrong_shapes_are_refused(network: GaitSkeleton) -> None:
    with pytest.raises(ValueError, match="joints must be"):
        network(torch.zeros(1, STEPS, 18, 3))


def test_hand_statistics_do_not_see_which_way_somebody_walks(windows: torch.Tensor) -> None:
    other = windows.clone()
    other[..., 0] *= -1.0
    assert np.allclose(hand_statistics(windows.numpy()), hand_statistics(other.numpy()), atol=1e-3)
    rows = HandStatistics(windows.numpy()).embed(windows.numpy())
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


def test_shipped_weights_tell_captured_people_apart(data_dir: Path) -> None:
    """The people held out from training who walked several times, from the side: their walks are nearest to themselves."""
    walks = [walk for walk in load_walks_3d(data_dir / "vision" / "cmu_walk.npz") if walk.subject in ("7", "8")]
    embedder = load_camera_embedder("gait-skeleton")
    clips = [filmed(walk, 90.0).keypoints_TJ3[:STEPS] for walk in walks]
    chosen = [(walk.subject, clip) for walk, clip in zip(walks, clips, strict=True) if len(clip) == STEPS]
    x = np.stack([clip for _, clip in chosen])
    vector_BD, quality_B = embedder.embed(x, np.zeros((len(x), STEPS, 64, 44), bool))
    score = vector_BD @ vector_BD.T - 2.0 * np.eye(len(x))
    names = np.array([name for name, _ in chosen])
    assert (names[score.argmax(1)] == names).mean() > 0.8
    assert (quality_B > 0).all()
