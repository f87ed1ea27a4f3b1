"""The shipped networks keep the contract of the live path: shapes, purity, and figures on people they never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.loading import load_recordings
from models.data.simulated import simulate
from models.evaluation import evaluate_extraction, evaluate_verification
from models.inertial.cutting import cut, window_samples
from models.inertial.embedder import GaitEmbedder
from models.inertial.extractor import WalkExtractor
from models.inertial.networks import GaitTCN
from models.inertial.placed import PlacedGaitTCN
from models.registry import find_network, load_embedder, load_extractor, read_card
from models.types import Float32, ShapeError


@pytest.fixture(scope="module")
def extractor() -> WalkExtractor:
    return load_extractor("default")


@pytest.fixture(scope="module")
def embedder() -> GaitEmbedder:
    return load_embedder("default")


def samples(batch: int, time: int, seed: int = 5) -> Float32:
    """Noise around gravity."""
    x_BT6 = np.random.default_rng(seed).normal(size=(batch, time, 6)).astype(np.float32)
    x_BT6[..., 2] += 9.81
    return x_BT6


def test_extractor_contract(extractor: WalkExtractor) -> None:
    assert extractor.block_samples == 64
    assert extractor.lookahead_samples <= 64
    out = extractor.predict(samples(3, extractor.input_samples))
    assert out.shape == (3, 64)
    assert out.dtype == np.float32
    assert ((out >= 0) & (out <= 1)).all()
    assert extractor.predict(samples(0, extractor.input_samples)).shape == (0, 64)


def test_embedder_contract(embedder: GaitEmbedder) -> None:
    assert (embedder.window_samples, embedder.hop_samples) == (128, 64)
    vectors, quality = embedder.embed(samples(5, 128))
    assert vectors.shape == (5, embedder.dim)
    assert vectors.dtype == quality.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert ((quality >= 0) & (quality <= 1)).all()
    assert embedder.embed(samples(0, 128))[0].shape == (0, embedder.dim)


@pytest.mark.parametrize(("name", "network"), [("gait-tcn", GaitTCN), ("gait-tcn-research", PlacedGaitTCN)])
def test_the_card_compares_the_directions_that_the_calibration_is_of(name: str, network: type[GaitTCN]) -> None:
    assert load_embedder(name).matched_dim == read_card(name)["matched_dim"] == network.MATCHED_DIM


@pytest.mark.parametrize("directions", [0, -1, GaitTCN.DIM + 1])
def test_a_card_that_compares_directions_that_are_not_there_is_refused(directions: int) -> None:
    with pytest.raises(ValueError, match="directions"):
        GaitEmbedder(GaitTCN(), "own", "own@0", {"matched_dim": directions})


def test_a_card_without_directions_compares_all() -> None:
    assert GaitEmbedder(GaitTCN(), "own", "own@0", {}).matched_dim == GaitTCN.DIM  # weights of a user, trained before there was a choice


@pytest.mark.parametrize("batch", [1, 2, 63, 64, 65, 200])
def test_an_item_does_not_depend_on_its_batch(extractor: WalkExtractor, embedder: GaitEmbedder, batch: int) -> None:
    windows, inputs = samples(200, 128), samples(200, extractor.input_samples)
    assert np.allclose(embedder.embed(windows)[0][:batch], embedder.embed(windows[:batch])[0], atol=1e-5)
    assert np.allclose(extractor.predict(inputs)[:batch], extractor.predict(inputs[:batch]), atol=1e-5)


def test_views_are_taken_as_they_are(extractor: WalkExtractor) -> None:
    stretch = samples(1, 1000)[0]
    stretch.setflags(write=False)
    assert cut(stretch, 3, extractor).probability_BT.shape[1] == 64


def test_wrong_shapes_are_named(extractor: WalkExtractor, embedder: GaitEmbedder) -> None:
    with pytest.raises(ShapeError, match="224"):
        extractor.predict(samples(2, 200))
    with pytest.raises(ShapeError, match="128"):
        embedder.embed(samples(2, 128)[..., :3])


def test_folding_the_normalisation_changes_nothing(extractor: WalkExtractor) -> None:
    from models.registry import load_weights

    network, _ = load_weights(find_network("walk-tcn"))
    inputs = samples(4, extractor.input_samples)
    with torch.inference_mode():
        plain = torch.sigmoid(network.eval()(torch.from_numpy(inputs))).numpy()
    assert np.allclose(plain, extractor.predict(inputs), atol=1e-4)


def test_simulated_walkers_are_found_and_told_apart(extractor: WalkExtractor, embedder: GaitEmbedder) -> None:
    """Six walkers of seeds below those of training, two sessions each: most windows match their own template best."""
    first = simulate(range(40, 46), sessions=2, duration_s=20)
    day = simulate(range(40, 44), sessions=1, duration_s=60, script="daily")
    assert evaluate_extraction(extractor, day).figures["f1"].value > 0.95
    assert evaluate_verification(extractor, embedder, first[::2], first[1::2]).figures["eer_4"].value < 0.1


def test_quality_tells_gait_from_rest(extractor: WalkExtractor, embedder: GaitEmbedder) -> None:
    walk = simulate([50], sessions=1, duration_s=20)[0].samples_N6
    sitting = simulate([50], sessions=1, duration_s=20, script="vehicle")[0].samples_N6
    starts = np.arange(128, 704, 64)
    walking = embedder.embed(window_samples(walk, 0, starts, 128))[1]
    riding = embedder.embed(window_samples(sitting, 0, starts, 128))[1]
    assert np.median(walking) > np.median(riding) + 0.3


def test_real_people_never_seen(data_dir: Path, extractor: WalkExtractor, embedder: GaitEmbedder) -> None:
    geotec = load_recordings(data_dir / "imu" / "geotec_spsw.npz", "12-15")
    assert evaluate_extraction(extractor, geotec).figures["f1"].value > 0.97
    motionsense = data_dir / "imu" / "motionsense.npz"
    enrol, probe = (load_recordings(motionsense, "13-18", where) for where in ("trial=7", "trial=8,15"))
    assert evaluate_verification(extractor, embedder, enrol, probe).figures["eer_1"].value < 0.07
