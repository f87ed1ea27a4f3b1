"""How a published camera network was trained, as a value that a training run can follow, and a small recipe for two cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

Schedule = Literal["constant", "step", "staircase", "cyclic", "cosine"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Training settings.

    learning_rate: the start, and the lower bound of a cyclic schedule.  batch: samples per step.  epochs, iterations: the length of
    the run in the unit that was published; the other is None.  schedule: "step" and "staircase" multiply by `decay` every
    `decay_every` (in the unit of the length); "cyclic" rises to `peak` in `decay_every` epochs and falls back in as many, as in the
    phases of `cyclic_bounds`; "cosine" warms up and falls to nothing over the whole run, however long that is, and is left to whoever knows
    (`models.training.vision_optimisation`).  clip: limit of the gradient's norm.  published: False where a needed value is not published and is ours.
    """

    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"]
    learning_rate: float
    batch: int
    epochs: int | None = None
    iterations: int | None = None
    schedule: Schedule = "constant"
    decay: float = 1.0
    decay_every: int = 1
    peak: float = 0.0
    momentum: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float | None = None
    published: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError unless exactly one of epochs and iterations is given."""
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError(f"a recipe has either epochs or iterations, not epochs={self.epochs} and iterations={self.iterations}")

    def rate(self, step: int) -> float:
        """Learning rate in epoch (or iteration, where the length is in iterations) `step`, from 0."""
        if self.schedule in ("step", "staircase"):
            return self.learning_rate * self.decay ** (step // self.decay_every)
        if self.schedule == "cyclic":
            low, high = cyclic_bounds(self.learning_rate, self.peak, step, self.decay_every)
            within = step % (2 * self.decay_every)
            share = 1.0 - abs(within / self.decay_every - 1.0)
            return low + (high - low) * share
        return self.learning_rate

    def build(self, network: nn.Module, groups: Sequence[dict[str, Any]] | None = None) -> torch.optim.Optimizer:
        """The optimizer over the network's trainable parameters, or over groups of them with rates of their own."""
        chosen: list[Any] = list(groups) if groups else [parameter for parameter in network.parameters() if parameter.requires_grad]
        if self.optimizer == "sgd":
            return torch.optim.SGD(chosen, self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        if self.optimizer == "rmsprop":
            return torch.optim.RMSprop(chosen, self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        return kind(chosen, self.learning_rate, betas=self.betas, weight_decay=self.weight_decay)


def cyclic_bounds(low: float, peak: float, epoch: int, rise: int) -> tuple[float, float]:
    """The published three phases: epochs 0-99 between low and peak, 100-149 between low / 10 and peak, from 150 on between low / 10 and
    an amplitude that halves with every cycle of 2 * rise epochs."""
    if epoch < 100:
        return low, peak
    if epoch < 150:
        return low / 10, peak
    cycles = (epoch - 150) // (2 * rise)
    return low / 10, low / 10 + (peak - low / 10) * 0.5**cycles
