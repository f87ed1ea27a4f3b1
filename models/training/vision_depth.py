"""How a pose network learns in few steps: with one residual block of every stage at first, with all of them in the end.

A block whose last scale or layer is zero is an identity. While all but the first of a stage are, passing them by changes nothing and makes a
step five times cheaper; once awake they learn from where the shallow network has come.
"""

from __future__ import annotations

from torch import nn

from models.video.human_pose import Bottleneck
from models.video.inception_resnet import ScaledResidual
from models.video.running_average import FadingBatchNorm2d

SMALL_FADING = 0.9
"""Of running statistics per step in a small run: at the published 0.999 they are of weights long gone."""


def prepared_for_few_steps(network: nn.Module) -> nn.Module:
    """The same network: blocks that can rest begin as identities, and running statistics fade fast."""
    for block in _later_blocks(network):
        last = block.body[-1] if isinstance(block, Bottleneck) else block.up
        assert isinstance(last, nn.BatchNorm2d | nn.Conv2d)
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)
    for part in network.modules():
        if isinstance(part, FadingBatchNorm2d):
            part.fading = SMALL_FADING
    return network


def rest(network: nn.Module, resting: bool) -> None:
    """Passes all blocks but the first of every stage by, or wakes them."""
    for block in _later_blocks(network):
        block.resting = resting


def _later_blocks(network: nn.Module) -> list[Bottleneck | ScaledResidual]:
    rows = [part for part in network.modules() if isinstance(part, nn.Sequential)]
    return [block for row in rows for block in list(row)[1:] if isinstance(block, Bottleneck | ScaledResidual)]
