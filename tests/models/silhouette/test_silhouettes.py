"""Alignment, gait energy image and our silhouette network."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.silhouette.alignment import aligned
from models.silhouette.gait_energy import GaitEnergy, gait_energy
from models.silhouette.gait_silhouette import GaitSilhouette, WindowImages
from models.training.camera_masks import filled, rendered, segmented
from models.types import CAMERA_WINDOW, SILHOUETTE_SHAPE

HEIGHT, WIDTH = SILHOUETTE_SHAPE


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """(4, 32, 64, 44) two clips of each of two simulated people."""
    packed = np.concatenate([rendered(seed, 0, 2)[0] for seed in (300, 301)])
    return np.unpackbits(packed, axis=-1).reshape(4, CAMERA_WINDOW, HEIGHT, WIDTH).astype(bool)


@pytest.fixture(scope="module")
def network() -> GaitSilhouette:
    torch.manual_seed(0)
    return GaitSilhouette().eval()


def figure(height: int, top: int, left: int) -> np.ndarray:
    """A picture with a body of a given height: a block with a head."""
    picture = np.zeros((300, 200), bool)
    width = height // 4
    picture[top : top + height, left : left + width] = True
    picture[top : top + height // 6, left : left + width // 3] = False
    picture[top : top + height // 6, left + 2 * width // 3 : left + width] = False
    return picture


@given(st.integers(40, 200), st.integers(0, 90), st.integers(0, 120))
def test_height_fills_the_rows_and_mass_is_in_the_middle(height: int, top: int, left: int) -> None:
    out = aligned(figure(height, top, left))
    assert out.shape == SILHOUETTE_SHAPE
    assert out[0].any()
    assert out[-1].any()
    centre = (out.sum(axis=0) * np.arange(WIDTH)).sum() / out.sum()
    assert abs(centre - WIDTH // 2) <= 1.0


def test_place_in_the_picture_does_not_matter() -> None:
    assert np.array_equal(aligned(figure(120, 10, 20)), aligned(figure(120, 100, 130)))


def test_the_largest_part_is_the_person() -> None:
    picture = figure(120, 10, 20)
    with_speck = picture.copy()
    with_speck[280:284, 190:194] = True
    assert np.array_equal(aligned(with_speck), aligned(picture))


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((50, 50), bool),  # nobody
        np.eye(5, dtype=bool),  # a few pixels
        np.pad(np.ones((3, 60), bool), 10),  # a bar, too low for a person
    ],
)
def test_nobody_is_all_false(picture: np.ndarray) -> None:
    assert not aligned(picture).any()


def test_a_mask_must_be_two_dimensional() -> None:
    with pytest.raises(ValueError, match="must be"):
        aligned(np.zeros((2, 3, 4), bool))


def test_gait_energy_is_the_mean_of_what_was_seen(masks: np.ndarray) -> None:
    gapped = masks.copy()
    gapped[:, ::4] = False
    wanted = masks[:, np.arange(CAMERA_WINDOW) % 4 != 0].mean(axis=1)
    assert np.allclose(gait_energy(gapped), wanted, atol=1e-6)
    assert not gait_energy(np.zeros((1, 5, HEIGHT, WIDTH), bool)).any()
    with pytest.raises(ValueError, match="masks must be"):
        gait_energy(masks[:, :, :32])


def test_gait_energy_compares_people(masks: np.ndarray) -> None:
    rows = GaitEnergy(masks).embed(masks)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)


def test_window_images_of_a_still_person_show_no_change() -> None:
    still = torch.from_numpy(np.repeat(aligned(figure(120, 10, 20))[None, None], CAMERA_WINDOW, axis=1))
    images, seen = WindowImages()(still)
    assert seen.item() == 1.0
    assert images[0, 1].abs().max() < 1e-3  # spread
    assert images[0, 2].abs().max() < 1e-6  # change
    assert torch.allclose(images[0, 0], images[0, 3])  # the widest moments are as all others


def test_wide_and_narrow_moments_differ_from_the_side(masks: np.ndarray) -> None:
    images, _ = WindowImages()(torch.from_numpy(masks))
    wide, narrow = ((images[:, i, 44:] > 0.3).any(dim=1).sum(dim=1) for i in (3, 4))
    assert (wide >= narrow).all()
    assert (wide > narrow).any()


def test_a_mirror_gives_the_same_answer(network: GaitSilhouette, masks: np.ndarray) -> None:
    with torch.inference_mode():
        first, second = (network(torch.from_numpy(x.copy())) for x in (masks, masks[..., ::-1]))
    assert torch.allclose(first[0], second[0], atol=1e-4)
    assert torch.allclose(first[1], second[1], atol=1e-4)


def test_pictures_without_the_person_do_not_matter(network: GaitSilhouette, masks: np.ndarray) -> None:
    longer = np.concatenate([masks, np.zeros_like(masks)], axis=1)
    images, _ = network.images(torch.from_numpy(masks))
    padded, seen = network.images(torch.from_numpy(longer))
    assert torch.allclose(images, padded, atol=1e-5)
    assert torch.allclose(seen, torch.full((4,), 0.5))


def test_nobody_has_quality_zero_and_a_finite_vector(network: GaitSilhouette) -> None:
    with torch.inference_mode():
        vector_BD, quality_B = network(torch.zeros(2, CAMERA_WINDOW, HEIGHT, WIDTH, dtype=torch.bool))
    assert torch.isfinite(vector_BD).all()
    assert (quality_B == 0).all()
    with pytest.raises(ValueError, match="masks must be"):
        network(torch.zeros(1, CAMERA_WINDOW, 44, 64))


def test_a_mesh_is_filled_without_holes() -> None:
    """A square of two triangles that face the camera, and two that do not."""
    corners = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 40.0], [0.0, 40.0]])
    faces = np.array([[0, 3, 2], [0, 2, 1], [0, 1, 2], [0, 2, 3]])
    assert abs(int(filled(corners, faces).sum()) - 31 * 41) <= 2


def test_segmentation_errors_grow_with_their_strength(masks: np.ndarray) -> None:
    differ = [float((segmented(masks, np.random.default_rng(0), s) != masks).mean()) for s in (0.0, 0.3, 1.0)]
    assert differ[0] == 0.0
    assert 0.0 < differ[1] < differ[2] < 0.2
