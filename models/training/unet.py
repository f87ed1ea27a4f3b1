"""Training of the published walking extractor: windows of 1024 samples out of each person's recordings, per-sample cross-entropy.

Recordings of one person and placement are laid end to end, since many are shorter than the 20.48 s of a window; what falls on a border is a
change from one activity to another, as in the recordings of a day. No augmentation, as published. Stairs and running are shown as "not
walking" with the weight our own extractor gives them, turns not at all. Shape letters: B batch, N samples, T time (50 Hz).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import Recording
from models.evaluation.scores import binary_scores
from models.inertial.extractor import StreamingUNet
from models.inertial.published import UNet
from models.inertial.published.losses import clipped_binary_cross_entropy
from models.training.corpus import build_corpus
from models.training.extraction import targets
from models.types import Float32

VALIDATION_WINDOWS = 24
"""Of each source; a window takes 0.2 s on a core."""


class UNetTask:
    """Trains a U-Net on recordings of some people and validates on others."""

    def __init__(
        self, network: StreamingUNet, training: Sequence[Recording], held_out: Sequence[Recording], batch: int, device: str
    ) -> None:
        self.network, self.batch, self.device = network.network, batch, device
        self.module: nn.Module = network
        self.corpus = build_corpus(sorted(training, key=lambda r: (r.source, r.subject, r.placement)))
        if len(self.corpus.samples_N6) < UNet.WINDOW:
            raise ValueError(f"training the U-Net needs {UNet.WINDOW} samples, got {len(self.corpus.samples_N6)}")
        source_R = np.array([self.corpus.identities[identity][0] for identity in self.corpus.identity_R])
        self.ranges = [
            (int(self.corpus.start_R[own[0]]), int(self.corpus.stop_R[own[-1]]) - UNet.WINDOW)
            for source in np.unique(source_R)
            if len(own := np.flatnonzero(source_R == source))
        ]
        self.ranges = [(first, last) for first, last in self.ranges if last > first]
        self.samples_N6 = torch.from_numpy(self.corpus.samples_N6).to(device)
        self.held_out = validation_windows(held_out)

    @property
    def steps(self) -> int:
        """Steps in which as many samples are seen as there are."""
        return max(1, len(self.corpus.samples_N6) // (UNet.WINDOW * self.batch))

    def loss(self, rng: Generator) -> Tensor:
        source_B = rng.integers(0, len(self.ranges), self.batch)
        start_B = np.array([rng.integers(*self.ranges[source]) for source in source_B])
        index_BT = start_B[:, None] + np.arange(UNet.WINDOW)
        target_BT, weight_BT = targets(self.corpus.walk_N[index_BT], self.corpus.act_N[index_BT])
        logit_BT = self.network(self.samples_N6[torch.from_numpy(index_BT).to(self.device)])
        target, weight = torch.from_numpy(target_BT).to(self.device), torch.from_numpy(weight_BT).to(self.device)
        full = weight == 1.0
        loss = clipped_binary_cross_entropy(logit_BT[full], target[full])
        other = (weight > 0.0) & ~full
        share = float(weight[other].sum() / weight.sum().clamp(min=1.0))
        if share:
            loss = (1.0 - share) * loss + share * clipped_binary_cross_entropy(logit_BT[other], target[other])
        return loss

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """F1 per sample on held-out people, per source; the score is their mean."""
        figures = {}
        for source, (x_NT6, walk_NT) in self.held_out.items():
            logit_NT = torch.cat([self.network(part.to(self.device)) for part in torch.from_numpy(x_NT6).split(4)]).float().cpu().numpy()
            scored = np.isin(walk_NT, (0, 1))
            figures[f"f1_{source}"] = binary_scores(logit_NT[scored] > 0, walk_NT[scored] == 1).f1
        return {**figures, "score": float(np.mean(list(figures.values()))) if figures else 0.0}


def validation_windows(recordings: Sequence[Recording]) -> dict[str, tuple[Float32, np.ndarray]]:
    """Per source, windows (N, 1024, 6) of the recordings laid end to end and their walk labels (N, 1024), spread evenly."""
    result = {}
    for source in sorted({recording.source for recording in recordings}):
        own = sorted((r for r in recordings if r.source == source), key=lambda r: (r.subject, r.placement))
        parts = [to_grid(recording) for recording in own]
        samples = np.concatenate([part[0] for part in parts])
        walk = np.concatenate([trusted_labels(source, part[1]) for part in parts])
        windows = len(samples) // UNet.WINDOW
        if not windows:
            continue
        chosen = np.unique(np.linspace(0, windows - 1, min(windows, VALIDATION_WINDOWS)).round().astype(int))
        index = chosen[:, None] * UNet.WINDOW + np.arange(UNet.WINDOW)
        result[source] = (samples[index], walk[index])
    return result
