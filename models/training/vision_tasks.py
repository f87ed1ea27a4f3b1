"""Training of the published skeleton networks on the shared engine.

Sources of the losses: the modules of the networks. Shape letters: B batch, N walks, D features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional as F

from models.evaluation.vision_protocols import Metric
from models.skeleton.appearance import supervised_contrastive
from models.skeleton.disentangle import Disentangle, to_rows
from models.skeleton.disentangle_losses import BodyTime, CentreLoss, autoencoder_losses, recognition_loss
from models.skeleton.gaitformer import GaitFormer
from models.skeleton.gaitnn import GaitNN
from models.skeleton.st_gcn import STGCN
from models.training.vision_data import JointWalk, people_of
from models.training.vision_feeding import Feeding, SkeletonNetwork, cut, pieces
from models.training.vision_held_out import held_out_figures
from models.types import Float32

SLICE = 32
"""Clips that are embedded at once."""


class SequenceTask(ABC):
    """What all four have in common: prepared walks of training and of held-out people, and the figures of the latter."""

    module: nn.Module
    metric: Metric = "euclidean"

    def __init__(
        self,
        network: SkeletonNetwork,
        feeding: Feeding,
        training: Sequence[JointWalk],
        held_out: Sequence[JointWalk],
        batch: int,
        device: str,
    ) -> None:
        self.network, self.feeding, self.batch, self.device = network, feeding, batch, device
        self.walks, self.clip_N = prepared(feeding, training)
        self.held_out, self.held_out_N = prepared(feeding, held_out)
        if not self.walks:
            raise ValueError("no walk shows hips and shoulders: nothing to train on")
        people = people_of(self.walks)
        self.person_N = np.array([people.index((walk.source, walk.subject)) for walk in self.walks])
        self.of_person = [np.flatnonzero(self.person_N == person) for person in range(len(people))]

    @property
    def steps(self) -> int:
        """Whole batches in a pass over the walks."""
        return max(1, len(self.walks) // self.batch)

    @abstractmethod
    def loss(self, rng: Generator) -> Tensor:
        """Loss of the next batch."""

    def validate(self) -> dict[str, float]:
        """Figures of `models.training.vision_held_out`."""
        return held_out_figures(self.embed(self.held_out_N), self.held_out, self.metric) if self.held_out else {"score": 0.0}

    def embed(self, walk_N: Sequence[Float32]) -> Float32:
        """(N, D) of prepared walks, `embed_walks`."""
        return embed_walks(self.network, self.feeding, walk_N, self.device)

    def sampled(self, walks: Iterable[int], rng: Generator) -> Tensor:
        """A batch of one random clip of each of these walks."""
        return self.feeding.batch([self.feeding.training(self.clip_N[k], rng) for k in walks]).to(self.device)


def prepared(feeding: Feeding, walks: Sequence[JointWalk]) -> tuple[list[JointWalk], list[Float32]]:
    """The walks that can be fed, and what is fed of each."""
    kept, clips = [], []
    for walk in walks:
        try:
            clips.append(feeding.prepare(walk.keypoints_TJ3))
        except ValueError:  # a passage without a torso in it: nothing can be said about this walk
            continue
        kept.append(walk)
    return kept, clips


@torch.no_grad()
def embed_walks(network: SkeletonNetwork, feeding: Feeding, walk_N: Sequence[Float32], device: str) -> Float32:
    """(N, D) mean feature of a few clips of each prepared walk."""
    clips = [(k, piece) for k, walk in enumerate(walk_N) for piece in pieces(walk, feeding.frames, feeding.pieces)]
    owner_C = np.array([k for k, _ in clips])
    parts = []
    for first in range(0, len(clips), SLICE):
        x_B = feeding.batch([clip for _, clip in clips[first : first + SLICE]]).to(device)
        parts.append(network.features(x_B).float().cpu().numpy())
    feature_CD = np.concatenate(parts)
    return np.stack([feature_CD[owner_C == k].mean(axis=0) for k in range(len(walk_N))]).astype(np.float32)


class ContrastiveTask(SequenceTask):
    """GaitFormer and ST-GCN. by_track: as published without names, two views of one track are alike; else two walks of one person."""

    metric: Metric = "l1"

    def __init__(
        self,
        network: GaitFormer | STGCN,
        feeding: Feeding,
        training: Sequence[JointWalk],
        held_out: Sequence[JointWalk],
        batch: int,
        device: str,
        *,
        temperature: float,
        by_track: bool = False,
    ) -> None:
        super().__init__(network, feeding, training, held_out, batch, device)
        self.module, self.temperature, self.by_track = network, temperature, by_track
        self.encoder = network

    def loss(self, rng: Generator) -> Tensor:
        half = self.batch // 2
        if self.by_track:
            first = rng.choice(len(self.walks), half, replace=len(self.walks) < half)
            label_B, second = np.tile(first, 2), first
        else:
            person = rng.choice(len(self.of_person), half, replace=len(self.of_person) < half)
            first, second = (np.array([rng.choice(self.of_person[p]) for p in person]) for _ in range(2))
            label_B = np.tile(person, 2)
        contrast_BK = self.encoder(self.sampled([*first, *second], rng)).contrast_BK
        return supervised_contrastive(contrast_BK.float(), torch.from_numpy(label_B).to(self.device), self.temperature)


class PoseMapTask(SequenceTask):
    """GaitNN: softmax over the training people."""

    def __init__(
        self, network: GaitNN, feeding: Feeding, training: Sequence[JointWalk], held_out: Sequence[JointWalk], batch: int, device: str
    ) -> None:
        super().__init__(network, feeding, training, held_out, batch, device)
        self.module, self.classifier = network, network

    def loss(self, rng: Generator) -> Tensor:
        chosen_B = rng.choice(len(self.walks), self.batch, replace=len(self.walks) < self.batch)
        logits_BP = self.classifier(self.sampled(chosen_B, rng))
        return F.cross_entropy(logits_BP.float(), torch.from_numpy(self.person_N[chosen_B]).to(self.device))


class DisentangleTask(SequenceTask):
    """Autoencoder and head at once: their parameters are disjoint and the head's gradients end at the codes, so that one step of Adam over
    both is the published alternation on one batch. Raises ValueError where no person was seen from two views."""

    def __init__(
        self,
        network: Disentangle,
        feeding: Feeding,
        training: Sequence[JointWalk],
        held_out: Sequence[JointWalk],
        batch: int,
        device: str,
        *,
        body_time: BodyTime = "intended",
    ) -> None:
        super().__init__(network, feeding, training, held_out, batch, device)
        self.whole, self.body_time = network, body_time
        self.centres = CentreLoss(network.people)
        self.module = nn.ModuleDict({"network": network, "centres": self.centres})
        view_N = np.array([f"{walk.source} {walk.view}" for walk in self.walks])
        walk_N = np.array([f"{walk.source} {walk.subject} {walk.session}" for walk in self.walks])
        self.triplets: list[tuple[int, np.ndarray, np.ndarray]] = []
        for a in range(len(self.walks)):
            same, alike = self.person_N == self.person_N[a], view_N == view_N[a]
            # the same walk from another side shows the same motion at the same time
            other_view = np.flatnonzero(same & ~alike & (walk_N == walk_N[a]))
            other_view = other_view if len(other_view) else np.flatnonzero(same & ~alike)
            other_person = np.flatnonzero(~same & alike)
            if len(other_view) and len(other_person):
                self.triplets.append((a, other_view, other_person))
        if not self.triplets:
            raise ValueError("triplets need a person seen from two views and another seen from one of them")

    def loss(self, rng: Generator) -> Tensor:
        rows = []
        for t in rng.integers(len(self.triplets), size=self.batch):
            a, others, strangers = self.triplets[t]
            v, i = int(rng.choice(others)), int(rng.choice(strangers))
            if len(self.clip_N[a]) == len(self.clip_N[v]):  # two cameras on one walk: the same frames of both
                both = self.feeding.training(np.concatenate([self.clip_N[a], self.clip_N[v]], axis=1), rng)
                first, second = np.split(both, 2, axis=1)
            else:
                first, second = (self.feeding.training(self.clip_N[k], rng) for k in (a, v))
            rows.append((a, first, second, self.feeding.training(cut(self.clip_N[i], 96, rng), rng)))
        person_B = torch.from_numpy(self.person_N[[row[0] for row in rows]]).to(self.device)
        clips = [self.feeding.batch([row[k] for row in rows]).to(self.device) for k in (1, 2, 3)]
        a_BRT, v_BRT, i_BRT = (to_rows(clip, self.whole.layout) for clip in clips)
        terms = autoencoder_losses(self.whole.autoencoder, a_BRT, v_BRT, i_BRT, self.body_time)
        feature_BD = self.whole.features(clips[0])
        head = recognition_loss(self.whole.recognition.head(feature_BD).float(), feature_BD.float(), person_B, self.centres)
        return torch.stack(list(terms.values())).sum() + head
