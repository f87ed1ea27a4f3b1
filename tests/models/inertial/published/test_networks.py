"""The published networks: parameter counts of the description's tables, shapes, fixed parts that stay fixed."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from models.inertial.published import AUTHENTICATION, EXTRACTION, IDENTIFICATION, PRETRAINED
from models.inertial.published.cnn import CNN, ConvStack
from models.inertial.published.fusion import CNNLSTM, LSTMBranch, RepoCNNLSTM
from models.inertial.published.lstm import LSTM, Inputs, select_inputs
from models.inertial.published.pairs import PairCNNLSTM
from models.inertial.published.unet import UNet


def count(network: nn.Module, *, trainable: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trainable)


def samples(batch: int, length: int = 128, seed: int = 0) -> Tensor:
    """Raw-like samples: gravity on one axis, some motion on all."""
    noise = torch.randn(batch, length, 6, generator=torch.Generator().manual_seed(seed))
    return noise + torch.tensor([0.0, 9.8, 0.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("name", "people", "parameters"),
    [
        ("whugait-cnn", 118, 371_446),
        ("whugait-cnn", 98, 330_466),  # pre-training for authentication
        ("whugait-cnn", 20, 170_644),
        ("whugait-sl-lstm", 118, 41_142),
        ("whugait-sl-lstm-acc", 118, 40_950),
        ("whugait-sl-lstm-gyr", 118, 40_950),
        ("whugait-sl-lstm-mag", 118, 40_886),
        ("whugait-dl-lstm", 118, 74_166),
        ("whugait-dl-lstm-acc", 118, 73_974),
        ("whugait-dl-lstm-gyr", 118, 73_974),
        ("whugait-dl-lstm-mag", 118, 73_910),
        ("whugait-bi-lstm", 118, 81_718),
        ("whugait-bi-lstm-acc", 118, 81_526),
        ("whugait-bi-lstm-gyr", 118, 81_526),
        ("whugait-bi-lstm-mag", 118, 81_462),
        ("whugait-cnn-lstm", 118, 17_284_854),
        ("whugait-cnn-lstm-repo", 118, 559_862),
    ],
)
def test_identification_parameters(name: str, people: int, parameters: int) -> None:
    assert count(IDENTIFICATION[name](people)) == parameters


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (ConvStack(), 129_664),
        (LSTMBranch(), 16_792_576),
        (CNNLSTM(118).head, 362_614),
        (RepoCNNLSTM(118, 2), 493_814),
        (RepoCNNLSTM(118, 4, shared=True), 493_814),  # four layers with the weights of two
        (UNet("paper"), 4_475_649),
        (UNet("notebook"), 4_246_721),
        (PairCNNLSTM("horizontal").sequence, 74_434 - 130),  # 130: the two outputs
        (PairCNNLSTM("horizontal"), 204_098),
        (PairCNNLSTM("vertical"), 212_290),
    ],
)
def test_parts_and_variants_have_the_published_parameters(network: nn.Module, parameters: int) -> None:
    assert count(network) == parameters


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (CNNLSTM(118, "cnn"), 17_155_190),
        (CNNLSTM(118, "lstm"), 492_278),
        (CNNLSTM(118, "cnn", legacy=True), 17_284_854),  # the published script fixes nothing
        (PairCNNLSTM("horizontal", fixed=True), 74_434),
        (PairCNNLSTM("vertical", fixed=True), 82_626),
    ],
)
def test_trainable_parameters_without_the_fixed_part(network: nn.Module, parameters: int) -> None:
    assert count(network, trainable=True) == parameters


def test_unet_layers_have_the_published_parameters() -> None:
    unet = UNet("paper")
    found = [count(layer) for block in (unet.conv1, unet.conv2, unet.conv3) for layer in block]
    assert found == [1_088, 65_600, 131_200, 262_272, 524_544, 1_048_832, 1_048_832]
    assert (count(unet.upconv1), count(unet.upconv2), count(unet.conv5_1)) == (65_664, 16_448, 131_136)
    assert [count(layer) for layer in unet.conv4] == [524_416, 262_272]
    assert (count(unet.conv5_2), count(unet.conv5_3)) == (393_280, 65)
    notebook = UNet("notebook")
    assert (count(notebook.conv5_2), count(notebook.conv5_3)) == (65_600 + 98_560, 257)


@pytest.mark.parametrize("name", IDENTIFICATION)
def test_identification_shapes_at_batch_one(name: str) -> None:
    network = IDENTIFICATION[name](7).eval()
    x = samples(1, network.WINDOW)
    assert network.features(x).shape == (1, network.dim)
    assert network(x).shape == (1, 7)
    assert torch.isfinite(network(x)).all()
    assert network.penalty().shape == ()


@pytest.mark.parametrize("name", AUTHENTICATION)
def test_pair_shapes_at_batch_one_and_templates_suffice(name: str) -> None:
    network = AUTHENTICATION[name]().eval()
    a, b = samples(1, seed=1), samples(1, seed=2)
    kept = network.template(a)
    assert kept.shape == (1, *network.template_shape)
    assert network(a, b).shape == (1, 2)
    assert torch.equal(network.compare(kept, network.template(b)), network(a, b))
    assert not torch.allclose(network(a, b), network(b, a))  # the two samples have an order in all of them
    assert network.penalty().shape == ()


@pytest.mark.parametrize("name", EXTRACTION)
def test_extraction_shape_at_batch_one(name: str) -> None:
    network = EXTRACTION[name]().eval()
    with torch.no_grad():
        x = samples(1, UNet.WINDOW)
        assert network(x).shape == (1, UNet.WINDOW)
        assert torch.allclose(network.probability(x), torch.sigmoid(network(x)))


def test_conv_maps_have_the_published_sizes() -> None:
    stack = ConvStack()
    x = samples(2).transpose(1, 2).unsqueeze(1)
    assert stack.conv1(x).shape == (2, 32, 6, 64)
    assert stack(samples(2)).shape == (2, 16, 128)
    assert ConvStack()(samples(2, 256)).shape == (2, 32, 128)  # the horizontal pair
    cnn = CNN(3)
    assert torch.equal(cnn.features(samples(2)), cnn.stack(samples(2)).reshape(2, 2048))  # time-major


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("six", [3.0, 4.0, 0.0, 0.0, 6.0, 8.0]),
        ("acceleration", [3.0, 4.0, 0.0]),
        ("gyroscope", [0.0, 6.0, 8.0]),
        ("magnitudes", [5.0, 10.0]),
        ("acceleration-magnitude", [5.0]),
    ],
)
def test_inputs_of_the_lstm(inputs: Inputs, expected: list[float]) -> None:
    assert select_inputs(torch.tensor([[[3.0, 4.0, 0.0, 0.0, 6.0, 8.0]]]), inputs)[0, 0].tolist() == expected


def test_backward_half_sees_one_sample_as_published_and_all_as_intended() -> None:
    x = samples(1)
    earlier = x.clone()
    earlier[:, :100] += 1.0
    for legacy, changes in ((True, False), (False, True)):
        torch.manual_seed(0)
        network = LSTM(5, "bidirectional", legacy=legacy)
        torch.nn.init.normal_(network.dense.weight, 0.0, 0.05)  # the published N(0, 1) saturates the gates, which hides what is seen
        backward, changed = network.features(x)[:, 64:], network.features(earlier)[:, 64:]
        assert (not torch.allclose(backward, changed)) is changes


def one_step(network: nn.Module, loss: Tensor) -> None:
    """One Adam step over whatever is trainable."""
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2)
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("fixed", ["cnn", "lstm"])
def test_fixed_part_comes_from_the_trained_network_and_stays(fixed: str) -> None:
    torch.manual_seed(0)
    network = CNNLSTM(3, fixed)  # type: ignore[arg-type]
    source = CNN(9) if fixed == "cnn" else LSTM(9, "double", hidden=1024)
    network.load_fixed(source.state_dict())
    network.train()
    part = network.fixed_part
    assert part is not None and not any(module.training for module in part.modules()) and network.training
    x = samples(2)
    taken = network.features(x)[:, :2048] if fixed == "cnn" else network.features(x)[:, 2048:]
    assert torch.allclose(taken, source.features(x), atol=1e-6)  # other number of people, same features
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one_step(network, network(x).square().mean())
    prefix = f"{fixed}."
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) is name.startswith(prefix), name
    assert all(p.grad is None for p in part.parameters())


def test_legacy_cnnfix_is_neither_pretrained_nor_fixed() -> None:
    torch.manual_seed(0)
    network, source = CNNLSTM(3, "cnn", legacy=True), CNN(9)
    network.load_fixed(source.state_dict())
    assert not torch.allclose(network.cnn.conv1.weight, source.stack.conv1.weight)
    before = network.cnn.conv1.weight.clone()
    one_step(network, network(samples(2)).square().mean())
    assert not torch.equal(network.cnn.conv1.weight, before)


@pytest.mark.parametrize("layout", ["horizontal", "vertical"])
def test_fixed_stack_of_a_pair_network_stays(layout: str) -> None:
    torch.manual_seed(0)
    network, source = PairCNNLSTM(layout, fixed=True), CNN(98)  # type: ignore[arg-type]
    network.load_fixed(source.state_dict())
    network.train()
    assert not network.stack.training and network.sequence.training
    x = samples(2)
    assert torch.equal(network.template(x), source.stack(x))
    before = {name: value.clone() for name, value in network.stack.state_dict().items()}
    one_step(network, network(x, samples(2, seed=5)).square().mean() + network.penalty())
    assert all(torch.equal(value, before[name]) for name, value in network.stack.state_dict().items())


@pytest.mark.parametrize(
    ("network", "state", "error"),
    [
        (CNNLSTM(3), CNN(3).state_dict(), ValueError),  # nothing is fixed
        (PairCNNLSTM("vertical"), CNN(3).state_dict(), ValueError),
        (CNNLSTM(3, "cnn"), LSTM(3).state_dict(), KeyError),  # another network
        (CNNLSTM(3, "lstm"), LSTM(3, "double").state_dict(), RuntimeError),  # 64 hidden units instead of 1024
        (PairCNNLSTM("vertical", fixed=True), {}, KeyError),
    ],
)
def test_wrong_pretrained_part_is_refused(network: CNNLSTM | PairCNNLSTM, state: dict[str, Tensor], error: type[Exception]) -> None:
    with pytest.raises(error):
        network.load_fixed(state)


def test_every_fixed_network_names_its_source() -> None:
    for name, source in PRETRAINED.items():
        network = AUTHENTICATION[name]() if name in AUTHENTICATION else IDENTIFICATION[name](3)
        network.load_fixed(IDENTIFICATION[source](5).state_dict())  # type: ignore[operator]


@pytest.mark.parametrize("name", ["whugait-cnn", "whugait-dl-lstm", "whugait-cnn-lstm-repo"])
def test_networks_learn_two_people(name: str) -> None:
    """A few steps on two people who differ in how their phone lies lower the loss: gradients reach where they should."""
    torch.manual_seed(0)
    network = IDENTIFICATION[name](2).train()
    x = samples(16)
    x[8:] = x[8:].flip(2)
    label = torch.arange(16) // 8
    optimizer = torch.optim.Adam(network.parameters(), network.recipe.learning_rate)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(network(x), label) + network.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in itertools.islice(network.parameters(), 2))
