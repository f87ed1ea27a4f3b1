"""The published authentication networks: are two samples of one person?

Two samples are joined horizontally (one behind the other in time) or vertically (side by side as features). CNN+LSTM runs the same
convolution stack on both samples and an LSTM over the joined maps; CNNfix+LSTM takes the stack from an identification CNN and leaves it.
The CNN and LSTM baselines have no published code: theirs are reconstructions with the same layers on the joined raw samples.
Shape letters: B batch, T time, C features per time step, S steps after the stack; 6 are the device's axes.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.published import recipe
from models.inertial.published.cnn import ConvStack
from models.inertial.published.network import PairNetwork, freeze, load_part
from models.inertial.published.tensorflow import lstm_layers, standard_normal_, truncated_normal_

Layout = Literal["horizontal", "vertical"]

HIDDEN = 64

STEPS = PairNetwork.WINDOW // ConvStack.REDUCTION


def join(a_BTC: Tensor, b_BTC: Tensor, layout: Layout) -> Tensor:
    """(B, 2T, C) where horizontal, (B, T, 2C) where vertical."""
    return torch.cat([a_BTC, b_BTC], dim=1 if layout == "horizontal" else 2)


class SequenceHead(nn.Module):
    """(B, T, C) -> (B, 64): dense layer per time step with ReLU, two LSTM layers, last time step."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, HIDDEN)
        self.lstm = lstm_layers(HIDDEN, HIDDEN, 2)
        standard_normal_(self.dense)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return self.lstm(F.relu(self.dense(x_BTC)))[:, -1]


class PairCNN(PairNetwork):
    """The identification CNN's layers on the joined raw samples, 6 x 256 or 12 x 128. A template is the raw window."""

    def __init__(self, layout: Layout) -> None:
        across = 1 if layout == "horizontal" else 2
        dim = STEPS * ConvStack.CHANNELS * (2 if layout == "horizontal" else 1)
        super().__init__(dim, recipe.PAIR, (self.WINDOW, 6), penalised=False)
        self.layout: Layout = layout
        self.stack = ConvStack(rows=6 * across)
        truncated_normal_(self.head)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Raw windows (B, 128, 6) -> (B, 2)."""
        return self.head(self.stack(join(a, b, self.layout)).flatten(1))


class PairLSTM(PairNetwork):
    """Dense layer and two LSTM layers on the joined raw samples, 256 steps x 6 or 128 x 12. A template is the raw window."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(HIDDEN, recipe.PAIR, (self.WINDOW, 6), penalised=True)
        self.layout: Layout = layout
        self.sequence = SequenceHead(6 if layout == "horizontal" else 12)
        standard_normal_(self.head)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Raw windows (B, 128, 6) -> (B, 2)."""
        return self.head(self.sequence(join(a, b, self.layout)))


class PairCNNLSTM(PairNetwork):
    """One convolution stack for both samples, an LSTM over the joined maps. A template is the (16, 128) feature map.

    fixed: the stack comes from an identification CNN (`load_fixed`) and is left as it is.
    """

    def __init__(self, layout: Layout, *, fixed: bool = False) -> None:
        settings = recipe.PAIR_CNN_FIXED if fixed else recipe.PAIR
        super().__init__(HIDDEN, settings, (STEPS, ConvStack.CHANNELS), penalised=True)
        self.layout: Layout = layout
        self.fixed = fixed
        self.stack = ConvStack()
        self.sequence = SequenceHead(ConvStack.CHANNELS * (1 if layout == "horizontal" else 2))
        standard_normal_(self.head)
        if fixed:
            freeze(self.stack)

    def load_fixed(self, state: dict[str, Tensor]) -> None:
        """Takes the stack from the state of a trained identification `CNN`, for any number of people.

        Raises ValueError where the stack is not fixed, KeyError or RuntimeError where the state is that of another network.
        """
        if not self.fixed:
            raise ValueError("this pair network trains its own convolutions; build it with fixed=True")
        load_part(self.stack, state, "stack.")

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but a fixed stack."""
        super().train(mode)
        if self.fixed:
            self.stack.eval()
        return self

    def template(self, x_BT6: Tensor) -> Tensor:
        """(B, 128, 6) raw samples -> (B, 16, 128) feature map."""
        return self.stack(x_BT6)

    def compare(self, a: Tensor, b: Tensor) -> Tensor:
        """Feature maps (B, 16, 128) -> (B, 2)."""
        return self.head(self.sequence(join(a, b, self.layout)))
