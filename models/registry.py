"""Every network by name: its weights, its model card, the space that its embeddings belong to.

Weights are `NAME.safetensors`, the model card beside them is `NAME.json`. The card carries the SHA-256 of the weights file, so a truncated
or exchanged file is refused; the space id is NAME@ and twelve digits of the hash of weights and preprocessing. "default" is an alias for
the one network of each task that the live pipeline uses unless told otherwise. Which networks there are stands in `models.catalogue`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from models import camera_fusion
from models.camera_embedder import CameraEmbedder
from models.catalogue import CAMERA, EMBEDDING, EXTRACTION, INERTIAL, NETWORKS, VERIFICATION, NetworkEntry
from models.inertial import published
from models.inertial.embedder import GaitEmbedder, PenultimateEmbedding, UnitClassical
from models.inertial.extractor import StreamingUNet, WalkExtractor
from models.inertial.networks import GaitTCN, WalkTCN
from models.inertial.verifier import PairVerifier
from models.silhouette import gait_silhouette
from models.skeleton import gait_skeleton
from models.skeleton.live import PublishedSkeleton

WEIGHTS_DIR = Path(__file__).parent / "weights"


class RegistryError(Exception):
    """A network cannot be used."""


class UnknownNetworkError(RegistryError):
    """No network of that name and task is registered."""


class WeightsMissingError(RegistryError):
    """The weights file or the model card is not there."""


class WeightsCorruptError(RegistryError):
    """The weights file does not belong to its model card or to its network."""


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """A row of `gaitstream models list`. space and licence are None where no weights are installed."""

    name: str
    task: str
    input: str
    summary: str
    parameters: int
    default: bool
    weights_set: str
    space: str | None
    licence: str | None


def load_extractor(name: str = "default", weights_dir: Path = WEIGHTS_DIR) -> WalkExtractor:
    """The walking extractor of that name, ready to run. Raises RegistryError (unknown name; weights missing or corrupt)."""
    entry = find_network(name, EXTRACTION)
    network, card = load_weights(entry, weights_dir)
    assert isinstance(network, WalkTCN | StreamingUNet)
    return WalkExtractor(network, entry.name, card["space"], card)


def load_embedder(name: str = "default", weights_dir: Path = WEIGHTS_DIR) -> GaitEmbedder:
    """The embedder of that name, ready to run. Raises RegistryError (unknown name; weights missing or corrupt)."""
    entry = find_network(name, EMBEDDING, INERTIAL)
    network, card = load_weights(entry, weights_dir)
    assert isinstance(network, GaitTCN | PenultimateEmbedding | UnitClassical)
    return GaitEmbedder(network, entry.name, card["space"], card)


def load_camera_embedder(name: str = "default", weights_dir: Path = WEIGHTS_DIR) -> CameraEmbedder:
    """The camera embedder of that name, ready to run. Raises RegistryError (unknown name; weights missing or corrupt)."""
    entry = find_network(name, EMBEDDING, CAMERA)
    network, card = load_weights(entry, weights_dir)
    assert isinstance(network, gait_skeleton.GaitSkeleton | gait_silhouette.GaitSilhouette | camera_fusion.GaitCamera | PublishedSkeleton)
    return CameraEmbedder(network, entry.name, card["space"], card)


def load_verifier(name: str, weights_dir: Path = WEIGHTS_DIR) -> PairVerifier:
    """The pair network of that name, ready to run; none is the default. Raises RegistryError (unknown name; weights missing or corrupt)."""
    entry = find_network(name, VERIFICATION)
    network, card = load_weights(entry, weights_dir)
    assert isinstance(network, published.PairNetwork | published.ClassicalPair)
    return PairVerifier(network, entry.name, card["space"], card)


def list_networks(weights_dir: Path = WEIGHTS_DIR) -> list[NetworkInfo]:
    """Every registered network, with what is known of its installed weights."""
    rows = []
    for entry in NETWORKS.values():
        try:
            card: Mapping[str, Any] = read_card(entry.name, weights_dir)
        except RegistryError:
            card = {}
        parameters = card["parameters"] if "parameters" in card else count_parameters(entry.name)
        rows.append(
            NetworkInfo(
                entry.name,
                entry.task,
                entry.input,
                entry.summary,
                parameters,
                entry.default,
                entry.weights_set,
                card.get("space"),
                card.get("licence"),
            )
        )
    return rows


@cache
def count_parameters(name: str) -> int:
    """Parameters of a registered network, counted without making any; published networks for identification with PUBLISHED_PEOPLE people."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in NETWORKS[name].build().parameters())


def find_network(name: str, task: str | None = None, modality: str | None = None) -> NetworkEntry:
    """The entry of that name, or the default of the task; without a modality that is the inertial one. Raises UnknownNetworkError naming what
    there is."""
    candidates = [entry for entry in NETWORKS.values() if task in (None, entry.task) and modality in (None, entry.modality)]
    for entry in candidates:
        wanted = entry.default and entry.modality == (modality or INERTIAL)
        if entry.name == name or (name == "default" and task is not None and wanted):
            return entry
    kind = " ".join(word for word in (modality, task) if word)
    raise UnknownNetworkError(f"no {kind} network {name!r}; there are {', '.join(entry.name for entry in candidates)}")


def read_card(name: str, weights_dir: Path = WEIGHTS_DIR) -> dict[str, Any]:
    """The model card of a network. Raises WeightsMissingError or WeightsCorruptError."""
    path = weights_dir / f"{name}.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsMissingError(f"{path}: no model card; train the network with `gaitstream train {name}`") from None
    except ValueError as error:
        raise WeightsCorruptError(f"{path}: not a JSON model card ({error})") from error
    if not isinstance(card, dict) or not all(isinstance(card.get(key), str) for key in ("weights_sha256", "space", "licence")):
        raise WeightsCorruptError(f"{path}: the model card must name weights_sha256, space and licence")
    return card


def load_weights(entry: NetworkEntry, weights_dir: Path = WEIGHTS_DIR) -> tuple[nn.Module, dict[str, Any]]:
    """The network with its weights, and its card. Raises WeightsMissingError or WeightsCorruptError."""
    card = read_card(entry.name, weights_dir)
    path = weights_dir / f"{entry.name}.safetensors"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise WeightsMissingError(f"{path}: no weights; train the network with `gaitstream train {entry.name}`") from None
    if hashlib.sha256(content).hexdigest() != card["weights_sha256"]:
        raise WeightsCorruptError(f"{path}: SHA-256 differs from the one in the model card; the file is truncated or was exchanged")
    if card["space"] != space_id(entry, content):
        raise WeightsCorruptError(
            f"{path}: the model card says space {card['space']}, weights and preprocessing say {space_id(entry, content)}"
        )
    network = entry.build(_people(card, path)) if entry.per_person else entry.build()
    try:
        network.load_state_dict(safetensors.torch.load(content))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise WeightsCorruptError(f"{path}: not the weights of {entry.name} ({error})") from error
    return network, card


def _people(card: Mapping[str, Any], path: Path) -> int:
    people = card.get("people")
    if not isinstance(people, list) or not people:
        raise WeightsCorruptError(f"{path}: the model card must list the people that the last layer tells apart under 'people'")
    return len(people)


def space_id(entry: NetworkEntry, weights: bytes) -> str:
    """NAME@ and twelve hexadecimal digits of the hash of weights file and preprocessing version."""
    return f"{entry.name}@{hashlib.sha256(weights + entry.preprocessing.encode()).hexdigest()[:12]}"
