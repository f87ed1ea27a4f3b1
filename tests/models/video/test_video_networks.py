"""Parameter counts of the published tables, shapes, framework differences and losses, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.skeleton import POSE_MAPS
from models.video import IDENTIFICATION, POSE, GaitNet, HumanPoseIR, Recipe
from models.video.gaitnet import caffe_pool
from models.video.gaitnet_losses import build_pairs, contrastive_loss, euclidean_loss, mean_of_clips, random_clip, stage_loss
from models.video.heatmaps import disc_loss, disc_target, gaussian_loss
from models.video.human_pose import JOINTS, MIRRORED, read_joints
from models.video.recipe import cyclic_bounds
from models.video.running_average import FadingBatchNorm2d
from models.video.tensorflow import ResetFirstGRU, SamePlainConv2d, SeparableGaussian, ShiftBatchNorm2d, gaussian_taps, same_average_pool


def count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def test_pose_network_has_the_published_parameters_and_maps() -> None:
    with torch.device("meta"):
        network = HumanPoseIR().eval()
        assert network.features(torch.empty(1, 3, 299, 299)).shape == (1, 32, 17, 17)
        assert network(torch.empty(2, 3, 299, 299)).shape == (2, 16, 289, 289)
    assert [count(p) for p in (network.trunk, network.scoring, network.upsampling)] == [29_453_024, 24_608, 147_984]
    assert count(network) == 29_625_616
    assert sum(b.numel() for name, b in network.trunk.named_buffers() if "running" in name) == 37_888


def test_part_detector_has_stride_16() -> None:
    with torch.device("meta"):
        network = POSE["human-pose-resnet152"]()
        assert network.features(torch.empty(1, 3, 256, 256)).shape == (1, 16, 16, 16)
        assert network(torch.empty(1, 3, 256, 256)).shape == (1, 16, 256, 256)
        with pytest.raises(ValueError, match="256"):
            network(torch.empty(1, 3, 299, 299))


def test_gaitnet_has_the_published_parameters() -> None:
    with torch.device("meta"):
        network = IDENTIFICATION["gaitnet"](74).eval()
        assert network(torch.empty(1, 6, 3, 64, 64)).shape == (1, 74)
    assert count(network.segmentation) == 15_921_409
    assert count(network.recognition) - count(network.recognition.head) == 1_427_616
    assert count(network) == 17_368_043
    with torch.device("meta"):
        assert IDENTIFICATION["gaitnet"](5).eval()(torch.empty(2, 7, 3, 64, 64)).shape == (
            2,
            5,
        )  # another number of frames, as in small clips


@settings(max_examples=10)
@given(frames=st.integers(1, 6), seed=st.integers(0, 99))
def test_gru_resets_before_the_product(frames: int, seed: int) -> None:
    torch.manual_seed(seed)
    layer = ResetFirstGRU(3, 4).double()
    x = torch.randn(1, frames, 3, dtype=torch.float64)
    gates, candidate = layer.gates, layer.candidate
    h = np.zeros(4)
    for t in range(frames):
        joined = np.concatenate([x[0, t].numpy(), h])
        reset, update = np.split(1 / (1 + np.exp(-(gates.weight.detach().numpy() @ joined + gates.bias.detach().numpy()))), 2)
        joined = np.concatenate([x[0, t].numpy(), reset * h])
        new = np.tanh(candidate.weight.detach().numpy() @ joined + candidate.bias.detach().numpy())
        h = update * h + (1 - update) * new
    assert np.allclose(layer(x)[0, -1].detach().numpy(), h, atol=1e-12)


@pytest.mark.parametrize("size", [60, 26, 30, 15])  # every map that GaitNet pools; 15 fits without a rest
def test_caffe_pool_counts_the_last_incomplete_window(size: int) -> None:
    x = torch.randn(1, 1, size, size)
    outputs = int(np.ceil((size - 3) / 2)) + 1
    values = x.numpy()[0, 0]
    expected = np.array([[values[2 * r : 2 * r + 3, 2 * c : 2 * c + 3].max() for c in range(outputs)] for r in range(outputs)])
    assert np.array_equal(caffe_pool()(x).numpy()[0, 0], expected)


def test_caffe_norm_has_no_parameters_and_weighs_its_average() -> None:
    layer, batches = FadingBatchNorm2d(3), [torch.randn(4, 3, 5, 5) * 2 + k for k in range(4)]
    sum_C, weight = np.zeros(3), 0.0
    for x in batches:
        values = x.numpy()
        mean, variance = values.mean(axis=(0, 2, 3), keepdims=True), values.var(axis=(0, 2, 3), keepdims=True)
        assert np.allclose(layer(x).numpy(), (values - mean) / np.sqrt(variance + 1e-5), atol=1e-5)
        sum_C, weight = 0.999 * sum_C + mean.ravel(), 0.999 * weight + 1  # what Caffe stores
    assert count(layer) == 0
    assert layer.running_mean is not None
    assert np.allclose(layer.running_mean.numpy(), sum_C / weight, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "stride"),
    [
        (17, 2),  # first reduction: 9
        (9, 2),  # second: 5
        (8, 2),  # an even map pads behind only
        (5, 1),
        (1, 1),
    ],
)
def test_same_padding_agrees_with_numpy(size: int, stride: int) -> None:
    layer, x = SamePlainConv2d(2, 1, (3, 3), stride), torch.randn(1, 2, size, size)
    outputs = -(-size // stride)
    missing = max((outputs - 1) * stride + 3 - size, 0)  # TensorFlow: the odd one of the zeros stands behind
    padded = np.pad(x.numpy()[0], ((0, 0), *[(missing // 2, missing - missing // 2)] * 2))
    weight = layer.weight.detach().numpy()[0]
    expected = [
        [(padded[:, stride * r : stride * r + 3, stride * c : stride * c + 3] * weight).sum() for c in range(outputs)]
        for r in range(outputs)
    ]
    assert np.allclose(layer(x).detach().numpy()[0, 0], expected, atol=1e-5)


def test_shift_norm_agrees_with_numpy() -> None:
    layer, x = ShiftBatchNorm2d(2, 1e-3), torch.randn(3, 2, 4, 4)
    with torch.no_grad():
        layer.beta_C.copy_(torch.tensor([0.5, -1.0]))
    values = x.numpy()
    mean, variance = values.mean(axis=(0, 2, 3), keepdims=True), values.var(axis=(0, 2, 3), keepdims=True)
    expected = (values - mean) / np.sqrt(variance + 1e-3) + np.array([0.5, -1.0])[None, :, None, None]
    assert np.allclose(layer(x).detach().numpy(), expected, atol=1e-5)
    assert count(layer) == 2


def test_same_average_does_not_count_the_border() -> None:
    x = torch.randn(1, 1, 6, 7)
    values = x.numpy()[0, 0]
    expected = np.array([[values[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].mean() for c in range(7)] for r in range(6)])
    assert np.allclose(same_average_pool(x, 5).numpy()[0, 0], expected, atol=1e-6)


def test_smoothing_is_separable_with_its_gain() -> None:
    x = torch.zeros(1, 2, 41, 41)
    x[0, 1, 20, 20] = 1.0
    taps = gaussian_taps(21, 1.0, 0.2).numpy()
    smooth = SeparableGaussian(21, 1.0, 0.2)(x).numpy()
    assert np.allclose(smooth[0, 1, 10:31, 10:31], np.outer(taps, taps), atol=1e-7)
    assert smooth[0, 1].sum() == pytest.approx(0.2, rel=1e-5)
    assert not smooth[0, 0].any()


def test_joints_are_read_where_the_maps_peak() -> None:
    logits = torch.full((1, 16, 289, 289), -10.0)
    logits[0, 3, 100:103, 200:203] = 5.0
    joints = read_joints(logits, SeparableGaussian(15, 0.7), 299)
    assert torch.allclose(joints.place_BJ2[0, 3], torch.tensor([201.0, 101.0]) * 299 / 289)
    assert joints.probability_BJ[0, 3].item() == pytest.approx(1 / (1 + np.exp(-5)), rel=1e-4)


def test_mirrored_joints_exchange_sides() -> None:
    for j, name in enumerate(JOINTS):
        other = name.replace("right", "LEFT").replace("left", "right").replace("LEFT", "left")
        assert JOINTS[MIRRORED[j]] == other


def test_heat_map_losses_count_visible_joints_only() -> None:
    place, visible = torch.tensor([[[5.0, 7.0], [2.0, 2.0]]]), torch.tensor([[1.0, 0.0]])
    disc = disc_target(place, 16, 5)
    assert disc[0, 0].sum() == sum((x - 5) ** 2 + (y - 7) ** 2 <= 6.25 for x in range(16) for y in range(16))
    assert disc_loss(torch.zeros(1, 2, 16, 16), place, visible, 5).item() == pytest.approx(256 * np.log(2), rel=1e-5)
    expected = sum((0.5 - np.exp(-((x - 5) ** 2 + (y - 7) ** 2) / 8)) ** 2 for x in range(16) for y in range(16))
    assert gaussian_loss(torch.zeros(1, 2, 16, 16), place, visible, 2.0).item() == pytest.approx(expected, rel=1e-5)
    assert disc_loss(torch.zeros(1, 2, 16, 16), place, torch.zeros(1, 2), 5).item() == 0


def test_caffe_losses_carry_a_half() -> None:
    a, b = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.zeros(2, 2)
    assert euclidean_loss(a, b).item() == pytest.approx(25 / 4)
    assert contrastive_loss(a, b, torch.tensor([True, False])).item() == pytest.approx((25 + 100) / 4, rel=1e-4)
    assert contrastive_loss(a, b, torch.tensor([False, True])).item() == pytest.approx((25 + 0) / 4, abs=1e-4)


def test_pairs_begin_with_forced_positives() -> None:
    person = np.repeat(np.arange(10), 4)
    pairs = build_pairs(person, 64, np.random.default_rng(0))
    assert pairs.same_N[:20].all()
    assert pairs.same_N[20:].mean() < 0.5
    assert np.array_equal(pairs.same_N, person[pairs.first_N] == person[pairs.second_N])


def test_clips_lie_within_the_sequence() -> None:
    rng = np.random.default_rng(0)
    starts = {random_clip(11, rng).start for _ in range(100)}
    assert starts == set(range(6))
    with pytest.raises(ValueError, match="more than 10"):
        random_clip(10, rng)


def test_stages_train_what_they_should_and_the_loss_falls() -> None:
    torch.manual_seed(0)
    network = GaitNet(2)
    network.eval()  # no dropout: a few steps on one batch must go down
    x, mask = torch.rand(2, 6, 3, 64, 64) * 255, torch.zeros(2, 6, 1, 64, 64)
    mask[0, :, :, 10:50, 20:40] = 1.0
    mask[1, :, :, 20:60, 30:36] = 1.0
    person = torch.tensor([0, 1])
    for stage in network.stages:
        network.zero_grad()
        loss = stage_loss(network, stage, x, mask, person)
        loss.backward()
        trained = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert trained == {"seg": {"segmentation"}, "rec": {"recognition"}}.get(stage, {"segmentation", "recognition"})
    optimizer = torch.optim.SGD(network.groups("seg"), momentum=0.9)
    history = []
    for _ in range(6):
        loss = stage_loss(network, "seg", x, mask, person)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < history[0]
    assert mean_of_clips(network, torch.rand(12, 3, 64, 64) * 255, np.random.default_rng(0), clips=2).shape == (256,)


def test_recipes() -> None:
    step = GaitNet.stages["rec"]
    assert [step.rate(k) for k in (0, 19_999, 20_000, 40_000)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4])
    assert POSE_MAPS["gaitnn-gru-1"].func.recipe.rate(4) == pytest.approx(1e-3 * 0.96**2)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="either"):
        Recipe("adam", 1e-3, 8)


@pytest.mark.parametrize(
    ("epoch", "bounds"),
    [
        (99, (1e-4, 1.5e-4)),  # first phase
        (100, (1e-5, 1.5e-4)),  # second: a lower floor
        (150, (1e-5, 1.5e-4)),  # third: the first cycle still at full height
        (170, (1e-5, 1e-5 + 0.7e-4)),  # then half
    ],
)
def test_cyclic_phases(epoch: int, bounds: tuple[float, float]) -> None:
    assert cyclic_bounds(1e-4, 1.5e-4, epoch, 10) == pytest.approx(bounds)
