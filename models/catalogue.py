"""Every network there is, as declarations: what it does, what it takes, how it is built.

The published networks are declared without weights: `gaitstream train NAME` makes them. Those for identification are embeddings here: the live
pipeline uses what stands before their last layer. Weights and model cards are the registry's (`models.registry`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from models import camera_fusion
from models.inertial import published
from models.inertial.channels import STREAM_PREPROCESSING, WINDOW_PREPROCESSING
from models.inertial.embedder import PenultimateEmbedding, UnitClassical
from models.inertial.extractor import StreamingUNet
from models.inertial.networks import GaitTCN, WalkTCN
from models.inertial.placed import PlacedGaitTCN
from models.silhouette import gait_silhouette
from models.skeleton import gait_skeleton
from models.vision_catalogue import catalogue_fields

EXTRACTION, EMBEDDING, VERIFICATION = "extraction", "embedding", "verification"
"""Tasks: find the walking; turn a gait sample into an embedding; tell whether two gait samples are of one person."""

INERTIAL, CAMERA = "inertial", "camera"
"""Modalities: what devices measure; what cameras see."""

RAW_PREPROCESSING = "raw-1"
"""The published networks take raw samples as they are."""

TRADITIONAL = "traditional method the published system is compared with; parameters are what it learnt, none before"

PUBLISHED_PEOPLE = 118
"""People of the published identification data; the last layer of a network trained here has as many rows as there were people."""


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """One registered network.

    input: what one item is, in words.  preprocessing: version of what the network does to its raw input, part of the space id.
    default: whether "default" means it among the networks of its task and modality.  weights_set: "default" (permitted data) or "research" (says its licence, never a default).
    build: the network with fresh weights; where `per_person`, it takes the number of people to tell apart (PUBLISHED_PEOPLE unless said).
    pretrained: the network whose trained weights fill this one's fixed part.  modality: INERTIAL or CAMERA.
    """

    name: str
    task: str
    build: Callable[..., nn.Module]
    input: str
    preprocessing: str
    summary: str
    default: bool = False
    weights_set: str = "default"
    per_person: bool = False
    pretrained: str | None = None
    modality: str = INERTIAL

    @property
    def published(self) -> bool:
        """Whether it belongs to the published smartphone system."""
        return self.preprocessing == RAW_PREPROCESSING


def _embedding(build: Callable[[int], published.IdentificationNetwork], people: int = PUBLISHED_PEOPLE) -> PenultimateEmbedding:
    return PenultimateEmbedding(build(people))


def _extractor(build: Callable[[], published.UNet]) -> StreamingUNet:
    return StreamingUNet(build())


def _camera() -> list[NetworkEntry]:
    """Our own networks on what cameras see."""
    joints, masks = f"32 x {gait_skeleton.KEYPOINTS} joints, 12.5 Hz", "32 silhouettes 64 x 44, 12.5 Hz"
    rows: list[tuple[str, Callable[[], nn.Module], str, str, str]] = [
        (
            "gait-camera",
            camera_fusion.GaitCamera,
            f"{joints}, and {masks}",
            camera_fusion.PREPROCESSING,
            "both networks below, side by side",
        ),
        (
            "gait-skeleton",
            gait_skeleton.GaitSkeleton,
            joints,
            gait_skeleton.PREPROCESSING,
            "covariances of joints in time, metric learning",
        ),
        ("gait-silhouette", gait_silhouette.GaitSilhouette, masks, gait_silhouette.PREPROCESSING, "images of a window, metric learning"),
    ]
    return [
        NetworkEntry(name, EMBEDDING, build, words, version, f"gait embedding, {summary}", default=name == "gait-camera", modality=CAMERA)
        for name, build, words, version, summary in rows
    ]


def _published() -> list[NetworkEntry]:
    """The networks of the published smartphone system."""
    window = "128 samples x 6 axes, 50 Hz"
    extraction = [
        NetworkEntry(
            name,
            EXTRACTION,
            partial(_extractor, build),
            f"{StreamingUNet.CONTEXT} + {WalkTCN.BLOCK} + {StreamingUNet.LOOKAHEAD} samples x 6 axes, 50 Hz",
            RAW_PREPROCESSING,
            "published walking extractor, 1-D U-Net, 4 s look-ahead",
        )
        for name, build in published.EXTRACTION.items()
    ]
    identification = [
        NetworkEntry(
            name,
            EMBEDDING,
            partial(_embedding, build),
            window,
            RAW_PREPROCESSING,
            "published identification network; embeds by what stands before its last layer",
            per_person=True,
            pretrained=published.PRETRAINED.get(name),
        )
        for name, build in published.IDENTIFICATION.items()
    ]
    authentication = [
        NetworkEntry(
            name,
            VERIFICATION,
            build,
            f"2 x {window}",
            RAW_PREPROCESSING,
            "published authentication network on pairs of windows",
            pretrained=published.PRETRAINED.get(name),
        )
        for name, build in published.AUTHENTICATION.items()
    ]
    traditional = [
        NetworkEntry(name, EMBEDDING, partial(UnitClassical, name.removeprefix("whugait-")), window, RAW_PREPROCESSING, TRADITIONAL)
        for name in published.CLASSICAL
    ] + [
        NetworkEntry(name, VERIFICATION, build, f"2 x {window}", RAW_PREPROCESSING, TRADITIONAL)
        for name, build in published.CLASSICAL_PAIRS.items()
    ]
    return [*extraction, *identification, *authentication, *traditional]


NETWORKS: dict[str, NetworkEntry] = {
    entry.name: entry
    for entry in (
        NetworkEntry(
            "walk-tcn",
            EXTRACTION,
            WalkTCN,
            f"{WalkTCN.CONTEXT} + {WalkTCN.BLOCK} + {WalkTCN.LOOKAHEAD} samples x 6 axes, 50 Hz",
            STREAM_PREPROCESSING,
            "streaming walking extractor, temporal convolutions on orientation-free channels",
            default=True,
        ),
        NetworkEntry(
            "gait-tcn",
            EMBEDDING,
            GaitTCN,
            f"{GaitTCN.WINDOW} samples x 6 axes, 50 Hz",
            WINDOW_PREPROCESSING,
            "gait embedding, temporal convolutions on orientation-free channels, metric learning",
            default=True,
        ),
        NetworkEntry(
            "gait-tcn-research",
            EMBEDDING,
            PlacedGaitTCN,
            f"{GaitTCN.WINDOW} samples x 6 axes, 50 Hz",
            WINDOW_PREPROCESSING,
            "gait-tcn with a discriminant for each place of the device, also fitted on non-commercial data",
            weights_set="research",
            pretrained="gait-tcn",
        ),
        *_published(),
        *_camera(),
        *(NetworkEntry(**fields) for fields in catalogue_fields()),
    )
}
