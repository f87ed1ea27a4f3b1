"""The published networks train on the shared engine and serve live under their names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.catalogue import NETWORKS
from models.data.recordings import Recording
from models.data.simulated import simulate
from models.inertial.embedder import PenultimateEmbedding
from models.inertial.published.fusion import CNNLSTM
from models.registry import (
    WeightsCorruptError,
    WeightsMissingError,
    find_network,
    load_embedder,
    load_extractor,
    load_verifier,
    load_weights,
)
from models.training import engine, unet
from models.training.options import TrainOptions
from models.training.pair_calibration import impostor_quantiles
from models.training.published import IdentificationTask, Order, PairTask
from models.training.recipes import plan
from models.training.train import fill_fixed_part, train
from models.training.unet import UNetTask
from models.training.windows import LabelledWindows, PairDraw, step_samples
from tests.models.training.test_training import write_recordings

SHORT = {"simulated": 7, "epochs": 1, "steps": 2, "batch": 16, "seed": 3}


@pytest.fixture(scope="module")
def walks() -> list[Recording]:
    """Six walkers, two sessions each."""
    return simulate(range(70, 76), sessions=2, duration_s=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a briefly trained CNN."""
    folder = tmp_path_factory.mktemp("trained")
    train("whugait-cnn", [], folder, **SHORT)
    return folder


def task(walks: list[Recording], name: str = "whugait-sl-lstm", *, legacy: bool = False) -> IdentificationTask:
    torch.manual_seed(0)
    windows = LabelledWindows.of(walks[:8])
    network = find_network(name).build(len(windows.people))
    return IdentificationTask(network, windows, walks[8:], 16, "cpu", legacy=legacy)


def test_an_identification_network_serves_as_an_embedding(trained: Path, walks: list[Recording]) -> None:
    embedder = load_embedder("whugait-cnn", trained)
    card = json.loads((trained / "whugait-cnn.json").read_text())
    assert embedder.space == card["space"]
    assert len(card["people"]) == 5  # seven walkers, two held out
    vector, quality = embedder.embed(LabelledWindows.of(walks[:2]).x_NT6)
    assert vector.shape[1] == embedder.dim == 2048
    assert np.allclose(np.linalg.norm(vector, axis=1), 1, atol=1e-5)
    assert (quality == 1).all()
    assert abs(float((vector @ vector.T).mean())) < 0.9  # centred: not all the same direction
    assert embedder.calibration.people == 2


def test_people_of_the_last_layer_must_be_in_the_card(trained: Path, tmp_path: Path) -> None:
    card = json.loads((trained / "whugait-cnn.json").read_text())
    (tmp_path / "whugait-cnn.json").write_text(json.dumps({**card, "people": []}))
    (tmp_path / "whugait-cnn.safetensors").write_bytes((trained / "whugait-cnn.safetensors").read_bytes())
    with pytest.raises(WeightsCorruptError, match="people"):
        load_embedder("whugait-cnn", tmp_path)


def test_a_fixed_part_needs_the_network_it_comes_from_and_stays_as_it_was(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="gaitstream train whugait-cnn"):
        train("whugait-pair-cnnfix-lstm-vertical", [], tmp_path, **SHORT)
    train("whugait-pair-cnnfix-lstm-vertical", [], tmp_path, pretrained_dir=trained, **SHORT)
    source, _ = load_weights(find_network("whugait-cnn"), trained)
    target, _ = load_weights(find_network("whugait-pair-cnnfix-lstm-vertical"), tmp_path)
    stack = {name.removeprefix("network."): tensor for name, tensor in source.state_dict().items() if ".stack." in name}
    assert stack
    assert all(torch.equal(tensor, target.state_dict()[name]) for name, tensor in stack.items())


def test_legacy_cnnfix_is_neither_restored_nor_fixed(trained: Path) -> None:
    entry = find_network("whugait-cnnfix-lstm")
    source, _ = load_weights(find_network("whugait-cnn"), trained)
    assert isinstance(source, PenultimateEmbedding)
    for legacy in (False, True):
        embedding = entry.build(5)
        fill_fixed_part(entry, embedding, trained, legacy=legacy)
        network = embedding.network
        assert isinstance(network, CNNLSTM)
        same = torch.equal(network.cnn.conv1.weight, source.state_dict()["network.stack.conv1.weight"])
        assert (same, network.cnn.conv1.weight.requires_grad) == (not legacy, legacy)


def test_a_pair_network_trains_and_verifies(tmp_path: Path) -> None:
    file = write_recordings(tmp_path / "walks.npz", simulate(range(80, 88), sessions=2, duration_s=21))
    card = train("whugait-pair-lstm-vertical", [file], tmp_path, people="1-6", test_people="7-8", epochs=1, steps=2, batch=16)
    identification, verification = card["evaluation"]["walks"]
    assert (identification["task"], verification["counts"]["people"]) == ("identification", 2)
    assert 0 <= card["held_out"]["eer_pairs"] <= 1
    verifier = load_verifier("whugait-pair-lstm-vertical", tmp_path)
    assert verifier.space == card["space"]
    assert verifier.calibration.people == 2
    accept, reject = verifier.thresholds(4, 0.01)
    assert reject <= accept


@pytest.mark.parametrize("name", ["whugait-eigengait", "whugait-pair-fourier-horizontal"])
def test_traditional_methods_keep_what_they_learnt(name: str, tmp_path: Path, walks: list[Recording]) -> None:
    card = train(name, [], tmp_path, simulated=7, seed=3)
    assert card["parameters"] > 100
    windows = LabelledWindows.of(walks[:4]).x_NT6
    if card["task"] == "embedding":
        vectors = load_embedder(name, tmp_path).embed(windows)[0]
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    else:
        verifier = load_verifier(name, tmp_path)
        assert np.isfinite(verifier.pair_scores(verifier.maps(windows[:4]), verifier.maps(windows[4:8]))).all()


def test_the_unet_trains_and_marks_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unet, "VALIDATION_WINDOWS", 2)
    card = train("whugait-unet-notebook", [], tmp_path, simulated=4, epochs=1, steps=1, batch=1)
    extractor = load_extractor("whugait-unet-notebook", tmp_path)
    assert (extractor.block_samples, extractor.lookahead_samples) == (64, 200)
    assert extractor.predict(np.zeros((2, 456, 6), np.float32)).shape == (2, 64)
    assert card["options"]["steps"] == 1
    with pytest.raises(ValueError, match="1024 samples"):
        UNetTask(find_network("whugait-unet").build(), simulate([70], sessions=1, duration_s=10), [], 1, "cpu")


def test_a_killed_published_run_resumes_to_the_same_weights(
    walks: list[Recording], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TrainOptions("whugait-sl-lstm", (), epochs=3, steps=2, batch=16, learning_rate=2.5e-3, patience=9)
    whole = task(walks)
    engine.fit(whole, options, tmp_path / "whole", optimisation=engine.AS_PUBLISHED)
    killed = task(walks)
    plain, calls = killed.validate, []

    def validate_then_die() -> dict[str, float]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain()

    monkeypatch.setattr(killed, "validate", validate_then_die)
    with pytest.raises(KeyboardInterrupt):
        engine.fit(killed, options, tmp_path / "killed", optimisation=engine.AS_PUBLISHED)
    resumed = task(walks)
    engine.fit(resumed, options, tmp_path / "killed", optimisation=engine.AS_PUBLISHED)
    pairs = zip(whole.network.parameters(), resumed.network.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_published_optimisation_keeps_the_weights_themselves(walks: list[Recording], tmp_path: Path) -> None:
    """The running mean of our own recipe would be far from the last step; one step at a constant rate moves each weight by it."""
    options = TrainOptions("whugait-sl-lstm", (), epochs=1, steps=1, batch=16, learning_rate=0.01)
    trained = task(walks)
    before = trained.network.network.dense.weight.detach().clone()
    engine.fit(trained, options, tmp_path, optimisation=engine.AS_PUBLISHED)
    moved = (trained.network.network.dense.weight.detach() - before).abs()
    assert float(moved.median()) == pytest.approx(0.01, rel=0.05)  # Adam's first step


def test_legacy_keeps_the_best_on_random_windows(walks: list[Recording]) -> None:
    legacy, intended = task(walks, legacy=True), task(walks)
    assert "test_accuracy" in legacy.validate()
    assert "eer_held_out" in intended.validate()
    assert len(legacy.test) == len(LabelledWindows.of(walks[:8])) // 10
    assert not set(legacy.test.tolist()) & set(legacy.training.tolist())
    assert len(intended.test) == 0


def test_an_epoch_takes_every_sample_once_and_drops_the_tail() -> None:
    for shuffle in (False, True):
        order = Order(50, 16, shuffle=shuffle, seed=1)
        epochs = []
        for epoch in range(2):
            rng = np.random.default_rng(epoch)
            epochs.append(np.concatenate([order.take(rng) for _ in range(3)]))
        assert all(len(set(epoch.tolist())) == 48 for epoch in epochs)
        assert (epochs[0].tolist() == epochs[1].tolist()) == (not shuffle)
    assert Order(5, 16, shuffle=True, seed=1).batch == 5  # fewer samples than a batch


def test_pairs_are_of_different_recordings_and_of_one_set(walks: list[Recording]) -> None:
    elsewhere = [replace(recording, source="elsewhere") for recording in walks[:4]]
    windows = LabelledWindows.of([*walks[:6], *elsewhere])
    first, second, same = PairDraw(windows).draw(200, np.random.default_rng(0))
    assert same.mean() == 0.5
    assert ((windows.person_N[first] == windows.person_N[second]) == (same == 1)).all()
    assert (windows.record_N[first] != windows.record_N[second]).all()
    sources = np.array([source for source, _, _ in windows.people])
    assert (sources[windows.person_N[first]] == sources[windows.person_N[second]]).all()
    with pytest.raises(ValueError, match="two people"):
        PairDraw(LabelledWindows.of(walks[:2]))


def test_two_step_samples_are_cut_from_walking_only() -> None:
    days = simulate(range(70, 72), sessions=1, duration_s=60, script="daily")
    cut = LabelledWindows.of(days, "two-step-128")
    assert cut.x_NT6.shape[1:] == (128, 6)
    assert set(cut.person_N.tolist()) == {0, 1}
    walking_s = sum(int((day.walk_N == 1).sum()) for day in days) / 50
    assert 0.3 * walking_s < len(cut) < 1.3 * walking_s  # a stride takes about a second, and most of them are found
    assert len(step_samples(simulate([70], sessions=1, duration_s=10, script="still")[0])) == 0


def test_a_pair_task_that_begins_surely_wrong_still_learns(walks: list[Recording]) -> None:
    """The published loss has no gradient where a probability is below 1e-10; from the logits there is one."""
    windows = LabelledWindows.of(walks[:8])
    gradients = {}
    for legacy in (False, True):
        network = find_network("whugait-pair-cnn-vertical").build()
        with torch.no_grad():
            network.head.weight.zero_()
            network.head.bias.copy_(torch.tensor([40.0, -40.0]))  # "different", whatever comes
        trained = PairTask(network, windows, walks[8:], 16, "cpu", legacy=legacy)
        trained.loss(np.random.default_rng(0)).backward()
        gradients[legacy] = float(network.head.bias.grad.abs().max())
    assert gradients[True] == pytest.approx(0.0, abs=1e-6)
    assert gradients[False] > 0.1


@pytest.mark.parametrize(
    ("name", "epochs", "steps", "batch", "rate"),
    [
        ("whugait-cnn", 200, None, 512, 1e-3),
        ("whugait-bi-lstm-gyr", 200, None, 1500, 2.5e-3),
        ("whugait-pair-cnnfix-lstm-horizontal", 300, None, 1500, 2.5e-3),
        ("whugait-unet", 150, None, 32, 1e-5),
        ("walk-tcn", 20, 100, 192, 3e-3),  # our own
    ],
)
def test_recipes_are_the_published_ones(name: str, epochs: int, steps: int | None, batch: int, rate: float) -> None:
    recipe = plan(find_network(name))
    assert (recipe.epochs, recipe.steps, recipe.batch, recipe.learning_rate) == (epochs, steps, batch, rate)


def test_small_recipes_are_small() -> None:
    for entry in NETWORKS.values():
        recipe = plan(entry, small=True)
        assert recipe.epochs * (recipe.steps or 1) <= 400


def test_quantiles_only_as_far_as_scores_support_them() -> None:
    table = impostor_quantiles(np.arange(1000) / 1000.0)
    assert [rate for rate, _ in table] == [0.1, 0.03, 0.01]
    assert table[2][1] == pytest.approx(0.99, abs=2e-3)
    assert len(impostor_quantiles(np.arange(20.0))) == 1
