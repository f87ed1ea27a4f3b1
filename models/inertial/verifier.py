"""Pair networks as the identity worker uses them: is this the gait that the template was kept of?

A template holds what the network must keep of an enrolment window (the (16, 128) feature map of CNN+LSTM, else the raw window), so that a
verification runs the network on the probe only. The score of a probe is the mean log-odds of "same person" over all its windows and all
windows of the template.

Shape letters: B batch, T time (50 Hz), W windows, S and F the shape of one window's map; 6 are the device's axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import torch

from models.calibration import ScoreCalibration
from models.inertial.published import ClassicalPair, PairNetwork
from models.types import Float32, ShapeError

SLICE = 256
"""Pairs per forward pass."""

TEMPLATE_WINDOWS = 4
"""Windows of an enrolment that a template keeps, spread evenly over it: what a verification costs grows with their number."""


class Verdict(StrEnum):
    """What becomes of a claim."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


class PairVerifier:
    """Compares gait windows with a kept template; a pure function of both, without state.

    name, space: registered name; name@hash of weights and preprocessing.  card: the model card.
    window_samples: a window has 128 grid samples.  map_shape: (S, F) of one window's map.  template_bytes: size of an encoded template of
    TEMPLATE_WINDOWS windows (16 kB for feature maps, 6 kB for raw windows).
    """

    def __init__(self, network: PairNetwork | ClassicalPair, name: str, space: str, card: Mapping[str, Any]) -> None:
        self.name, self.space, self.card = name, space, card
        self.window_samples, self.map_shape = network.WINDOW, network.template_shape
        self.template_bytes = TEMPLATE_WINDOWS * 2 * self.map_shape[0] * self.map_shape[1]
        self.network = network.eval()

    @cached_property
    def calibration(self) -> ScoreCalibration:
        """What scores of this network mean. Raises CalibrationError if the model card does not say."""
        return ScoreCalibration.from_card(self.card)

    @torch.inference_mode()
    def maps(self, x_WT6: Float32) -> Float32:
        """(W, window_samples, 6) raw samples -> (W, S, F) float32; ShapeError otherwise."""
        if x_WT6.ndim != 3 or x_WT6.shape[1:] != (self.window_samples, 6):
            raise ShapeError(f"x_WT6 must be (W, {self.window_samples}, 6), got {x_WT6.shape}")
        parts = torch.from_numpy(np.ascontiguousarray(x_WT6, dtype=np.float32)).split(SLICE)
        return np.concatenate([self.network.template(part).numpy() for part in parts])

    def template(self, x_WT6: Float32) -> Float32:
        """(K, S, F) maps of TEMPLATE_WINDOWS windows (or of all, if fewer) spread evenly over an enrolment (W, window_samples, 6)."""
        if not len(x_WT6):
            raise ShapeError("a template needs at least one window, got none")
        return self.maps(x_WT6[np.unique(np.linspace(0, len(x_WT6) - 1, TEMPLATE_WINDOWS).round().astype(int))])

    def encode(self, template_WSF: Float32) -> bytes:
        """A template as bytes: little-endian half floats, window by window. Raises ShapeError for another shape."""
        self._check(template_WSF)
        return template_WSF.astype("<f2").tobytes()

    def decode(self, content: bytes) -> Float32:
        """The template of `encode`. Raises ShapeError if the length is not that of whole windows, or a value is not finite."""
        size = 2 * self.map_shape[0] * self.map_shape[1]
        if not content or len(content) % size:
            raise ShapeError(f"a template of {self.name} is a positive multiple of {size} bytes, got {len(content)}")
        template_WSF = np.frombuffer(content, "<f2").reshape(-1, *self.map_shape).astype(np.float32)
        if not np.isfinite(template_WSF).all():
            raise ShapeError(f"a template of {self.name} holds NaN or infinity")
        return template_WSF

    @torch.inference_mode()
    def pair_scores(self, a_BSF: Float32, b_BSF: Float32) -> Float32:
        """(B,) log-odds of "same person" of B pairs of maps."""
        self._check(a_BSF)
        self._check(b_BSF)
        pairs = zip(torch.from_numpy(a_BSF).split(SLICE), torch.from_numpy(b_BSF).split(SLICE), strict=True)
        logits = torch.cat([self.network.compare(a, b) for a, b in pairs])
        same = self.network.SAME
        return (logits[:, same] - logits[:, 1 - same]).numpy()

    def window_scores(self, template_KSF: Float32, probe_WSF: Float32) -> Float32:
        """(W,) score of every window of the probe: mean log-odds over the windows of the template."""
        self._check(template_KSF)
        self._check(probe_WSF)
        windows, kept = len(probe_WSF), len(template_KSF)
        scores = self.pair_scores(np.tile(template_KSF, (windows, 1, 1)), np.repeat(probe_WSF, kept, axis=0))
        return scores.reshape(windows, kept).mean(axis=1)

    def accept(self, template_KSF: Float32, probe_WSF: Float32) -> float:
        """The score of a claim: mean over the windows of the probe. `verdict` says what it means."""
        return float(self.window_scores(template_KSF, probe_WSF).mean())

    def thresholds(self, windows: int, target_fmr: float) -> tuple[float, float]:
        """(accept at or above, reject below) for a probe of so many windows.

        Accept: the tabulated false match rate that is nearest to the target without exceeding it, or the strictest there is. Reject: where
        19 of 20 genuine probes lie above, and never above the accept threshold. Raises CalibrationError without calibration.
        """
        calibration = self.calibration
        row = calibration.index_of(windows)
        table = calibration.impostor_quantiles[row]
        accept = next((score for rate, score in table if rate <= target_fmr), table[-1][1])
        return accept, min(accept, calibration.genuine_quantiles[row][0][1])

    def verdict(self, score: float, windows: int, target_fmr: float = 0.01) -> Verdict:
        """Accepted, rejected or undecided. Raises CalibrationError without calibration."""
        accept, reject = self.thresholds(windows, target_fmr)
        if score >= accept:
            return Verdict.ACCEPTED
        return Verdict.REJECTED if score < reject else Verdict.UNDECIDED

    def _check(self, maps_WSF: Float32) -> None:
        if maps_WSF.ndim != 3 or maps_WSF.shape[1:] != self.map_shape or not len(maps_WSF):
            raise ShapeError(f"maps of {self.name} must be (W >= 1, {self.map_shape[0]}, {self.map_shape[1]}), got {maps_WSF.shape}")
