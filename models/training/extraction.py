"""Training of walking extractors: balanced random crops with spliced transitions, per-sample cross-entropy, F1 on held-out people.

Level walking is the target; real stairs and running are shown as "not walking" with a small weight (they are gait, but not the gait that the
embedding knows), turns, unlabelled samples and the simulator's stairs and running, which are only plausible, not at all. Shape letters: B batch, T time (50 Hz).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import WALK_OTHER_GAIT, WALK_UNLABELLED, Recording
from models.data.simulated import SOURCE as SIMULATION
from models.evaluation.scores import BinaryScores, binary_scores
from models.inertial.cutting import block_inputs, decidable_blocks
from models.inertial.networks import WalkTCN
from models.training.augment import disturb_sensors, random_rotations, rotate, vary_vigour
from models.training.corpus import build_corpus, crop
from models.types import Float32

OTHER_GAIT_WEIGHT = 0.3
"""Weight of stairs and running as "not walking"."""

OTHER_GAIT_ACTS = (2, 3, 4, 5)

ACT_SHARES = {1: 0.45, 0: 0.2, 7: 0.15, 2: 0.05, 3: 0.05, 4: 0.02, 5: 0.03, 6: 0.05}
"""How often the middle of a crop shows each activity, as far as the source has it."""

SPLICE_SHARE = 0.35
"""Share of crops that change into another crop of the same source at a random moment: recordings hold few real transitions."""

SPEED_RANGE = (0.8, 1.25)

VIGOUR_SD = 0.25
"""A waist moves about half as much as a thigh, a wrist swings twice as much or hardly at all."""


class ExtractionTask:
    """Trains a network with the interface of WalkTCN on recordings of some people and validates on others."""

    def __init__(self, network: WalkTCN, training: Sequence[Recording], held_out: Sequence[Recording], batch: int, device: str) -> None:
        self.network, self.device, self.batch = network, device, batch
        self.module: nn.Module = network
        self.input_samples = network.CONTEXT + network.BLOCK + network.LOOKAHEAD
        self.corpus = build_corpus(training)
        self.held_out = held_out
        for record in range(len(self.corpus)):
            if self.corpus.identities[self.corpus.identity_R[record]][0] == SIMULATION:
                walk_N = self.corpus.walk_N[self.corpus.start_R[record] : self.corpus.stop_R[record]]
                walk_N[walk_N == WALK_OTHER_GAIT] = WALK_UNLABELLED
        source_R = np.array([self.corpus.identities[identity][0] for identity in self.corpus.identity_R])
        self.pools = {str(source): self._starts_by_act(np.flatnonzero(source_R == source)) for source in np.unique(source_R)}
        self.pools = {source: pools for source, pools in self.pools.items() if pools}
        if not self.pools:
            raise ValueError(f"no recording is as long as an input of {self.input_samples} samples")

    def loss(self, rng: Generator) -> Tensor:
        x_BT6, target_BT, weight_BT = self.draw(rng)
        logit_BT = self.network(torch.from_numpy(x_BT6).to(self.device))
        loss_BT = F.binary_cross_entropy_with_logits(logit_BT, torch.from_numpy(target_BT).to(self.device), reduction="none")
        weight = torch.from_numpy(weight_BT).to(self.device)
        return (loss_BT * weight).sum() / weight.sum().clamp(min=1.0)

    def draw(self, rng: Generator) -> tuple[Float32, Float32, Float32]:
        """A batch of augmented inputs (B, T, 6), and target and weight (B, 64) of their blocks."""
        sources = sorted(self.pools)
        source_B = rng.integers(0, len(sources), self.batch)
        first = self._crops(sources, source_B, rng)
        second = self._crops(sources, source_B, rng)
        at_B = np.where(rng.random(self.batch) < SPLICE_SHARE, rng.integers(0, self.input_samples, self.batch), self.input_samples)
        after_BT = np.arange(self.input_samples)[None, :] >= at_B[:, None]
        x_BT6, walk_BT, act_BT = (
            np.where(after_BT[..., None] if a.ndim == 3 else after_BT, b, a) for a, b in zip(first, second, strict=True)
        )
        block = slice(self.network.CONTEXT, self.network.CONTEXT + self.network.BLOCK)
        target_BT, weight_BT = targets(walk_BT[:, block], act_BT[:, block])
        x_BT6 = vary_vigour(x_BT6, rng, VIGOUR_SD)
        return disturb_sensors(rotate(x_BT6, random_rotations(self.batch, rng)), rng), target_BT, weight_BT

    def validate(self) -> dict[str, float]:
        """F1 per sample of labelled walking against no gait, per source; the score is their mean."""
        counts: dict[str, BinaryScores] = {}
        self.network.eval()
        for recording in self.held_out:
            counts[recording.source] = counts.get(recording.source, BinaryScores(0, 0, 0, 0)) + self._score(recording)
        figures = {f"f1_{source}": count.f1 for source, count in sorted(counts.items()) if count.total}
        return {**figures, "score": float(np.mean(list(figures.values()))) if figures else 0.0}

    def _score(self, recording: Recording) -> BinaryScores:
        samples, walk, _ = to_grid(recording)
        walk = trusted_labels(recording.source, walk)
        blocks = decidable_blocks(0, len(samples), self.network)
        if not len(blocks):
            return BinaryScores(0, 0, 0, 0)
        inputs = torch.from_numpy(np.ascontiguousarray(block_inputs(samples, 0, blocks, self.network))).to(self.device)
        predicted = torch.cat([self.network(part) for part in inputs.split(128)]).cpu().numpy().ravel() > 0
        actual = walk[blocks.start * self.network.BLOCK :][: len(predicted)]
        scored = np.isin(actual, (0, 1))
        return binary_scores(predicted[scored], actual[scored] == 1)

    def _starts_by_act(self, records: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
        """Crop starts of the recordings, by the activity in the middle of the block."""
        need = int(self.input_samples * SPEED_RANGE[1]) + 2
        starts = [np.arange(self.corpus.start_R[r], self.corpus.stop_R[r] - need, 8) for r in records]
        start = np.concatenate(starts).astype(np.int64) if starts else np.zeros(0, np.int64)
        middle = start + self.network.CONTEXT + self.network.BLOCK // 2
        act = self.corpus.act_N[middle]
        return {key: start[act == key] for key in ACT_SHARES if (act == key).any()}

    def _crops(self, sources: list[str], source_B: NDArray[np.int64], rng: Generator) -> tuple[Float32, NDArray, NDArray]:
        start_B = np.empty(self.batch)
        for item, index in enumerate(source_B):
            pools = self.pools[sources[index]]
            shares = np.array([ACT_SHARES[act] for act in pools])
            pool = pools[list(pools)[rng.choice(len(shares), p=shares / shares.sum())]]
            start_B[item] = pool[rng.integers(len(pool))]
        speed_B = rng.uniform(*SPEED_RANGE, self.batch)
        x_BT6 = crop(self.corpus.samples_N6, start_B, speed_B, self.input_samples)
        nearest_BT = np.round(start_B[:, None] + np.arange(self.input_samples) * speed_B[:, None]).astype(int)
        return x_BT6, self.corpus.walk_N[nearest_BT], self.corpus.act_N[nearest_BT]


def targets(walk_BT: NDArray[np.uint8], act_BT: NDArray[np.int8]) -> tuple[Float32, Float32]:
    """Target {0, 1} and weight, both (B, T) float32, of labels of the same shape."""
    weight_BT = np.isin(walk_BT, (0, 1)).astype(np.float32)
    weight_BT[(walk_BT == 2) & np.isin(act_BT, OTHER_GAIT_ACTS)] = OTHER_GAIT_WEIGHT
    return (walk_BT == 1).astype(np.float32), weight_BT
