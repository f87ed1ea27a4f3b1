"""Training of the published identification and authentication networks, on the shared engine.

As published, raw windows go in without augmentation and the loss is cross-entropy plus the network's own L2 term. All samples lie on the
device the network trains on. The published loss adds 1e-10 to a probability, which ends the gradient of what is surely wrong: a pair network
that begins by calling all pairs different learns nothing. It stays behind `legacy`; otherwise the loss is computed from the logits.
Two rules for the checkpoint that is kept. Intended: the one with the least equal error rate on held-out people. `legacy`, as published: the
best accuracy on a tenth of the training people's windows, drawn at random, which overlap the others and so say little.
Shape letters: B batch, N windows, T time (50 Hz), D embedding; 6 are the device's axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional as F

from models.data.recordings import Recording
from models.evaluation.scores import equal_error_rate
from models.inertial.embedder import PenultimateEmbedding
from models.inertial.published import PairNetwork
from models.inertial.published.losses import softmax_cross_entropy
from models.training.scoring import score_recordings, walking_windows
from models.training.windows import Index, LabelledWindows, PairDraw, spread
from models.types import Float32

VALIDATION_WINDOWS = 24
"""Of each held-out recording; the networks with 1024 hidden units take 60 ms a window."""

VALIDATION_PAIRS = 512

CENTRE_WINDOWS = 512

SLICE = 128


class Order:
    """Which samples the steps of an epoch take: all once, in a fixed order or in a new one each epoch; the last partial batch is dropped."""

    def __init__(self, samples: int, batch: int, *, shuffle: bool, seed: int) -> None:
        self.samples, self.batch, self.shuffle = samples, min(batch, samples), shuffle
        self.file_order = np.random.default_rng([seed, 5]).permutation(samples)
        """Where the published code does not shuffle, its files were not sorted by person; this is such an order."""
        self._rng: Generator | None = None
        self._left: Index = np.zeros(0, np.int64)

    def take(self, rng: Generator) -> Index:
        """Indexes of the next batch. Another generator than the last time begins an epoch."""
        if rng is not self._rng or len(self._left) < self.batch:
            self._rng = rng
            self._left = rng.permutation(self.samples) if self.shuffle else self.file_order
        taken, self._left = self._left[: self.batch], self._left[self.batch :]
        return taken


def _cross_entropy(logits_BN: Tensor, label_B: Tensor, legacy: bool) -> Tensor:
    return softmax_cross_entropy(logits_BN, label_B) if legacy else F.cross_entropy(logits_BN.float(), label_B)


class IdentificationTask:
    """Trains an identification network to tell its training people apart."""

    def __init__(
        self,
        network: PenultimateEmbedding,
        windows: LabelledWindows,
        held_out: Sequence[Recording],
        batch: int,
        device: str,
        *,
        seed: int = 0,
        legacy: bool = False,
    ) -> None:
        self.network, self.legacy = network, legacy
        self.module: nn.Module = network
        order = np.random.default_rng([seed, 6]).permutation(len(windows))
        tenth = len(windows) // 10 if legacy else 0
        training, self.test = order[tenth:], order[:tenth]
        self.x_NT6 = torch.from_numpy(windows.x_NT6).to(device)
        self.person_N = torch.from_numpy(windows.person_N).to(device)
        self.training = torch.from_numpy(training)
        self.order = Order(len(training), batch, shuffle=network.network.recipe.shuffle, seed=seed)
        self.held_out = [(recording, spread(own, VALIDATION_WINDOWS)) for recording in held_out if len(own := walking_windows(recording))]

    @property
    def steps(self) -> int:
        """Whole batches in a pass over the samples."""
        return self.order.samples // self.order.batch

    def loss(self, rng: Generator) -> Tensor:
        chosen_B = self.training[self.order.take(rng)].to(self.x_NT6.device)
        logits_BP = self.network.network(self.x_NT6[chosen_B])
        return _cross_entropy(logits_BP, self.person_N[chosen_B], self.legacy) + self.network.network.penalty()

    def validate(self) -> dict[str, float]:
        """Legacy: accuracy on the random test windows. Else equal error rate of single windows of held-out people, and 1 - it as score."""
        if self.legacy:
            accuracy = self.accuracy(self.x_NT6[self.test], self.person_N[self.test])
            return {"test_accuracy": accuracy, "score": accuracy}
        self.fit_centre()
        genuine, impostor = score_recordings(self.embed, self.held_out, 1)
        if not len(genuine) or not len(impostor):
            return {"score": 0.0}
        rate = equal_error_rate(genuine, impostor)
        return {"eer_held_out": rate, "score": 1.0 - rate}

    def fit_centre(self) -> None:
        """Sets the centre of the embedding from training windows."""
        every = max(1, len(self.training) // CENTRE_WINDOWS)
        self.network.fit_centre(self.x_NT6[self.training[::every].to(self.x_NT6.device)])

    @torch.no_grad()
    def embed(self, x_WT6: Float32) -> Float32:
        """(W, D) unit rows."""
        parts = torch.from_numpy(np.ascontiguousarray(x_WT6)).to(self.x_NT6.device).split(SLICE)
        return np.concatenate([self.network(part)[0].float().cpu().numpy() for part in parts])

    @torch.no_grad()
    def accuracy(self, x_NT6: Tensor, person_N: Tensor) -> float:
        """Share of windows given to the right person of the training people."""
        guesses = torch.cat([self.network.network(part).argmax(1) for part in x_NT6.split(SLICE)])
        return float((guesses == person_N).float().mean())


class PairTask:
    """Trains a pair network on pairs drawn afresh, half of them of one person."""

    def __init__(
        self,
        network: PairNetwork,
        windows: LabelledWindows,
        held_out: Sequence[Recording],
        batch: int,
        device: str,
        *,
        seed: int = 0,
        legacy: bool = False,
    ) -> None:
        self.network, self.batch, self.device, self.legacy = network, batch, device, legacy
        self.module: nn.Module = network
        self.pairs = PairDraw(windows)
        self.x_NT6 = torch.from_numpy(windows.x_NT6).to(device)
        self.steps = max(1, len(windows) // batch)
        test = windows if legacy or not held_out else LabelledWindows.of(held_out)
        first, second, self.test_same = PairDraw(test).draw(VALIDATION_PAIRS, np.random.default_rng([seed, 7]))
        self.test = tuple(torch.from_numpy(test.x_NT6[index]).to(device) for index in (first, second))

    def loss(self, rng: Generator) -> Tensor:
        first_B, second_B, same_B = self.pairs.draw(self.batch, rng)
        logits_B2 = self.network(self.x_NT6[first_B], self.x_NT6[second_B])
        return _cross_entropy(logits_B2, torch.from_numpy(same_B).to(self.device), self.legacy) + self.network.penalty()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Accuracy and equal error rate of pairs of held-out people (legacy: of the training people)."""
        parts = zip(*(x_NT6.split(SLICE) for x_NT6 in self.test), strict=True)
        logits_N2 = torch.cat([self.network(a, b) for a, b in parts]).float().cpu().numpy()
        score_N = (logits_N2[:, 1] - logits_N2[:, 0]).astype(np.float64)
        accuracy = float(((score_N > 0) == (self.test_same == 1)).mean())
        rate = equal_error_rate(score_N[self.test_same == 1], score_N[self.test_same == 0])
        return {"pair_accuracy": accuracy, "eer_pairs": rate, "score": accuracy if self.legacy else 1.0 - rate}
