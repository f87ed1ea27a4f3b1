"""The traditional methods (models.inertial.baselines) in the form of networks, so that registry, training, evaluation and the live pipeline
treat them alike. What they learn is fitted in one go and kept with the weights as tensors; nothing has a gradient.

Shape letters: B batch, N windows, T time (128 at 50 Hz), D features; 6 are the device's axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.baselines import BASELINES, Baseline, Layout, PairBaseline
from models.inertial.published import PairNetwork
from models.inertial.published.recipe import Recipe
from models.types import Float32

FITTED = Recipe("none", 0.0, 0, 1, shuffle=False)
"""There is nothing to iterate."""

EMBEDDINGS: dict[str, str] = {f"whugait-{name}": name for name in BASELINES}

PAIRS: dict[str, tuple[str, Layout]] = {
    "whugait-pair-eigengait": ("eigengait", "difference"),
    **{f"whugait-pair-{name}-{layout}": (name, layout) for name in ("wavelet", "fourier") for layout in ("horizontal", "vertical")},
}
"""Registered names, method and how two samples are joined: the rows of the published comparison."""


class Fitted(nn.Module):
    """A module whose state is what a method learnt, of sizes that only the data tell."""

    def method(self) -> Baseline | PairBaseline:
        """What learns and keeps."""
        raise NotImplementedError

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # never part of another module
        return {name: torch.from_numpy(np.array(values, np.float32)) for name, values in self.method().learnt().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Raises RuntimeError where something is missing."""
        try:
            self.method().restore({name: tensor.double().numpy() for name, tensor in state_dict.items()})
        except KeyError as error:
            raise RuntimeError(f"missing {error.args[0]}") from error
        return None


class BaselineEmbedding(Fitted):
    """(B, 128, 6) raw samples -> (B, D) unit rows and (B,) ones, the quality that these methods do not judge."""

    WINDOW, HOP = 128, 64

    def __init__(self, method: str) -> None:
        super().__init__()
        self.baseline = BASELINES[method]()

    @property
    def DIM(self) -> int:  # as the networks name it
        """D; EigenGait keeps as many components as its training samples ask for."""
        return self.baseline.features(np.zeros((1, self.WINDOW, 6), np.float32)).shape[1]

    def method(self) -> Baseline:
        return self.baseline

    def fit(self, x_NT6: Float32) -> Self:
        """Learns from training windows."""
        self.baseline.fit(x_NT6)
        return self

    def forward(self, x_BT6: Tensor) -> tuple[Tensor, Tensor]:
        features_BD = torch.from_numpy(self.baseline.features(x_BT6.numpy()))
        return F.normalize(features_BD, dim=1), features_BD.new_ones(len(features_BD))


class BaselinePair(Fitted, PairNetwork):
    """Two windows -> (B, 2) logits by a linear machine on pair features. A template is the raw window."""

    def __init__(self, method: str, layout: Layout) -> None:
        PairNetwork.__init__(self, 0, FITTED, (self.WINDOW, 6), penalised=False)
        self.pair = PairBaseline(BASELINES[method](), layout)

    def method(self) -> PairBaseline:
        return self.pair

    def fit_pairs(self, a_NT6: Float32, b_NT6: Float32, same_N: NDArray[np.bool_]) -> Self:
        """Learns from labelled pairs."""
        self.pair.fit(a_NT6, b_NT6, same_N)
        return self

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Raw windows (B, 128, 6) -> (B, 2); the logit of "same" is the distance from the boundary, the other 0."""
        score_B = torch.from_numpy(self.pair.score(a.numpy(), b.numpy()))
        return torch.stack([torch.zeros_like(score_B), score_B], dim=1)
