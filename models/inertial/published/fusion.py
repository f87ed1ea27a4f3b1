"""The published CNN+LSTM networks: both see the same sample, their features are joined before the last layer.

The paper's figure and the published code disagree: `CNNLSTM` is the figure, and with a part fixed it is CNNfix+LSTM or CNN+LSTMfix;
`RepoCNNLSTM` is the small network of the published script. How the paper's network was initialised is not published for its dense 6 -> 1024
layer; truncated normal is taken, because N(0, 1) at 1024 units saturates every gate.
Shape letters: B batch, T time, C channel, H hidden units, D features; 6 are the device's axes.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.published import recipe
from models.inertial.published.cnn import CNN, ConvStack
from models.inertial.published.network import IdentificationNetwork, freeze, load_part
from models.inertial.published.tensorflow import (
    BasicLSTM,
    SameConv2d,
    lstm_layers,
    pad_same,
    standard_normal_,
    truncated_normal_,
)

Fixed = Literal["none", "cnn", "lstm"]

RECIPES: dict[Fixed, recipe.Recipe] = {"none": recipe.LSTM_FIXED, "cnn": recipe.CNN_FIXED, "lstm": recipe.LSTM_FIXED}


class LSTMBranch(nn.Module):
    """(B, T, 6) -> (B, 1024): dense layer with ReLU, two LSTM layers, last time step. Its names are those of `lstm.LSTM`."""

    HIDDEN, LAYERS = 1024, 2

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(6, self.HIDDEN)
        self.lstm = lstm_layers(self.HIDDEN, self.HIDDEN, self.LAYERS)
        truncated_normal_(self.dense)

    def forward(self, x_BT6: Tensor) -> Tensor:
        return self.lstm(F.relu(self.dense(x_BT6)))[:, -1]


class CNNLSTM(IdentificationNetwork):
    """2048 features of the CNN beside 1024 of the LSTM, one dense layer.

    fixed: the part that `load_fixed` fills from a trained network, and that training leaves as it is.
    legacy: with fixed="cnn", as the published script behaves: its initialiser runs after the restore and its optimiser sees every weight,
    so the CNN is neither pretrained nor fixed.
    """

    def __init__(self, people: int, fixed: Fixed = "none", *, legacy: bool = False) -> None:
        super().__init__(people, CNN.DIM + LSTMBranch.HIDDEN, RECIPES[fixed])
        self.fixed, self.legacy = fixed, legacy
        self.cnn = ConvStack()
        self.lstm = LSTMBranch()
        truncated_normal_(self.head)
        part = self.fixed_part
        if part is not None:
            freeze(part)

    @property
    def fixed_part(self) -> nn.Module | None:
        """The part that training leaves as it is, None where everything is trained."""
        if self.fixed == "none" or (self.fixed == "cnn" and self.legacy):
            return None
        return self.cnn if self.fixed == "cnn" else self.lstm

    def load_fixed(self, state: dict[str, Tensor]) -> None:
        """Takes the fixed part from the state of a trained `CNN`, or of a trained two-layer `LSTM` with 1024 hidden units.

        Raises ValueError where no part is fixed, KeyError or RuntimeError where the state is that of another network.
        """
        if self.fixed == "none":
            raise ValueError("this CNN+LSTM has no fixed part; build it with fixed='cnn' or fixed='lstm'")
        if self.fixed == "cnn":
            load_part(self.cnn, state, "stack.")
            if self.legacy:
                self.cnn.reset_parameters()
        else:
            load_part(self.lstm.dense, state, "dense.")
            load_part(self.lstm.lstm, state, "lstm.")

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the fixed part."""
        super().train(mode)
        part = self.fixed_part
        if part is not None:
            part.eval()
        return self

    def features(self, x_BT6: Tensor) -> Tensor:
        """(B, 3072)."""
        return torch.cat([self.cnn(x_BT6).flatten(1), self.lstm(x_BT6)], dim=1)


class RepoCNNLSTM(IdentificationNetwork):
    """The published script's own small network: two 3 x 3 convolutions over (time, axis) with ELU beside LSTM layers of 64.

    layers: the script lists two cells twice over. TensorFlow versions differ in what that means: 4 layers (the default), 2 layers,
    or with shared=True four layers of which the third and fourth use the weights of the first and second.
    """

    HIDDEN = 64

    def __init__(self, people: int, layers: Literal[2, 4] = 4, *, shared: bool = False) -> None:
        super().__init__(people, 2 * self.HIDDEN, recipe.FUSION_REPO)
        self.conv1 = SameConv2d(1, 32, (3, 3))
        self.conv2 = SameConv2d(32, 64, (3, 3))
        self.cnn_dense = nn.Linear(32 * 3 * 64, self.HIDDEN)
        self.dense = nn.Linear(6, self.HIDDEN)
        self.passes = 2 if shared else 1
        self.lstm = nn.Sequential(*(BasicLSTM(self.HIDDEN, self.HIDDEN) for _ in range(layers // self.passes)))
        truncated_normal_(self.cnn_dense)
        standard_normal_(self.dense)
        truncated_normal_(self.head)

    def features(self, x_BT6: Tensor) -> Tensor:
        """(B, 128)."""
        h_BC64x3 = F.max_pool2d(F.elu(self.conv1(x_BT6.unsqueeze(1))), (2, 2))
        h_BC64x3 = pad_same(F.elu(self.conv2(h_BC64x3)), (2, 2), (2, 1), value=float("-inf"))
        h_BC32x3 = F.max_pool2d(h_BC64x3, (2, 2), (2, 1))
        cnn_BH = F.elu(self.cnn_dense(h_BC32x3.permute(0, 2, 3, 1).flatten(1)))
        h_BTH = F.relu(self.dense(x_BT6))
        for _ in range(self.passes):
            h_BTH = self.lstm(h_BTH)
        return torch.cat([cnn_BH, h_BTH[:, -1]], dim=1)
