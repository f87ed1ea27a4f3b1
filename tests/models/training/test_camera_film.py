"""Filmed walkers: the pipeline's own windows, the same in every run; what is learnt from them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.camera_fusion import GaitCamera
from models.pose.boxes import iou
from models.registry import read_card
from models.training.camera_film import FILMED_SEEDS, TRAINING_SEEDS, Filmed, KnownBoxes, film
from models.training.camera_run import fill_discriminants
from tests.support.fetched import require_networks


@pytest.fixture(scope="module")
def filmed() -> Filmed:
    require_networks()
    return film([91_001])


def test_windows_are_those_of_the_pipeline(filmed: Filmed) -> None:
    assert filmed.keypoints_NTJ3.shape[1:] == (32, 17, 3) and filmed.masks_NTHW.shape[1:] == (32, 64, 44)
    assert set(filmed.person_N) == {91_001} and len(set(filmed.passage_N)) >= 2
    assert 0.3 < float(np.median(filmed.quality_N)) <= 1.0
    assert filmed.masks_NTHW.any(axis=(2, 3)).mean() > 0.7


def test_a_file_gives_the_same_back(filmed: Filmed, tmp_path: Path) -> None:
    filmed.save(tmp_path / "f.npz")
    back = Filmed.load([tmp_path / "f.npz", tmp_path / "f.npz"])
    assert len(back.person_N) == 2 * len(filmed.person_N)
    assert (back.masks_NTHW[: len(filmed.person_N)] == filmed.masks_NTHW).all()


def test_training_films_show_the_walker_who_is_there() -> None:
    boxes = KnownBoxes(1)
    boxes.boxes_N4 = np.array([[100.0, 50.0, 150.0, 200.0]], np.float32)
    found = boxes.detect(np.zeros((360, 640, 3), np.uint8))
    assert len(found) == 1 and float(iou(found.boxes_N4, boxes.boxes_N4)[0, 0]) > 0.6


def test_walkers_of_training_and_calibration_are_others() -> None:
    assert not set(TRAINING_SEEDS) & set(FILMED_SEEDS)


def test_discriminants_separate_people_and_the_shipped_ones_say_how_well() -> None:
    rng = np.random.default_rng(4)
    network = GaitCamera()
    person_N = np.repeat(np.arange(30), 20)
    rows = [rng.normal(size=(600, part.feature_count)).astype(np.float32) for part in (network.skeleton, network.silhouette)]
    for row_NF in rows:
        row_NF[:, :20] += rng.normal(size=(30, 20))[person_N] * 3.0
    fill_discriminants(network, rows[0], rows[1], person_N)
    vector_ND = network.skeleton.embed_features(torch.from_numpy(rows[0])).detach().numpy()
    same_NN = person_N[:, None] == person_N
    cosine_NN = vector_ND @ vector_ND.T
    assert cosine_NN[same_NN].mean() > cosine_NN[~same_NN].mean() + 0.3
    card = read_card("gait-camera")
    assert card["filmed"]["people"] == len(FILMED_SEEDS)
    eer = card["filmed"]["eer_by_windows"]
    assert eer["4"] < eer["2"] < eer["1"] < 0.24  # what the discriminants of drawn walkers gave with one window, whitened
