"""Weights belong to their card and their network, or are refused in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.catalogue import EMBEDDING, EXTRACTION, NETWORKS
from models.registry import (
    WEIGHTS_DIR,
    RegistryError,
    UnknownNetworkError,
    WeightsCorruptError,
    WeightsMissingError,
    find_network,
    list_networks,
    load_embedder,
    load_extractor,
    load_verifier,
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of the shipped weights that a test may damage."""
    return Path(shutil.copytree(WEIGHTS_DIR, tmp_path / "weights"))


def test_default_networks_load_and_name_their_space() -> None:
    extractor, embedder = load_extractor("default"), load_embedder("default")
    assert extractor.space.startswith(f"{extractor.name}@")
    assert embedder.space.startswith(f"{embedder.name}@")
    assert len(embedder.space.split("@")[1]) == 12
    assert embedder.calibration.windows == (1, 2, 4, 8, 16)
    assert embedder.calibration.people > 2


def test_every_task_has_exactly_one_default() -> None:
    for task in (EXTRACTION, EMBEDDING):
        assert [entry.modality for entry in NETWORKS.values() if entry.task == task and entry.default].count("inertial") == 1


def test_list_tells_what_is_installed_and_what_is_not(tmp_path: Path) -> None:
    installed = {info.name: info for info in list_networks()}
    assert set(installed) >= {"walk-tcn", "gait-tcn"}
    assert all(info.space and info.licence and info.parameters > 1000 for info in installed.values() if info.default)
    assert all(info.space is None and info.licence is None for info in list_networks(tmp_path))


def test_shipped_weights_are_small_and_from_permitted_data() -> None:
    for info in list_networks():
        if info.space:
            card = json.loads((WEIGHTS_DIR / f"{info.name}.json").read_text())
            assert (WEIGHTS_DIR / f"{info.name}.safetensors").stat().st_size < 10e6
            assert card["weights_set"] == info.weights_set
            permitted = {"motionsense", "geotec_spsw", "cmu_walk", "simulation"}
            assert set(card["data"]) <= (permitted if info.weights_set == "default" else permitted | {"hapt", "ipol265_footL"})
            assert not set(card["data"].get("motionsense", {"trained_on": []})["trained_on"]) & {f"ms{n}" for n in range(13, 19)}, (
                "ms13-ms18 are for evaluation"
            )
            assert not set(card["data"].get("geotec_spsw", {"trained_on": []})["trained_on"]) & {f"gt_s{n}" for n in range(12, 16)}


def test_research_weights_are_marked_and_never_a_default() -> None:
    research = [info for info in list_networks() if info.weights_set == "research"]
    assert "gait-tcn-research" in {info.name for info in research}
    for info in research:
        assert not info.default
        assert info.licence is None or info.licence.startswith("research use only")


def truncate(directory: Path) -> None:
    path = directory / "gait-tcn.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def exchange(directory: Path) -> None:
    (directory / "gait-tcn.safetensors").write_bytes((directory / "walk-tcn.safetensors").read_bytes())


def edit_card(**changes: object) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / "gait-tcn.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (truncate, WeightsCorruptError, "SHA-256"),  # a download that broke off
        (exchange, WeightsCorruptError, "SHA-256"),  # another network's weights under this name
        (edit_card(space="gait-tcn@000000000000"), WeightsCorruptError, "space"),  # a card of other preprocessing
        (edit_card(weights_sha256=1), WeightsCorruptError, "weights_sha256"),  # an ill-typed field
        (lambda d: (d / "gait-tcn.json").write_text("{"), WeightsCorruptError, "JSON"),  # half a card
        (lambda d: (d / "gait-tcn.json").unlink(), WeightsMissingError, "gaitstream train gait-tcn"),  # no card
        (lambda d: (d / "gait-tcn.safetensors").unlink(), WeightsMissingError, "gaitstream train gait-tcn"),  # no weights
    ],
)
def test_damaged_weights_are_refused(weights: Path, damage: Callable[[Path], None], error: type[RegistryError], words: str) -> None:
    damage(weights)
    with pytest.raises(error, match=words):
        load_embedder("gait-tcn", weights)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNetworkError, match="gait-tcn"):
        load_embedder("walk-tcn")  # exists, but does another task
    with pytest.raises(UnknownNetworkError):
        find_network("default")  # "default" means nothing without a task


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("whugait-cnn", 371_446),  # the published table, 118 people
        ("whugait-bi-lstm-mag", 81_462),
        ("whugait-cnn-lstm", 17_284_854),
        ("whugait-pair-cnnfix-lstm-vertical", 212_290),
        ("whugait-unet-notebook", 4_246_721),
        ("whugait-fourier", 0),  # learns centre and deviation from data only
    ],
)
def test_published_networks_are_listed_with_their_parameters_and_without_weights(name: str, parameters: int, tmp_path: Path) -> None:
    info = {info.name: info for info in list_networks(tmp_path)}[name]
    assert (info.parameters, info.space, info.licence, info.default) == (parameters, None, None, False)


def test_only_verifiers_load_as_verifiers() -> None:
    with pytest.raises(UnknownNetworkError, match="no verification network 'gait-tcn'; there are whugait-pair"):
        load_verifier("gait-tcn")
    with pytest.raises(WeightsMissingError, match="gaitstream train whugait-pair-cnn-vertical"):
        load_verifier("whugait-pair-cnn-vertical")
