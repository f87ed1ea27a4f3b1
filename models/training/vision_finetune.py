"""Fine-tuning of a pre-trained skeleton network on few labelled walks: how few, and how fast each layer learns.

Source: the training scripts of Cosma, Radoi, Sensors 22(18), 2022: AdamW, weight decay 0.01 (0 for biases), head 3.6e-3, last layer 3.5e-4, 0.9
times as much for every layer below, 0.9995 per step, 150 epochs, contrastive loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from models.skeleton.gaitformer import GaitFormer
from models.skeleton.st_gcn import STGCN
from models.training.engine import Optimisation
from models.training.options import TrainOptions
from models.training.vision_data import AnyWalk

EPOCHS = 150
RUNS = (1, 2, 3, 5, 7, 10)
"""Walks per person and view that the published comparison trains on."""

HEAD_RATE, LAST_RATE, LAYER_FACTOR, STEP_FACTOR, WEIGHT_DECAY = 3.6e-3, 3.5e-4, 0.9, 0.9995, 0.01


def by_runs(walks: Sequence[AnyWalk], runs: int) -> list[AnyWalk]:
    """The first `runs` walks of every person in every view. Raises ValueError for less than one."""
    if runs < 1:
        raise ValueError(f"fine-tuning needs at least one walk per person and view, not {runs}")
    taken: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    kept = []
    for walk in walks:
        key = (walk.source, walk.subject, walk.view)
        taken[key] += 1
        if taken[key] <= runs:
            kept.append(walk)
    return kept


def by_fraction(walks: Sequence[AnyWalk], fraction: float, seed: int = 0) -> list[AnyWalk]:
    """That share of all walks, drawn once, in their order. Raises ValueError unless 0 < fraction <= 1."""
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"a fraction lies above 0 and up to 1, not {fraction}")
    count = max(1, round(fraction * len(walks)))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(walks))[:count])
    return [walks[k] for k in chosen]


def layers_of(network: GaitFormer | STGCN) -> list[list[nn.Parameter]]:
    """Trainable parameters from the input to the last layer, and the heads at the end."""
    if isinstance(network, GaitFormer):
        blocks: list[nn.Module] = list(network.encoder.layers)
        first = [*network.token.parameters(), network.position_1TD]
        heads: list[nn.Module] = [network.embedding, network.projection, network.attributes]
    else:
        blocks, first = list(network.blocks), [*network.input_norm.parameters(), *network.importance]
        heads = [network.projection, network.attributes]
    return [first, *(list(block.parameters()) for block in blocks), [p for head in heads for p in head.parameters()]]


def groups_of(network: GaitFormer | STGCN) -> list[dict[str, Any]]:
    """Groups for AdamW, each layer's weights and its vectors (biases and norms, not decayed) apart."""
    layers = layers_of(network)
    groups = []
    for depth, parameters in enumerate(layers):
        below = len(layers) - 2 - depth
        rate = HEAD_RATE if below < 0 else LAST_RATE * LAYER_FACTOR**below
        for vectors in (False, True):
            chosen = [parameter for parameter in parameters if (parameter.ndim == 1) == vectors]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": 0.0 if vectors else WEIGHT_DECAY})
    return groups


@dataclass(frozen=True, kw_only=True)
class FineTuning(Optimisation):
    """The published fine-tuning in the engine's terms."""

    def factor(self, number: int, options: TrainOptions) -> float:
        """0.9995 per step."""
        return STEP_FACTOR**number

    def build(self, module: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        """AdamW over `groups_of`; their rates are published, `learning_rate` is not read."""
        assert isinstance(module, GaitFormer | STGCN)
        return torch.optim.AdamW(groups_of(module))


FINE_TUNING = FineTuning(average=None, clip=1.5)
