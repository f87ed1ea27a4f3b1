"""Training of gait embeddings: supervised contrastive and angular-margin losses over identities, open-set validation.

An identity is (source, subject, placement); mirrored and faster or slower copies of a real walker are further identities, which multiplies the
few real people by six. Simulated walkers carry the device at several places, each an identity of its own. Every batch is split into
`DOMAINS` pretended placements (models.training.augment.transfer), so that people must differ under any of them.
Shape letters: B batch, T time (50 Hz), D embedding, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.data.recordings import Recording
from models.evaluation.scores import equal_error_rate
from models.inertial.networks import GaitTCN
from models.inertial.placed import PLACES, PlacedGaitTCN
from models.training.augment import disturb_sensors, mirror, transfer
from models.training.corpus import Corpus, build_corpus, class_numbers, crop, elsewhere, window_starts
from models.training.discriminant import Group, discriminant
from models.training.losses import AdditiveAngularMargin, supervised_contrastive
from models.training.places import placed_discriminant
from models.training.scoring import score_recordings, walking_windows
from models.types import Float32

SPEEDS = (1.0, 0.88, 1.14)
"""Speed-changed copies count as other people: 12 % is several times a person's own day-to-day change of cadence."""

COPIES = 2 * len(SPEEDS)
"""Copy c of a person has speed c // 2 and is mirrored if c is odd; copy 0 is the person."""

SPEED_JITTER = 0.04
"""Within one identity the speed varies by this much: a person's own change of cadence and errors of the sample rate."""

LEAST_WALKING = 0.75
"""Training windows are mostly walking; live windows may hold the edge of a bout too."""

WINDOWS_PER_IDENTITY = 4

LEAST_DISCRIMINANT_WINDOWS = 6
"""Of an identity, to say how its windows vary."""

SIMULATED_SHARE = 0.35
"""Most of the identities of a batch that simulated walkers may take."""

DOMAINS = 4
"""Pretended placements in a batch, the first the true one: few enough that each holds a dozen people to tell apart."""


class EmbeddingTask:
    """Trains a network with the interface of GaitTCN on recordings of some people and validates on others."""

    def __init__(self, network: GaitTCN, training: Sequence[Recording], held_out: Sequence[Recording], batch: int, device: str) -> None:
        self.network, self.device, self.batch = network, device, batch
        self.training = [*training, *elsewhere(training)]
        self.corpus = build_corpus(self.training)
        self.crop_samples = int(np.ceil(network.WINDOW * max(SPEEDS) * (1 + SPEED_JITTER))) + 2
        starts, records = window_starts(self.corpus, self.crop_samples, LEAST_WALKING)
        self.starts: list[list[NDArray[np.int64]]] = [[] for _ in self.corpus.identities]
        for record in np.unique(records):
            self.starts[self.corpus.identity_R[record]].append(starts[records == record])
        usable = np.array([index for index, parts in enumerate(self.starts) if parts])
        if len({self.corpus.identities[index][:2] for index in usable}) < 2:
            raise ValueError("training an embedding needs walking of at least two people")
        simulated = np.array([self.corpus.identities[index][0] == "simulation" for index in usable])
        self.real, self.simulated = usable[~simulated], usable[simulated]
        amount = np.sqrt([sum(map(len, self.starts[index])) for index in self.real])
        self.real_share = amount / max(amount.sum(), 1.0)  # a person with minutes of walking shows more often than one with seconds
        self.class_KC = class_numbers(np.isin(np.arange(len(self.corpus.identities)), self.simulated), COPIES)
        self.margin = AdditiveAngularMargin(network.HEAD_DIM, int(self.class_KC.max()) + 1)
        self.module: nn.Module = nn.ModuleDict({"network": network, "margin": self.margin})
        self.held_out = [(recording, windows) for recording in held_out if len(windows := walking_windows(recording))]

    def loss(self, rng: Generator) -> Tensor:
        x_BT6, identity_B = self.draw(rng)
        vector_BD = self.network.trained_vector(torch.from_numpy(x_BT6).to(self.device))
        identity = torch.from_numpy(identity_B).to(self.device)
        contrastive: Tensor = supervised_contrastive(vector_BD, identity)
        margin: Tensor = self.margin(vector_BD, identity)
        return contrastive + margin

    def draw(self, rng: Generator) -> tuple[Float32, NDArray[np.int64]]:
        """A batch of augmented windows (B, T, 6) and their identities (B,): several windows of each of some identities."""
        people = self._people(self.batch // WINDOWS_PER_IDENTITY, rng)
        copy = np.where(np.isin(people, self.simulated), 0, rng.integers(0, COPIES, len(people)))
        copy_B = np.repeat(copy, WINDOWS_PER_IDENTITY)
        start_B = np.array([self._start(person, rng) for person in people for _ in range(WINDOWS_PER_IDENTITY)], float)
        jitter_B = rng.uniform(1 - SPEED_JITTER, 1 + SPEED_JITTER, len(start_B))
        x_BT6 = crop(self.corpus.samples_N6, start_B, np.array(SPEEDS)[copy_B // 2] * jitter_B, self.network.WINDOW)
        x_BT6 = mirror(x_BT6, copy_B % 2 == 1)
        domain_B = np.repeat(rng.integers(0, DOMAINS, len(people)), WINDOWS_PER_IDENTITY)
        for domain in range(1, DOMAINS):
            if len(chosen := np.flatnonzero(domain_B == domain)):
                x_BT6[chosen] = transfer(x_BT6[chosen], rng)
        return disturb_sensors(x_BT6, rng), self.class_KC[np.repeat(people, WINDOWS_PER_IDENTITY), copy_B]

    def validate(self) -> dict[str, float]:
        """Equal error rate of single windows against templates of other recordings, per source; the score is one minus their mean."""
        figures = {}
        for source in sorted({recording.source for recording, _ in self.held_out}):
            genuine, impostor = score_recordings(self._embed, [pair for pair in self.held_out if pair[0].source == source], 1)
            if len(genuine) and len(impostor):
                figures[f"eer_{source}"] = equal_error_rate(genuine, impostor)
        return {**figures, "score": 1.0 - float(np.mean(list(figures.values()))) if figures else 0.0}

    def _embed(self, x_BT6: Float32) -> Float32:
        parts = torch.from_numpy(x_BT6).to(self.device).split(256)
        return np.concatenate([self.network.trained_vector(part).cpu().numpy() for part in parts])

    @torch.no_grad()
    def finish(self) -> None:
        """Fills the discriminant, which makes the embedding of the trained features; to be called once the weights are final."""
        self.network.eval()
        fill_discriminant(self.network, features_by_identity(self.network, self.corpus, self.device))

    def _people(self, count: int, rng: Generator) -> NDArray[np.int64]:
        simulated = min(int(count * SIMULATED_SHARE), len(self.simulated)) if len(self.real) else count
        chosen = [rng.choice(self.simulated, simulated, replace=len(self.simulated) < simulated)] if simulated else []
        if count > simulated:
            chosen.append(rng.choice(self.real, count - simulated, p=self.real_share))
        return np.concatenate(chosen)

    def _start(self, person: int, rng: Generator) -> int:
        parts = self.starts[person]
        return int(rng.choice(parts[rng.integers(len(parts))]))


@torch.no_grad()
def features_by_identity(network: GaitTCN, corpus: Corpus, device: str) -> dict[Group, list[Float32]]:
    """By source and placement, the features (N, F) of the walking of every identity that has enough of it."""
    starts, records = window_starts(corpus, network.WINDOW, LEAST_WALKING, stride=32)
    groups: dict[Group, list[Float32]] = {}
    for identity in np.unique(corpus.identity_R[records]):
        own = starts[corpus.identity_R[records] == identity]
        if len(own) < LEAST_DISCRIMINANT_WINDOWS:
            continue
        x_NT6 = crop(corpus.samples_N6, own.astype(float), np.ones(len(own)), network.WINDOW)
        source, _, placement = corpus.identities[identity]
        rows_NF = torch.cat([network.features(part) for part in torch.from_numpy(x_NT6).to(device).split(256)]).cpu().numpy()
        groups.setdefault((source, placement), []).append(rows_NF)
    return groups


@torch.no_grad()
def fill_discriminant(network: GaitTCN, groups: Mapping[Group, Sequence[Float32]]) -> None:
    """Sets the network's discriminant, or those of its places and the gate, from the features (N, F) of every identity of every group."""
    if isinstance(network, PlacedGaitTCN):
        placed = placed_discriminant(groups, network.DIM, PLACES)
        network.gate.weight.copy_(torch.from_numpy(placed.gate_KF))
        network.gate.bias.copy_(torch.from_numpy(placed.gate_K))
        weight, bias = placed.weight_KDF.reshape(-1, network.feature_count), placed.bias_KD.reshape(-1)
    else:
        weight, bias = discriminant(groups, network.DIM)
    network.discriminant.weight.copy_(torch.from_numpy(weight))
    network.discriminant.bias.copy_(torch.from_numpy(bias))


def fit_quality(network: GaitTCN, training: Sequence[Recording], seed: int, steps: int = 400) -> float:
    """Trains the quality head on the frozen trunk; returns the final mean squared error.

    Target: cosine between a window's embedding and the mean embedding of its identity (0 at or below 0.3, 1 at or above 0.9) for walking
    windows under growing disturbance, 0 for windows without walking.
    """
    rng = np.random.default_rng([seed, 77])
    features_NF, target_N = _quality_examples(network, training, rng)
    network.quality.train()
    optimizer = torch.optim.Adam(network.quality.parameters(), lr=3e-3)
    error = 0.0
    for _ in range(steps):
        chosen = torch.from_numpy(rng.integers(0, len(target_N), 512))
        loss = F.mse_loss(network.quality_of_features(features_NF[chosen]), target_N[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        error = loss.item()
    network.quality.eval()
    return error


@torch.no_grad()
def _quality_examples(network: GaitTCN, training: Sequence[Recording], rng: Generator) -> tuple[Tensor, Tensor]:
    """Trunk features (N, F) and quality targets (N,) of walking windows (half of them disturbed) and of windows without walking."""
    network.eval()
    corpus = build_corpus(training)
    starts, records = window_starts(corpus, network.WINDOW, LEAST_WALKING, stride=32)
    features, targets = [], []
    for identity in np.unique(corpus.identity_R[records]):
        own = starts[corpus.identity_R[records] == identity]
        own = rng.choice(own, min(len(own), 120), replace=False)
        clean = crop(corpus.samples_N6, own.astype(float), np.ones(len(own)), network.WINDOW)
        rough = disturb_sensors(clean, rng, 1.0) + rng.normal(size=clean.shape).astype(np.float32) * (
            rng.exponential(1.0, (len(own), 1, 1)) * np.array([1.5] * 3 + [0.4] * 3)
        ).astype(np.float32)
        centre = F.normalize(network(torch.from_numpy(clean))[0].mean(0), dim=0)
        for x_BT6 in (clean, rough):
            feature = network.features(torch.from_numpy(x_BT6))
            cosine = network.embed_features(feature) @ centre
            features.append(feature)
            targets.append(((cosine - 0.3) / 0.6).clamp(0.0, 1.0))
    walking = np.concatenate([[0], np.cumsum(corpus.walk_N != 0)])
    candidates = rng.integers(0, len(corpus.walk_N) - network.WINDOW, 20_000)
    idle = candidates[walking[candidates + network.WINDOW] == walking[candidates]][:3000]
    if len(idle):
        feature = network.features(torch.from_numpy(crop(corpus.samples_N6, idle.astype(float), np.ones(len(idle)), network.WINDOW)))
        features.append(feature)
        targets.append(torch.zeros(len(idle)))
    return torch.cat(features), torch.cat(targets)
