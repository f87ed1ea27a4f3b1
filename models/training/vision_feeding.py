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
from models.skeleton.inputs import MAP_SPAN, disentangle_clip, fit_length, gaitformer_clip, normalised, standardised
from models.skeleton.st_gcn import STGCN
from models.types import Float32

SkeletonNetwork = GaitNN | GaitFormer | STGCN | Disentangle

PIECES = 3


SMALL_MAPS = (24, 3, 1)
"""Frames of a clip of pose maps, the stride among them, and clips per walk, in a small run: eight pictures of one stride."""


class Feeding(Protocol):
    """frames: length of a clip.  pieces: most clips of a walk whose vectors are averaged when it is enrolled or compared."""

    frames: int
    pieces: int

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
    """GaitFormer and ST-GCN: (B, 3, T, 18). form: of augmentation, None for random clips as they are.  stride: every so many frames of the
    published rate."""

    def __init__(self, form: Form | None = "fixed", stride: int = 1) -> None:
        self.form, self.stride = form, stride
        self.frames, self.pieces = gaitformer.FRAMES, PIECES

    def prepare(self, keypoints_TJ3: Float32) -> Float32:
        """(N, 18, 3)."""
        return gaitformer_clip(keypoints_TJ3)

    def training(self, walk_N: Float32, rng: Generator) -> Float32:
        """(48, 18, 3) a clip, augmented or not."""
        if self.form is None:
            return centred(cut(walk_N, self.frames, rng), self.frames)
        return augmented(cut(walk_N, TRAINING_FRAMES, rng), rng, self.form)

    def batch(self, clips: Sequence[Float32]) -> Tensor:
        return torch.from_numpy(standardised(np.stack(clips)[:, :: self.stride]).transpose(0, 3, 1, 2).copy())


class PoseMapFeeding:
    """GaitNN: (B, T, 32, 17, 17) from joints; kept as joints, since the maps are a hundred times larger."""

    def __init__(self, frames: int = 48, stride: int = 1, pieces: int = PIECES) -> None:
        self.frames, self.stride, self.pieces = frames, stride, pieces

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

    frames, pieces = disentangle.FRAMES, PIECES

    def prepare(self, keypoints_TJ3: Float32) -> Float32:
        """(N, 15, 2)."""
        return disentangle_clip(keypoints_TJ3)

    def training(self, walk_N: Float32, rng: Generator) -> Float32:
        """(64, 15, 2): as published, 64 random frames in order, but of at most 96: the walks here last up to a minute."""
        return fit_length(cut(walk_N, TRAINING_FRAMES, rng), rng)

    def batch(self, clips: Sequence[Float32]) -> Tensor:
        return torch.from_numpy(np.stack(clips).astype(np.float32))


def feeding_of(network: SkeletonNetwork, *, small: bool = False) -> Feeding:
    """What feeds a network; `small` takes every other frame, GaitNN every third of one second: their cost grows with every frame, and the
    camera's grid has no more than half of the published frames. Small runs do not augment: that keeps 400 epochs from learning walks by heart,
    and slows a run that sees every walk a few times."""
    if isinstance(network, GaitNN):
        return PoseMapFeeding(*SMALL_MAPS) if small else PoseMapFeeding()
    if isinstance(network, Disentangle):
        return DisentangleFeeding()
    return SkeletonFeeding(None, 2) if small else SkeletonFeeding()
