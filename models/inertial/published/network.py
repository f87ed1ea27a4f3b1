"""What every published network for identification, and every one for pairs, offers to training, evaluation and the live adapters.

Shape letters: B batch, T time (128 samples at 50 Hz), D features, P people; 6 are the device's axes. Raw samples go in, unnormalised:
acceleration in m/s² with gravity, angular rate in rad/s.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from models.inertial.published.recipe import Recipe
from models.inertial.published.tensorflow import l2_penalty


class IdentificationNetwork(nn.Module, ABC):
    """(B, 128, 6) raw samples -> (B, P) logits over known people; what stands before the last layer serves as an embedding.

    dim: D, length of the features.  recipe: the published training settings.  penalised: whether the loss has the L2 term.
    """

    WINDOW = 128

    head: nn.Linear

    def __init__(self, people: int, dim: int, recipe: Recipe, *, penalised: bool = False) -> None:
        super().__init__()
        self.people, self.dim, self.recipe, self.penalised = people, dim, recipe, penalised
        self.head = nn.Linear(dim, people)

    @abstractmethod
    def features(self, x_BT6: Tensor) -> Tensor:
        """(B, D) features before the last layer."""

    def forward(self, x_BT6: Tensor) -> Tensor:
        return self.head(self.features(x_BT6))

    def penalty(self) -> Tensor:
        """The L2 term of the published loss, 0 where there is none."""
        return l2_penalty(self.parameters()) if self.penalised else torch.zeros((), device=self.head.weight.device)


class PairNetwork(nn.Module, ABC):
    """Two windows of (B, 128, 6) -> (B, 2) logits; index 1 means the same person.

    A gallery template keeps the `template` of one sample; `compare` needs nothing else. template_shape: the shape of one template.
    """

    WINDOW = 128

    SAME = 1
    """Index of "same person" in the logits."""

    head: nn.Linear

    def __init__(self, dim: int, recipe: Recipe, template_shape: tuple[int, int], *, penalised: bool) -> None:
        super().__init__()
        self.recipe, self.template_shape, self.penalised = recipe, template_shape, penalised
        self.head = nn.Linear(dim, 2)

    def template(self, x_BT6: Tensor) -> Tensor:
        """(B, *template_shape): what must be kept of one sample; here the raw window."""
        return x_BT6

    @abstractmethod
    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Two batches of templates -> (B, 2) logits."""

    def forward(self, a_BT6: Tensor, b_BT6: Tensor) -> Tensor:
        return self.compare(self.template(a_BT6), self.template(b_BT6))

    def penalty(self) -> Tensor:
        """The L2 term of the published loss, 0 where there is none."""
        return l2_penalty(self.parameters()) if self.penalised else torch.zeros((), device=self.head.weight.device)


def freeze(part: nn.Module) -> None:
    """Takes the part out of training: no gradients, evaluation mode. The owner keeps it in evaluation mode in its own `train`."""
    part.requires_grad_(False)
    part.eval()


def load_part(part: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
    """Loads the tensors of `state` under `prefix` into the part. Raises KeyError where the state has none of them,
    RuntimeError where they do not fit."""
    chosen = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not chosen:
        raise KeyError(f"no tensor under {prefix!r} in the pretrained network, which has {', '.join(sorted(state)) or 'nothing'}")
    part.load_state_dict(chosen)
