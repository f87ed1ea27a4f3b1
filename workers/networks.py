"""The networks that the settings name: shipped ones, or ones trained here that lie in `weights_dir`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.catalogue import CAMERA, EMBEDDING, EXTRACTION, VERIFICATION
from models.registry import WEIGHTS_DIR, find_network, load_camera_embedder, load_embedder, load_extractor, load_verifier, read_card

if TYPE_CHECKING:
    from pathlib import Path

    from models.camera_embedder import CameraEmbedder
    from models.inertial.embedder import GaitEmbedder
    from models.inertial.extractor import WalkExtractor
    from models.inertial.verifier import PairVerifier
    from streams.settings import Settings

COSINE = "cosine"
"""Claims are checked by the embedder itself."""


def extractor_of(settings: Settings) -> WalkExtractor:
    """The walking extractor.  Raises RegistryError."""
    name = find_network(settings.extractor, EXTRACTION).name
    return load_extractor(name, _folder(settings, name))


def embedder_of(settings: Settings) -> GaitEmbedder:
    """The embedder.  Raises RegistryError."""
    name = find_network(settings.embedder, EMBEDDING).name
    return load_embedder(name, _folder(settings, name))


def embedder_card(settings: Settings) -> dict[str, Any]:
    """The embedder's model card, without loading it.  Raises RegistryError."""
    name = find_network(settings.embedder, EMBEDDING).name
    return read_card(name, _folder(settings, name))


def verifier_of(settings: Settings) -> PairVerifier | None:
    """The pair network that checks claims; None where the embedder does.  Raises RegistryError."""
    if settings.verifier == COSINE:
        return None
    name = find_network(settings.verifier, VERIFICATION).name
    return load_verifier(name, _folder(settings, name))


def camera_embedder_of(settings: Settings) -> CameraEmbedder:
    """The embedder of camera tracks.  Raises RegistryError."""
    name = find_network(settings.camera_embedder, EMBEDDING, CAMERA).name
    return load_camera_embedder(name, _folder(settings, name))


def camera_embedder_card(settings: Settings) -> dict[str, Any]:
    """Its model card, without loading it.  Raises RegistryError."""
    name = find_network(settings.camera_embedder, EMBEDDING, CAMERA).name
    return read_card(name, _folder(settings, name))


def _folder(settings: Settings, name: str) -> Path:
    own = settings.weights_dir
    return own if own is not None and (own / f"{name}.json").is_file() else WEIGHTS_DIR
