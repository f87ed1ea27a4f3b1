"""The published LSTM networks for identification: single-layer, bidirectional, two-layer, each on four kinds of input.

Shape letters: B batch, T time, C input channels, H hidden units, D features; 6 are the device's axes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.published import recipe
from models.inertial.published.network import IdentificationNetwork
from models.inertial.published.tensorflow import BasicLSTM, lstm_layers, standard_normal_

Structure = Literal["single", "double", "bidirectional"]

Inputs = Literal["six", "acceleration", "gyroscope", "magnitudes", "acceleration-magnitude"]
"""The published "magnitude" files are not described: two magnitudes are assumed; "acceleration-magnitude" is the other reading."""

CHANNELS: dict[Inputs, int] = {"six": 6, "acceleration": 3, "gyroscope": 3, "magnitudes": 2, "acceleration-magnitude": 1}


def select_inputs(x_BT6: Tensor, inputs: Inputs) -> Tensor:
    """(B, T, 6) -> (B, T, C), the channels of that kind of input."""
    if inputs == "six":
        return x_BT6
    if inputs == "acceleration":
        return x_BT6[..., :3]
    if inputs == "gyroscope":
        return x_BT6[..., 3:]
    magnitudes_BT2 = torch.stack([x_BT6[..., :3].norm(dim=-1), x_BT6[..., 3:].norm(dim=-1)], dim=-1)
    return magnitudes_BT2 if inputs == "magnitudes" else magnitudes_BT2[..., :1]


class LSTM(IdentificationNetwork):
    """Dense layer per time step with ReLU, LSTM, dense layer on the last time step.

    hidden: 64 in the twelve published scripts, 1024 in the network that the fusions take over.  legacy: the bidirectional network reads
    both halves at the last time index, as published, where the backward half has seen one sample only; False reads the backward half at
    the first index, where it has seen them all.
    """

    def __init__(
        self, people: int, structure: Structure = "single", inputs: Inputs = "six", *, hidden: int = 64, legacy: bool = True
    ) -> None:
        super().__init__(people, hidden * (2 if structure == "bidirectional" else 1), recipe.LSTM, penalised=True)
        self.inputs, self.legacy = inputs, legacy
        self.dense = nn.Linear(CHANNELS[inputs], hidden)
        self.lstm = lstm_layers(hidden, hidden, 2 if structure == "double" else 1)
        self.backward_lstm = BasicLSTM(hidden, hidden, backward=True) if structure == "bidirectional" else None
        standard_normal_(self.dense)
        standard_normal_(self.head)

    def features(self, x_BT6: Tensor) -> Tensor:
        """(B, D), D = hidden, or twice that where bidirectional."""
        h_BTH = F.relu(self.dense(select_inputs(x_BT6, self.inputs)))
        last_BH = self.lstm(h_BTH)[:, -1]
        if self.backward_lstm is None:
            return last_BH
        return torch.cat([last_BH, self.backward_lstm(h_BTH)[:, -1 if self.legacy else 0]], dim=1)
