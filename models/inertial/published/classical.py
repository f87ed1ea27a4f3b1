"""The traditional baselines as modules, so that they are saved, listed and run like the networks beside them.

The mathematics stays in `models.inertial.baselines` (numpy, CPU); these modules carry what was learnt in their state. There is nothing for
a gradient: `fit` takes the place of training.
Shape letters: B batch, N training samples, T time (128 samples at 50 Hz), D features; 6 are the device's axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.inertial.baselines import BASELINES, Layout, PairBaseline
from models.types import Float32


class _Fitted(nn.Module):
    """Saves and loads what the method in `method` learnt."""

    WINDOW = 128

    method: Any

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        for name, values in self.method.learnt().items():
            destination[prefix + name] = torch.from_numpy(np.ascontiguousarray(values))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool, missing: Any, unexpected: Any, errors: list[str]
    ) -> None:
        mine = {name.removeprefix(prefix): value.double().cpu().numpy() for name, value in state_dict.items() if name.startswith(prefix)}
        try:
            self.method.restore(mine)
        except KeyError as error:
            errors.append(f"{type(self).__name__} misses {error}")
        else:
            unexpected.extend(prefix + name for name in mine if name not in self.method.learnt())


class ClassicalEmbedding(_Fitted):
    """EigenGait, wavelet or Fourier features of a sample, (B, 128, 6) -> (B, D), to be compared by cosine or Euclid.

    name: of models.inertial.baselines.BASELINES.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.method = BASELINES[name]()

    @property
    def dim(self) -> int:
        """D. Raises NotFittedError before `fit` or loading."""
        return self.method.features(np.zeros((1, self.WINDOW, 6), np.float32)).shape[1]

    def fit(self, x_NT6: Float32, label_N: NDArray | None = None) -> None:
        """Learns from the training samples. Raises ShapeError."""
        self.method.fit(x_NT6, label_N)

    def features(self, x_BT6: Tensor) -> Tensor:
        """(B, D) float32. Raises ShapeError, NotFittedError."""
        return torch.from_numpy(self.method.features(x_BT6.float().cpu().numpy())).to(x_BT6.device)

    def forward(self, x_BT6: Tensor) -> Tensor:
        return self.features(x_BT6)


class ClassicalPair(_Fitted):
    """Same person or not by a linear machine on features of both samples. A template is the raw window.

    name: of models.inertial.baselines.BASELINES.  layout: how the two samples are joined.
    """

    SAME = 1

    template_shape = (_Fitted.WINDOW, 6)

    def __init__(self, name: str, layout: Layout) -> None:
        super().__init__()
        self.method = PairBaseline(BASELINES[name](), layout)

    def fit(self, a_NT6: Float32, b_NT6: Float32, same_N: NDArray[np.bool_]) -> None:
        """Learns from labelled pairs. Raises ShapeError, ValueError where one kind of pair is missing."""
        self.method.fit(a_NT6, b_NT6, same_N)

    def template(self, x_BT6: Tensor) -> Tensor:
        """The raw window."""
        return x_BT6

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Raw windows (B, 128, 6) -> (B, 2), 0 and the machine's value for "same person". Raises ShapeError, NotFittedError."""
        score_B = torch.from_numpy(self.method.score(a.float().cpu().numpy(), b.float().cpu().numpy())).to(a.device)
        return torch.stack([torch.zeros_like(score_B), score_B], dim=1)

    def forward(self, a_BT6: Tensor, b_BT6: Tensor) -> Tensor:
        return self.compare(self.template(a_BT6), self.template(b_BT6))
