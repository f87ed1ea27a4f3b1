"""Filmed walkers: the pipeline's own windows, the same in every run; what the shipped whitening says of them."""

from pathlib import Path

import numpy as np
import pytest

from models.pose import fetch
from models.registry import read_card
from models.training.camera_film import FILMED_SEEDS, Filmed, film


@pytest.fixture(scope="module")
def filmed() -> Filmed:
    for weights in fetch.ALL:
        try:
            fetch.path_of(weights)
        except fetch.WeightsUnavailable as error:
            pytest.skip(str(error))
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


def test_the_shipped_whitening_helped_people_who_did_not_teach_it() -> None:
    card = read_card("gait-camera")
    assert card["filmed"]["people"] == len(FILMED_SEEDS)
    assert all(figures["whitened"] < figures["before"] for figures in card["filmed"]["eer_by_windows"].values())
