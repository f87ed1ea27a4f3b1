"""The recipes of the published camera networks in the terms of the shared engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from models.training.engine import Optimisation
from models.training.options import TrainOptions
from models.video.recipe import Recipe

TOLERANCE = 0.03
"""A later epoch is kept if its score is less than this below the best one: a few held-out people say no more, and an early epoch's luck must
not undo a run."""


@dataclass(frozen=True, kw_only=True)
class RecipeOptimisation(Optimisation):
    """Follows a recipe: its optimizer, schedule and clipping; no running mean of the weights.

    groups: parameter groups with rates of their own, where not all parameters learn alike.
    """

    recipe: Recipe
    groups: Callable[[nn.Module], list[dict[str, Any]]] | None = None

    def factor(self, number: int, options: TrainOptions) -> float:
        """Relative rate; a schedule in epochs counts passes of `options.steps` steps."""
        if self.recipe.schedule == "cosine":
            return super().factor(number, options)
        step = number if self.recipe.iterations is not None else number // options.steps
        return self.recipe.rate(step) / self.recipe.rate(0)

    def build(self, module: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        """The recipe's optimizer; its rate is the recipe's, `learning_rate` is not read."""
        return self.recipe.build(module, None if self.groups is None else self.groups(module))


def optimisation_of(
    recipe: Recipe, groups: Callable[[nn.Module], list[dict[str, Any]]] | None = None, *, accumulate: int = 1
) -> Optimisation:
    """The engine's settings for a recipe; `accumulate` batches make a step where the published batch does not fit into memory."""
    return RecipeOptimisation(average=None, clip=recipe.clip, tolerance=TOLERANCE, accumulate=accumulate, recipe=recipe, groups=groups)
