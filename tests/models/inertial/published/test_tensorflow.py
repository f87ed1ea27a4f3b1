"""TensorFlow's rules, against plain numpy that follows its documentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.inertial.published.losses import clipped_binary_cross_entropy, softmax_cross_entropy
from models.inertial.published.tensorflow import BasicLSTM, SameConv2d, l2_penalty, lstm_layers, same_padding

Float64 = NDArray[np.float64]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (128, 9, 2, (3, 4)),  # the published conv1: the odd zero behind
        (32, 3, 1, (1, 1)),  # conv2 and conv3
        (3, 2, 1, (0, 1)),  # the repository's second pool across the axes
        (64, 2, 2, (0, 0)),  # a pool that fits
        (127, 9, 2, (4, 4)),  # an odd length pads evenly
    ],
)
def test_same_padding(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == padding


@settings(max_examples=25)
@given(width=st.integers(2, 20), kernel=st.integers(1, 9), stride=st.integers(1, 3), seed=st.integers(0, 99))
def test_same_convolution_agrees_with_numpy(width: int, kernel: int, stride: int, seed: int) -> None:
    """TensorFlow: output k sits on input k * stride - pad_before, with ceil(width / stride) outputs."""
    torch.manual_seed(seed)
    layer = SameConv2d(2, 3, (1, kernel), (1, stride)).double()
    x = torch.randn(1, 2, 1, width, dtype=torch.float64)
    outputs = int(np.ceil(width / stride))
    before = max((outputs - 1) * stride + kernel - width, 0) // 2
    weights, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = np.zeros((3, outputs))
    for k in range(outputs):
        for tap in range(kernel):
            place = k * stride - before + tap
            if 0 <= place < width:
                expected[:, k] += weights[:, :, 0, tap] @ x[0, :, 0, place].numpy()
        expected[:, k] += bias
    assert np.allclose(layer(x).detach().numpy()[0, :, 0], expected, atol=1e-12)


def sigmoid(x: Float64) -> Float64:
    return 1.0 / (1.0 + np.exp(-x))


def tensorflow_lstm(x_TI: Float64, kernel: Float64, bias: Float64, hidden: int) -> Float64:
    """BasicLSTMCell over time: one kernel for (input, state), gates in order input, candidate, forget, output, forget bias 1."""
    h, c, outputs = np.zeros(hidden), np.zeros(hidden), []
    for x in x_TI:
        i, j, f, o = np.split(np.concatenate([x, h]) @ kernel + bias, 4)
        c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        outputs.append(h)
    return np.stack(outputs)


@pytest.mark.parametrize("backward", [False, True])
def test_lstm_is_tensorflows_cell(backward: bool) -> None:
    torch.manual_seed(1)
    cell = BasicLSTM(3, 5, backward=backward).double()
    torch.nn.init.normal_(cell.bias)
    rows = torch.cat([cell.weight_input, cell.weight_hidden], dim=1).detach().numpy()
    order = [0, 2, 1, 3]  # ours is input, forget, candidate, output
    kernel = np.concatenate([np.split(rows, 4)[gate] for gate in order]).T
    bias = np.concatenate([np.split(cell.bias.detach().numpy(), 4)[gate] for gate in order])
    x = torch.randn(1, 7, 3, dtype=torch.float64)
    forward = x[0].numpy()[::-1] if backward else x[0].numpy()
    expected = tensorflow_lstm(forward, kernel, bias, 5)
    assert np.allclose(cell(x)[0].detach().numpy(), expected[::-1] if backward else expected, atol=1e-12)


def test_lstm_has_one_bias_and_saves_no_constant() -> None:
    layers = lstm_layers(6, 64, 2)
    assert sum(p.numel() for p in layers.parameters()) == 4 * 64 * (6 + 64 + 1) + 4 * 64 * (64 + 64 + 1)
    assert sorted(layers.state_dict()) == sorted(name for name, _ in layers.named_parameters())


def test_penalty_covers_every_trainable_tensor() -> None:
    layer = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(layer.weight, 2.0)
    torch.nn.init.constant_(layer.bias, 3.0)
    frozen = torch.nn.Linear(2, 2).requires_grad_(False)
    assert l2_penalty([*layer.parameters(), *frozen.parameters()]).item() == pytest.approx(0.0015 * 0.5 * (4 + 4 + 9))


def test_losses_agree_with_their_formulas() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -40.0]])
    label = torch.tensor([0, 2])
    probability = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    expected = -np.mean(np.log(probability[[0, 1], [0, 2]] + 1e-10))
    assert softmax_cross_entropy(logits, label).item() == pytest.approx(expected, rel=1e-5)

    logits, walking = torch.tensor([[0.3, -2.0, -60.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    p = sigmoid(np.array([0.3, -2.0, -60.0]))
    expected = -np.mean([np.log(p[0]), np.log(1 - p[1]), np.log(1e-10)])
    assert clipped_binary_cross_entropy(logits, walking).item() == pytest.approx(expected, rel=1e-5)
