"""Discriminants of places: each knows its own place's nuisance, the gate tells places apart, and the network mixes them."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.gravity import completed
from models.data.recordings import Recording
from models.data.simulated import simulate
from models.inertial.embedder import GaitEmbedder
from models.inertial.networks import GaitTCN
from models.inertial.placed import PLACES, PlacedGaitTCN
from models.registry import find_network, load_weights
from models.training.embedding import fill_discriminant
from models.training.places import NEVER, placed_discriminant
from models.training.train import train
from models.types import Float32

FEATURES = 12
POCKET, HIP = ("set-a", "pocket_front"), ("set-b", "waist/S2")
RESTLESS = {POCKET: 4, HIP: 7}
"""In each place another feature varies from window to window, 30 times as much as the rest; at the hip all features lie higher."""


def people(group: tuple[str, str], count: int, seed: int) -> list[Float32]:
    """Features (60, FEATURES) of people who differ in every feature."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 60, FEATURES)) + 2.0 * rng.normal(size=(count, 1, FEATURES)) + (20.0 if group == HIP else 0.0)
    rows[..., RESTLESS[group]] += 30.0 * rng.normal(size=(count, 60))
    return list(rows.astype(np.float32))


GROUPS = {group: people(group, 40, seed) for seed, group in enumerate(RESTLESS)}


def test_each_place_ignores_what_is_restless_there_and_only_there() -> None:
    fitted = placed_discriminant(GROUPS, FEATURES, ("pocket_front", "waist"))
    for k, (group, other) in enumerate(((POCKET, HIP), (HIP, POCKET))):
        size_F = np.linalg.norm(fitted.weight_KDF[k], axis=0)
        assert size_F[RESTLESS[group]] < 0.2 * size_F[RESTLESS[other]]


def test_the_gate_tells_the_place_of_people_it_never_saw() -> None:
    fitted = placed_discriminant(GROUPS, 3, ("pocket_front", "waist", "wrist"))
    for k, group in enumerate((POCKET, HIP)):
        rows_NF = np.concatenate(people(group, 10, seed=90 + k))
        chosen_N = (rows_NF @ fitted.gate_KF.T + fitted.gate_K).argmax(axis=1)
        assert (chosen_N == k).mean() > 0.98
    assert fitted.gate_K[2] == np.float32(NEVER)  # nobody had the device at the wrist


def test_turning_changes_no_cosine_within_a_place() -> None:
    fitted = placed_discriminant(GROUPS, 5, ("pocket_front", "waist"))
    alone = placed_discriminant({POCKET: GROUPS[POCKET]}, 5, ("pocket_front",))
    rows_NF = GROUPS[POCKET][0]
    products = [rows_NF @ w.T + b for w, b in ((fitted.weight_KDF[0], fitted.bias_KD[0]), (alone.weight_KDF[0], alone.bias_KD[0]))]
    assert np.allclose(products[0] @ products[0].T, products[1] @ products[1].T, rtol=1e-3, atol=1e-2)


def test_the_network_embeds_by_the_discriminant_of_the_place() -> None:
    torch.manual_seed(0)
    network = PlacedGaitTCN().eval()
    rng = np.random.default_rng(5)
    wide = {
        (source, place): [rng.normal(shift, 1.0, size=(80, network.feature_count)).astype(np.float32) for _ in range(8)]
        for source, place, shift in (("a", "pocket_front", 0.0), ("b", "foot_l/XSens", 3.0))
    }
    fill_discriminant(network, wide)
    rows = torch.from_numpy(wide["b", "foot_l/XSens"][0])
    vector_BD = network.embed_features(rows)
    assert torch.allclose(vector_BD.norm(dim=1), torch.ones(len(rows)), atol=1e-5)
    assert (network.places(rows).argmax(dim=1) == PLACES.index("foot_l")).all()
    weight_DF = network.discriminant.weight.unflatten(0, (len(PLACES), network.DIM))[PLACES.index("foot_l")]
    bias_D = network.discriminant.bias.unflatten(0, (len(PLACES), network.DIM))[PLACES.index("foot_l")]
    own_BD = torch.nn.functional.normalize(rows @ weight_DF.T + bias_D, dim=1)
    assert ((vector_BD * own_BD).sum(1) > 0.999).all()


def test_the_command_keeps_the_trunk_and_resumes_nothing(tmp_path: Path) -> None:
    walkers = [replace(r, source="walks", subject=f"p{r.subject}") for r in simulate(range(8), sessions=2, duration_s=12.0)]
    save(tmp_path / "walks.npz", walkers)
    card = train("gait-tcn-research", [tmp_path / "walks.npz"], tmp_path / "out")
    assert (card["weights_set"], card["epochs_run"]) == ("research", 0)  # data that nobody cleared
    network, _ = load_weights(find_network("gait-tcn-research"), tmp_path / "out")
    trunk, _ = load_weights(find_network("gait-tcn"))
    assert isinstance(network, PlacedGaitTCN) and isinstance(trunk, GaitTCN)
    for name, tensor in trunk.stages.state_dict().items():
        assert torch.equal(network.stages.state_dict()[name], tensor)


def test_research_weights_say_their_licence(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        GaitEmbedder(GaitTCN(), "plain", "", {"weights_set": "default", "licence": "Apache-2.0"})
        assert not caplog.records
        GaitEmbedder(GaitTCN(), "lent", "", {"weights_set": "research", "licence": "research use only (trained on hapt)"})
    assert "research use only (trained on hapt)" in caplog.text


def test_gravity_is_put_back_where_a_set_left_it_out() -> None:
    (walk,) = simulate([1], sessions=1, duration_s=3.0)
    foot = replace(walk, source="ipol265_footL", session="Healthy/TCon", placement="foot_l")
    same, put_back = completed([walk, foot])
    assert same is walk
    assert np.allclose(put_back.acc_N3 - walk.acc_N3, [0, 0, 9.81], atol=1e-4)
    assert put_back.placement == "foot_l/TCon"


def save(path: Path, recordings: list[Recording]) -> None:
    """A tidy recording file."""
    keys = ("subject", "session", "trial", "placement", "name")
    fields = {
        **{name: np.concatenate([getattr(r, attribute) for r in recordings]) for name, attribute in SAMPLES.items()},
        **{key: np.array([getattr(r, key) for r in recordings]) for key in keys},
        "off": np.cumsum([0, *(len(r.acc_N3) for r in recordings)]),
        "fs": np.array(recordings[0].rate_hz),
    }
    np.savez(path, **fields)  # type: ignore[arg-type]  # numpy's stub takes any name for its own options


SAMPLES = {"acc": "acc_N3", "gyro": "gyro_N3", "walk": "walk_N", "act": "act_N"}
