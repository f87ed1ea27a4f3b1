"""What the published TensorFlow networks for pictures do otherwise than PyTorch. SAME padding and the LSTM are those of
`models.inertial.published.tensorflow`; here are the batch normalisation without a scale, SAME average pooling and the GRU.

Shape letters: B batch, T time, C channel, H height, W width; I and U are inputs and units of a recurrent layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.published.tensorflow import pad_same, same_padding
from models.video.running_average import FadingBatchNorm2d


class ShiftBatchNorm2d(FadingBatchNorm2d):
    """Batch normalisation with a learnt shift but no scale, the default of TF-slim, decay of the running statistics 0.999.

    TF-slim starts from zero mean and unit variance; here the first steps weigh more, or a short run could not be evaluated at all.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(channels, eps)
        self.beta_C = nn.Parameter(torch.zeros(channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return super().forward(x_BCHW) + self.beta_C[:, None, None]


class SamePlainConv2d(nn.Conv2d):
    """Convolution with SAME padding and He initialisation; the odd zero stands behind."""

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int], stride: int = 1, *, bias: bool = True) -> None:
        super().__init__(c_in, c_out, kernel, stride, bias=bias)
        nn.init.kaiming_normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        height, width = self.kernel_size
        down, right = self.stride
        return super().forward(pad_same(x_BCHW, (height, width), (down, right)))


def same_average_pool(x_BCHW: Tensor, kernel: int) -> Tensor:
    """Average over kernel x kernel at stride 1; zeros beyond the border do not count, as in TensorFlow. `kernel` is odd."""
    before, _ = same_padding(x_BCHW.shape[2], kernel, 1)
    return F.avg_pool2d(x_BCHW, kernel, stride=1, padding=before, count_include_pad=False)


class ResetFirstGRU(nn.Module):
    """(B, T, I) -> (B, T, U): TensorFlow's GRUCell over time, from a zero state.

    The reset gate multiplies the state before the recurrent product (PyTorch: after it). One bias vector; the gates' starts at 1.
    Source: Cho et al., EMNLP 2014, equations of the hidden unit.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.gates = nn.Linear(inputs + units, 2 * units)
        self.candidate = nn.Linear(inputs + units, units)
        for layer, bias in ((self.gates, 1.0), (self.candidate, 0.0)):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.constant_(layer.bias, bias)

    def forward(self, x_BTI: Tensor) -> Tensor:
        inputs = x_BTI.shape[2]
        # the products with the inputs need no recurrence: one product for all times
        gate_BT2U = F.linear(x_BTI, self.gates.weight[:, :inputs], self.gates.bias)
        candidate_BTU = F.linear(x_BTI, self.candidate.weight[:, :inputs], self.candidate.bias)
        gate_weight, candidate_weight = self.gates.weight[:, inputs:], self.candidate.weight[:, inputs:]
        h_BU = x_BTI.new_zeros(len(x_BTI), self.units)
        outputs = []
        for t in range(x_BTI.shape[1]):
            reset_BU, update_BU = torch.sigmoid(gate_BT2U[:, t] + F.linear(h_BU, gate_weight)).chunk(2, dim=1)
            new_BU = torch.tanh(candidate_BTU[:, t] + F.linear(reset_BU * h_BU, candidate_weight))
            h_BU = update_BU * h_BU + (1 - update_BU) * new_BU
            outputs.append(h_BU)
        return torch.stack(outputs, dim=1)


def gaussian_taps(taps: int, deviation: float, gain: float = 1.0) -> Tensor:
    """(taps,) Gaussian sampled over [-2, 2], summing to sqrt(gain): two passes, down and across, have the gain together."""
    place = torch.linspace(-2.0, 2.0, taps)
    weight = torch.exp(-0.5 * (place / deviation) ** 2)
    return weight / weight.sum() * math.sqrt(gain)


class SeparableGaussian(nn.Module):
    """Fixed smoothing of every channel, SAME: (B, C, H, W) -> (B, C, H, W). It has no parameter."""

    taps_K: Tensor

    def __init__(self, taps: int, deviation: float, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("taps_K", gaussian_taps(taps, deviation, gain), persistent=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        channels, taps = x_BCHW.shape[1], len(self.taps_K)
        down = self.taps_K.view(1, 1, taps, 1).expand(channels, 1, taps, 1).to(x_BCHW.dtype)
        x_BCHW = F.conv2d(x_BCHW, down, padding=(taps // 2, 0), groups=channels)
        return F.conv2d(x_BCHW, down.transpose(2, 3), padding=(0, taps // 2), groups=channels)
