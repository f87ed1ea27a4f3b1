"""Blocks that rest at first: which, that passing them by changes nothing, that they learn once awake, and what published runs keep."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.training.vision import built
from models.training.vision_depth import SMALL_FADING, rest
from models.video.human_pose import Bottleneck
from models.video.inception_resnet import ScaledResidual
from models.video.running_average import FadingBatchNorm2d


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def blocks_of(network: nn.Module) -> list[Bottleneck | ScaledResidual]:
    return [part for part in network.modules() if isinstance(part, Bottleneck | ScaledResidual)]


@pytest.mark.parametrize(
    ("name", "side_px", "blocks", "resting"),
    [
        ("human-pose-resnet152", 32, 50, 46),  # four stages
        ("human-pose-ir", 75, 30, 28),  # ten blocks of 35 x 35, twenty of 17 x 17
    ],
)
def test_a_fresh_small_network_is_the_same_with_its_later_blocks_passed_by(name: str, side_px: int, blocks: int, resting: int) -> None:
    network = built(name, 0, True).eval()
    network.picture_px = side_px  # type: ignore[assignment]
    x_B3HW = torch.rand(1, 3, side_px, side_px) * 255
    with torch.no_grad():
        whole_BJHW = network(x_B3HW)
        rest(network, True)
        assert (len(blocks_of(network)), sum(block.resting for block in blocks_of(network))) == (blocks, resting)
        assert torch.equal(network(x_B3HW), whole_BJHW)
    rest(network, False)
    assert not any(block.resting for block in blocks_of(network))
    network.train()(torch.cat([x_B3HW, 255 - x_B3HW])).square().mean().backward()
    assert all(part.grad is not None for part in network.parameters())


@pytest.mark.parametrize("name", ["human-pose-resnet152", "human-pose-ir"])
def test_published_runs_begin_as_they_did(name: str) -> None:
    network = built(name, 0, False)
    for block in blocks_of(network):
        last = block.body[-1] if isinstance(block, Bottleneck) else block.up
        assert last.weight.any()
        assert not block.resting


@pytest.mark.parametrize(
    ("small", "fading"),
    [
        (True, SMALL_FADING),  # a few hundred steps
        (False, 0.999),  # as published
    ],
)
def test_running_statistics_follow_a_small_run(small: bool, fading: float) -> None:
    parts = [part for part in built("human-pose-ir", 0, small).modules() if isinstance(part, FadingBatchNorm2d)]
    assert {part.fading for part in parts} == {fading}
