"""The published camera networks by name, as declarations that `models.catalogue` joins with its own.

Weights, cards and aliases are the registry's. Published people: the numbers of training people of CASIA-B's splits; a network trained here
has a last layer of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from models.skeleton import DISENTANGLED, EMBEDDING, POSE_MAPS
from models.skeleton.live import PublishedSkeleton
from models.video import IDENTIFICATION, POSE

VisionTask = Literal["pose", "embedding"]

Matcher = Literal["svm", "euclidean", "l1", "none"]

VISION_PREPROCESSING = "published-camera-2"
"""Version of `models.skeleton.inputs` and of the crops: part of the space id."""


@dataclass(frozen=True, slots=True)
class VisionNetwork:
    """One published camera network.

    build: the network with fresh weights; where `per_person`, it takes the number of people to tell apart.  input: one item in words.
    matcher: how embeddings are compared as published.  people: of the published training set, where `per_person`.
    """

    name: str
    task: VisionTask
    build: Callable[..., nn.Module]
    input: str
    summary: str
    matcher: Matcher
    people: int | None = None
    preprocessing: str = VISION_PREPROCESSING

    @property
    def per_person(self) -> bool:
        """Whether `build` takes the number of people."""
        return self.people is not None

    def build_published(self) -> nn.Module:
        """The network with as many people as were published."""
        return self.build() if self.people is None else self.build(self.people)


def _declared(
    builders: Mapping[str, Callable[..., Any]],
    task: VisionTask,
    input_words: str,
    summary: str,
    matcher: Matcher,
    people: int | None = None,
) -> tuple[VisionNetwork, ...]:
    return tuple(VisionNetwork(name, task, build, input_words, summary, matcher, people) for name, build in builders.items())


VISION_NETWORKS: tuple[VisionNetwork, ...] = (
    *_declared(
        {"human-pose-ir": POSE["human-pose-ir"]}, "pose", "RGB picture of one person, 299 x 299", "published Inception-ResNet pose network", "none"
    ),
    *_declared(
        {"human-pose-resnet152": POSE["human-pose-resnet152"]},
        "pose",
        "RGB picture of one person, 256 x 256",
        "published ResNet-152 part detector",
        "none",
    ),
    *_declared(
        POSE_MAPS, "embedding", "T x 32 x 17 x 17 pose maps, 25 Hz", "published network on pose maps, recurrent, mean over time", "svm", 100
    ),
    *_declared(
        IDENTIFICATION, "embedding", "6 BGR crops of one person, 64 x 64", "published network from pictures, segments and recognises", "euclidean", 74
    ),
    *_declared(EMBEDDING, "embedding", "48 frames x 18 joints x (x, y, confidence), 25 Hz", "published network on skeletons", "l1"),
    *_declared(
        DISENTANGLED, "embedding", "64 frames x 15 joints x (x, y), 25 Hz", "published disentangling autoencoder and recognition head",
        "euclidean", 74,
    ),
)  # fmt: skip

BY_NAME: dict[str, VisionNetwork] = {entry.name: entry for entry in VISION_NETWORKS}


def catalogue_fields() -> list[dict[str, Any]]:
    """For every network the fields of `models.catalogue.NetworkEntry`, which this module must not import: the catalogue joins them.

    GaitFormer and ST-GCN are built as the camera workers use them (`models.skeleton.live`), the others as they are trained. `build` without an
    argument makes the published number of people.
    """
    return [
        {
            "name": entry.name,
            "task": entry.task,
            "build": _live(entry.name) if entry.name in EMBEDDING else entry.build if entry.people is None else _published_people(entry),
            "input": entry.input,
            "preprocessing": entry.preprocessing,
            "summary": entry.summary,
            "per_person": entry.per_person,
            "modality": "camera",
        }
        for entry in VISION_NETWORKS
    ]


def _live(name: str) -> Callable[..., nn.Module]:
    return partial(PublishedSkeleton, EMBEDDING[name])


def _published_people(entry: VisionNetwork) -> Callable[..., nn.Module]:
    def build(people: int = entry.people or 0) -> nn.Module:
        return entry.build(people)

    return build


FOURIER = "fourier-joints"
"""Name of the matcher without a network (`models.skeleton.fourier`), wherever methods are chosen by name."""
