"""The walking extractor as the workers use it: numpy in, walking probability out, any batch size.

Shape letters: B batch, T time (50 Hz); 6 are the device's axes (models.types.INERTIAL_CHANNELS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from models.inertial.batches import tensor_slices
from models.inertial.networks import WalkTCN, prepare_for_inference
from models.types import Float32, ShapeError

SLICE = 64
"""Items per forward pass: on an EPYC core 16 items cost 135 µs each, 32 112 µs, 64 79 µs, 128 106 µs (the activations leave the cache)."""


class WalkExtractor:
    """Marks level walking, sample by sample, from a fixed-length input; a pure function of each item, without state.

    name, space: registered name; name@hash of weights and preprocessing.  card: the model card.
    context_samples, block_samples, lookahead_samples: an input is context + block + lookahead grid samples and answers for the block.
    Stairs and jogging were shown as "not walking" with a small weight, turns not at all: it means level walking.
    """

    def __init__(self, network: WalkTCN, name: str, space: str, card: Mapping[str, Any]) -> None:
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
