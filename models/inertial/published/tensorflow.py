"""What TensorFlow 1 does otherwise than PyTorch, where the published networks depend on it.

* SAME padding is unequal where the total is odd: the extra zero goes behind. Kernel 9 at stride 2 on 128 pads 3 before and 4 behind.
* `BasicLSTMCell` has one bias vector, and adds a constant 1.0 to the forget gate while it computes; that constant is no parameter.
* The L2 term is part of the loss and covers every trainable tensor, biases and recurrent kernels included.

Shape letters: B batch, T time, C channel, H hidden units; I and O are inputs and outputs of a layer, 4H the gates in PyTorch's order
(input, forget, candidate, output; TensorFlow's is input, candidate, forget, output).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHT_PENALTY = 0.0015
"""Factor of the L2 term of the published recurrent networks."""

FORGET_BIAS = 1.0


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and behind an axis of `size` under TensorFlow's SAME rule: ceil(size / stride) outputs, the odd zero behind."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x_BCHW: Tensor, kernel: tuple[int, int], stride: tuple[int, int], value: float = 0.0) -> Tensor:
    """Pads the last two axes for a SAME convolution, or with value = -inf for a SAME max-pool."""
    top, bottom = same_padding(x_BCHW.shape[2], kernel[0], stride[0])
    left, right = same_padding(x_BCHW.shape[3], kernel[1], stride[1])
    return F.pad(x_BCHW, (left, right, top, bottom), value=value)


class SameConv2d(nn.Conv2d):
    """Two-dimensional convolution with SAME padding, initialised as the published CNN: truncated normal and constant, both 0.1."""

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__(c_in, c_out, kernel, stride)
        truncated_normal_(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        height, width = self.kernel_size
        down, right = self.stride
        return super().forward(pad_same(x_BCHW, (height, width), (down, right)))


class BasicLSTM(nn.Module):
    """(B, T, I) -> (B, T, H): one layer of TensorFlow's BasicLSTMCell, forward or backward in time, from a zero state.

    Kernels start as Glorot-uniform over the joined (I + H, 4H) kernel and the bias as zero, as TensorFlow's cell does.
    """

    forget_H4: Tensor

    def __init__(self, inputs: int, hidden: int, *, backward: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        self.backward_in_time = backward
        self.weight_input = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hidden = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        # PyTorch's second bias vector carries TensorFlow's constant, and so is no parameter.
        forget_H4 = torch.zeros(4 * hidden)
        forget_H4[hidden : 2 * hidden] = FORGET_BIAS
        self.register_buffer("forget_H4", forget_H4, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the kernels anew."""
        hidden, inputs = self.hidden, self.weight_input.shape[1]
        bound = math.sqrt(6.0 / (inputs + hidden + 4 * hidden))
        nn.init.uniform_(self.weight_input, -bound, bound)
        nn.init.uniform_(self.weight_hidden, -bound, bound)
        nn.init.zeros_(self.bias)

    def forward(self, x_BTI: Tensor) -> Tensor:
        x_BTI = x_BTI.flip(1) if self.backward_in_time else x_BTI
        state_1BH = x_BTI.new_zeros(1, len(x_BTI), self.hidden)
        weights = [self.weight_input, self.weight_hidden, self.bias, self.forget_H4.to(self.bias.dtype)]
        y_BTH, _, _ = torch.lstm(x_BTI, (state_1BH, state_1BH), weights, True, 1, 0.0, self.training, False, True)
        return y_BTH.flip(1) if self.backward_in_time else y_BTH


def lstm_layers(inputs: int, hidden: int, layers: int) -> nn.Sequential:
    """Stacked LSTM layers, (B, T, inputs) -> (B, T, hidden)."""
    return nn.Sequential(*(BasicLSTM(inputs if layer == 0 else hidden, hidden) for layer in range(layers)))


def truncated_normal_(layer: nn.Conv2d | nn.Linear) -> None:
    """Weights from a normal of deviation 0.1 cut at two deviations, biases 0.1: the published CNN's start."""
    nn.init.trunc_normal_(layer.weight, 0.0, 0.1, -0.2, 0.2)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, 0.1)


def standard_normal_(layer: nn.Linear) -> None:
    """Weights from N(0, 1), biases from N(1, 1): the start of the published LSTM networks' dense layers."""
    nn.init.normal_(layer.weight, 0.0, 1.0)
    nn.init.normal_(layer.bias, 1.0, 1.0)


def l2_penalty(parameters: Iterable[nn.Parameter]) -> Tensor:
    """0.0015 times the sum of half the squared norm of every trainable tensor: the published L2 term, a scalar."""
    norms = [parameter.square().sum() for parameter in parameters if parameter.requires_grad]
    return 0.5 * WEIGHT_PENALTY * torch.stack(norms).sum()
