"""The gait embedder as the workers use it: numpy windows in, unit vectors and qualities out, any batch size.

Shape letters: B batch, T time (50 Hz), D embedding; 6 are the device's axes (models.types.INERTIAL_CHANNELS).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.calibration import ScoreCalibration
from models.inertial.batches import tensor_slices
from models.inertial.networks import GaitTCN, prepare_for_inference
from models.inertial.published import ClassicalEmbedding, IdentificationNetwork
from models.types import Float32, ShapeError

logger = logging.getLogger(__name__)

SLICE = 256
"""Items per forward pass: on an EPYC core 64 items cost 93 µs each, 128 72 µs, 256 66 µs; activations of 256 still fit the second-level
cache layer by layer."""


class PenultimateEmbedding(nn.Module):
    """An identification network as an embedding: what stands before its last layer, centred, at unit length.

    centre_D: mean features of the training people, kept with the weights. Features behind a rectifier all point the same way; without the
    centre every cosine is near 1.
    """

    HOP = 64
    """Windows of 2.56 s every 1.28 s, as for every other embedding."""

    centre_D: Tensor

    def __init__(self, network: IdentificationNetwork) -> None:
        super().__init__()
        self.network = network
        self.WINDOW, self.DIM = network.WINDOW, network.dim
        self.register_buffer("centre_D", torch.zeros(network.dim))

    def forward(self, x_BT6: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D) unit rows, and (B,) ones: these networks do not judge the quality of a window."""
        features_BD = self.network.features(x_BT6) - self.centre_D
        return F.normalize(features_BD, dim=1), features_BD.new_ones(len(features_BD))

    @torch.no_grad()
    def fit_centre(self, x_NT6: Tensor) -> None:
        """Takes the centre from training windows (N, T, 6)."""
        self.centre_D.copy_(torch.cat([self.network.features(part) for part in x_NT6.split(SLICE)]).mean(0))


class UnitClassical(ClassicalEmbedding):
    """A traditional method as an embedding: its features at unit length, and ones as quality."""

    HOP = PenultimateEmbedding.HOP

    @property
    def DIM(self) -> int:
        """D; EigenGait keeps as many components as its training samples ask for. Raises NotFittedError before `fit` or loading."""
        return self.dim

    def forward(self, x_BT6: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # as the embeddings beside it
        features_BD = self.features(x_BT6)
        return F.normalize(features_BD, dim=1), features_BD.new_ones(len(features_BD))


def matched_dim(network: GaitTCN | PenultimateEmbedding | UnitClassical) -> int:
    """How many of the first directions of its embedding are compared: what training calibrates, and writes into the model card."""
    return network.MATCHED_DIM if isinstance(network, GaitTCN) else network.DIM


class GaitEmbedder:
    """Turns gait windows into points of one embedding space; a pure function of each window, without state.

    name, space: registered name; name@hash of weights and preprocessing.  card: the model card; research weights say their licence in the
    log when they are loaded.  Raises ValueError for a card that does not fit the network.
    window_samples, hop_samples: a window of 128 grid samples every 64.  dim: D.  matched_dim: how many of the first directions are compared
    (models.matching.vectors.leading), unless a site's transform says otherwise.
    """

    def __init__(self, network: GaitTCN | PenultimateEmbedding | UnitClassical, name: str, space: str, card: Mapping[str, Any]) -> None:
        self.name, self.space, self.card = name, space, card
        if card.get("weights_set") == "research":
            logger.warning("%s: %s", name, card["licence"])
        self.window_samples, self.hop_samples = network.WINDOW, network.HOP
        self.dim: int = network.DIM
        self.matched_dim: int = card.get("matched_dim", self.dim)
        if not 0 < self.matched_dim <= self.dim:
            raise ValueError(f"{name}: the model card compares {self.matched_dim} of {self.dim} directions")
        self.network = prepare_for_inference(network)

    @cached_property
    def calibration(self) -> ScoreCalibration:
        """What cosines of this space mean. Raises CalibrationError if the model card does not say."""
        return ScoreCalibration.from_card(self.card)

    @torch.inference_mode()
    def embed(self, x_BT6: Float32) -> tuple[Float32, Float32]:
        """(B, window_samples, 6) raw samples -> (B, dim) float32 unit rows, (B,) float32 quality in [0, 1]; ShapeError otherwise."""
        if x_BT6.ndim != 3 or x_BT6.shape[1:] != (self.window_samples, 6):
            raise ShapeError(f"x_BT6 must be (B, {self.window_samples}, 6), got {x_BT6.shape}")
        vector_BD = np.empty((len(x_BT6), self.dim), np.float32)
        quality_B = np.empty(len(x_BT6), np.float32)
        for part, x in tensor_slices(x_BT6, SLICE):
            vector, quality = self.network(x)
            vector_BD[part], quality_B[part] = vector.numpy(), quality.numpy()
        return vector_BD, quality_B
