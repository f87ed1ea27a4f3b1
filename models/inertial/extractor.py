"""The walking extractor as the workers use it: numpy in, walking probability out, any batch size.

Shape letters: B batch, T time (50 Hz); 6 are the device's axes (models.types.INERTIAL_CHANNELS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.inertial.batches import tensor_slices
from models.inertial.networks import WalkTCN, prepare_for_inference
from models.inertial.published import UNet
from models.types import Float32, ShapeError

SLICE = 256
"""Items per forward pass: on a busy EPYC core 64 items cost 58 µs each, 128 51 µs, 256 46 µs."""


class StreamingUNet(nn.Module):
    """The published U-Net for live use: (B, context + block + lookahead, 6) raw samples -> (B, block) logits of the block.

    No output sees further than 168 samples back and 197 ahead (kernels of 16 that reach 7 back and 8 ahead, on three levels), so the
    network run on this shorter input says of the block what it says when run on the published 1024 samples around it. The price of the
    U-Net is 4 s of look-ahead, and 7 times as many samples computed as answered.
    """

    CONTEXT, LOOKAHEAD = 192, 200
    """Grid samples at 50 Hz: 3.84 s of past, 4 s of look-ahead. The input begins at a multiple of 4 samples before the
    block, so that the pools of 2 fall on the same samples wherever the input begins."""

    def __init__(self, network: UNet, block: int = WalkTCN.BLOCK) -> None:
        """block: samples answered per input, a multiple of 4; 632 make an input of the published 1024 samples, for whole recordings."""
        super().__init__()
        self.network, self.BLOCK = network, block

    def forward(self, x_BT6: Tensor) -> Tensor:
        return self.network(x_BT6)[:, self.CONTEXT : self.CONTEXT + self.BLOCK]


class WalkExtractor:
    """Marks level walking, sample by sample, from a fixed-length input; a pure function of each item, without state.

    name, space: registered name; name@hash of weights and preprocessing.  card: the model card.
    context_samples, block_samples, lookahead_samples: an input is context + block + lookahead grid samples and answers for the block.
    Stairs and jogging were shown as "not walking" with a small weight, turns not at all: it means level walking.
    """

    def __init__(self, network: WalkTCN | StreamingUNet, name: str, space: str, card: Mapping[str, Any]) -> None:
        self.name, self.space, self.card = name, space, card
        self.context_samples, self.block_samples, self.lookahead_samples = network.CONTEXT, network.BLOCK, network.LOOKAHEAD
        self.network = prepare_for_inference(network)

    @property
    def input_samples(self) -> int:
        """Length of one input."""
        return self.context_samples + self.block_samples + self.lookahead_samples

    @torch.inference_mode()
    def predict(self, x_BT6: Float32) -> Float32:
        """(B, input_samples, 6) raw samples -> (B, block_samples) float32 walking probability. Raises ShapeError for another shape."""
        if x_BT6.ndim != 3 or x_BT6.shape[1:] != (self.input_samples, 6):
            raise ShapeError(f"x_BT6 must be (B, {self.input_samples}, 6), got {x_BT6.shape}")
        out_BT = np.empty((len(x_BT6), self.block_samples), np.float32)
        for part, x in tensor_slices(x_BT6, SLICE):
            out_BT[part] = torch.sigmoid(self.network(x)).numpy()
        return out_BT
