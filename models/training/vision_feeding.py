"""How walks become inputs of each published skeleton network: prepared once per walk, cut into clips, stacked to a batch.

Shape letters: N frames of a walk at 25 Hz, T frames of a clip, B batch, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from models.skeleton import disentangle, gaitformer
from models.skeleton.augment import TRAINING_FRAMES, Form, augmented, centred
from models.skeleton.disentangle import Disentangle
from models.skeleton.gaitformer import GaitFormer
from models.skeleton.gaitnn import GaitNN, score_maps
from models.skeleton.inputs import MAP_SPAN, disentangle_clip, fit_length, gaitformer_clip, normalised
from models.skeleton.st_gcn import STGCN
from models.types import Float32

SkeletonNetwork = GaitNN | GaitFormer | STGCN | Disentangle

PIECES = 3
"""Clips of a walk whose vectors are averaged when it is enrolled or compared."""


class Feeding(Protocol):
    """frames: length of a clip."""

    frames: int

    def prepare(self, keypoints_TJ3: Float32) -> Float32:
        """(N, ...) frames of a walk. Raises ValueError where the joints cannot be scaled."""

    def training(self, walk_N: Float32, rng: Generator) -> Float32:
        """(T, ...) a random clip of a walk."""

    def batch(self, clips: Sequence[Float32]) -> Tensor:
        """The network's input from clips of one length."""


def cut(walk_N: Float32, frames: int, rng: Generator) -> Float32:
    """`frames` consecutive frames at a random place; a shorter walk as it is."""
    start = int(rng.integers(max(0, len(walk_N) - frames) + 1))
    return walk_N[start : start + frames]


def pieces(walk_N: Float32, frames: int, count: int = PIECES) -> list[Float32]:
    """At most `count` clips, evenly spread without overlap; a shorter walk is repeated."""
    if len(walk_N) <= frames:
        return [centred(walk_N, frames)]
    count = min(count, len(walk_N) // frames)
    starts = np.linspace(0, len(walk_N) - frames, count + 2)[1:-1] if count < 2 else np.linspace(0, len(walk_N) - frames, count)
    return [walk_N[round(start) : round(start) + frames] for start in starts]


class SkeletonFeeding:
    """GaitFormer and ST-GCN: (B, 3, T, 18). stride: every so many frames of the published rate."""

    def __init__(self, form: Form = "fixed", stride: int = 1) -> None:
        self.form, self.stride = form, stride
        self.frames = gaitformer.FRAMES

    def prepare(self, keypoints_TJ3: Float32) -> Float32:
        """(N, 18, 3)."""
        return gaitformer_clip(keypoints_TJ3)

    def training(self, walk_N: Float32, rng: Generator) -> Float32:
        """(48, 18, 3) an augmented clip."""
        return augmented(cut(walk_N, TRAINING_FRAMES, rng), rng, self.form)

    def batch(self, clips: Sequence[Float32]) -> Tensor:
        return torch.from_numpy(np.stack(clips)[:, :: self.stride].transpose(0, 3, 1, 2).copy())


class PoseMapFeeding:
    """GaitNN: (B, T, 32, 17, 17) from joints; kept as joints, since the maps are a hundred times larger."""

    def __init__(self, frames: int = 48, stride: int = 1) -> None:
        self.frames, self.stride = frames, stride

    def prepare(self, keypoints_TJ3: Float32) -> Float32:
        """(N, 16, 2), y down, NaN where a joint is unknown."""
        points_NJ3 = normalised(keypoints_TJ3, "mpii-16")
        place_NJ2 = points_NJ3[..., :2] * np.array([1.0, -1.0], np.float32)
        place_NJ2[points_NJ3[..., 2] <= 0] = np.nan
        return place_NJ2

    def training(self, walk_N: Float32, rng: Generator) -> Float32:
        """(T, 16, 2) a random clip, shorter walks repeated."""
        return centred(cut(walk_N, self.frames, rng), self.frames)

    def batch(self, clips: Sequence[Float32]) -> Tensor:
        place_BTJ2 = torch.from_numpy(np.stack(clips)[:, :: self.stride].copy())
        batch, frames = place_BTJ2.shape[:2]
        return score_maps(place_BTJ2.flatten(0, 1), low=-MAP_SPAN, high=MAP_SPAN).unflatten(0, (batch, frames))


class DisentangleFeeding:
    """Disentangle: (B, 64, 15, 2)."""

    frames = disentangle.FRAMES

    def prepare(self, keypoints_TJ3: Float32) -> Float32:
        """(N, 15, 2)."""
        return disentangle_clip(keypoints_TJ3)

    def training(self, walk_N: Float32, rng: Generator) -> Float32:
        """(64, 15, 2): as published, 64 random frames in order, but of at most 96: the walks here last up to a minute."""
        return fit_length(cut(walk_N, TRAINING_FRAMES, rng), rng)

    def batch(self, clips: Sequence[Float32]) -> Tensor:
        return torch.from_numpy(np.stack(clips).astype(np.float32))


def feeding_of(network: SkeletonNetwork, *, small: bool = False) -> Feeding:
    """What feeds a network; `small` halves the frame rate of the two whose cost grows with every frame."""
    stride = 2 if small else 1
    if isinstance(network, GaitNN):
        return PoseMapFeeding(32 if small else 48, stride)
    if isinstance(network, Disentangle):
        return DisentangleFeeding()
    return SkeletonFeeding(stride=stride if isinstance(network, STGCN) else 1)
