"""Claims checked by a pair network: the last windows of a walk against what the claimed person's templates keep for it.

Shape letters: W windows, K kept windows, S and F the shape of one window's map.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from models.inertial.verifier import TEMPLATE_WINDOWS, PairVerifier
from models.types import ShapeError
from streams import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.types import Float32
    from streams.messages import GaitSample, Template
    from streams.messages.events import Verification

PROBE_WINDOWS = TEMPLATE_WINDOWS
"""Windows of a walk that are compared: what a verification costs grows with their number."""

Maps = deque["Float32"]


def no_maps() -> Maps:
    """The maps of a walk that has only begun."""
    return deque(maxlen=PROBE_WINDOWS)


class PairClaims:
    """Templates of a pair network by person, and verdicts on claims.

    target_fmr: share of false claims that may be accepted.  min_windows: fewer windows decide nothing.
    """

    def __init__(self, verifier: PairVerifier, target_fmr: float, min_windows: int) -> None:
        self.verifier, self.target_fmr, self.min_windows = verifier, target_fmr, min_windows
        self._templates: dict[str, dict[str, tuple[Float32, int | None]]] = {}
        verifier.thresholds(min_windows, target_fmr)  # without a calibration nobody could be told anything: say so at the start

    def put(self, template: Template) -> None:
        """Remember what a template keeps for this network; one that keeps nothing for it is no template here.

        Raises ShapeError for maps of another shape.
        """
        if template.pair_space != self.verifier.space or template.pair_maps is None:
            self.remove(template.subject, template.template_id)
            return
        maps_KSF = np.asarray(template.pair_maps, np.float32)
        if maps_KSF.shape[1:] != self.verifier.map_shape:
            raise ShapeError(f"pair maps of {self.verifier.name} must be (K, *{self.verifier.map_shape}), got {maps_KSF.shape}")
        self._templates.setdefault(template.subject, {})[template.template_id] = maps_KSF, template.expires_ns

    def remove(self, subject: str, template_id: str) -> None:
        """Forget a template."""
        own = self._templates.get(subject, {})
        own.pop(template_id, None)
        if not own:
            self._templates.pop(subject, None)

    def maps_of(self, samples: Sequence[GaitSample]) -> dict[int, Float32]:
        """What the network compares of the windows that claim somebody, by position in the batch; one batch over all devices."""
        claims = [b for b, sample in enumerate(samples) if sample.claimed_subject is not None]
        if not claims:
            return {}
        maps_BSF = self.verifier.maps(np.stack([np.asarray(samples[b].samples, np.float32) for b in claims]))
        return dict(zip(claims, maps_BSF.copy(), strict=True))

    def verify(self, subject: str, probe: Sequence[Float32], windows: int, now_ns: int) -> tuple[Verification, float]:
        """Verdict and score of the best template that has not expired.  probe: maps (S, F) of the last windows of `windows` in all."""
        valid = [maps for maps, expires_ns in self._templates.get(subject, {}).values() if expires_ns is None or expires_ns > now_ns]
        outcome: Verification = "not_enrolled"
        score = 0.0
        if valid:
            probe_WSF = np.stack(probe)
            score = max(self.verifier.accept(template_KSF, probe_WSF) for template_KSF in valid)
            enough = windows >= self.min_windows
            outcome = self.verifier.verdict(score, len(probe), self.target_fmr).value if enough else "undecided"
        metrics.VERIFICATIONS.labels(outcome).inc()
        return outcome, score
