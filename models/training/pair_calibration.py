"""What scores of a pair network mean: templates and probes of held-out people, as the live pipeline makes them.

A template keeps the windows that `PairVerifier.template` keeps of one recording; a probe is the mean score of n consecutive windows of
another. Impostor pairs are of one source and placement. The table is that of embeddings, with log-odds in the place of cosines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.calibration import GENUINE_PROBABILITIES, IMPOSTOR_FMRS, CalibrationError, ScoreCalibration
from models.data.recordings import Recording
from models.inertial.verifier import PairVerifier
from models.training.scoring import LEAST_SCORES, walking_windows

WINDOWS = (1, 2, 4, 8)

PROBE_WINDOWS = 32
"""Consecutive ones of each recording: a pair network compares every probe with every template anew."""

LEAST_EXCEEDING = 10
"""Impostor scores beyond a tabulated threshold; fewer do not support it."""


def calibrate_pairs(verifier: PairVerifier, recordings: Sequence[Recording]) -> ScoreCalibration:
    """Score distributions over people the network was not trained on. Raises CalibrationError if they give too few scores."""
    items = [(recording, windows) for recording in recordings if len(windows := walking_windows(recording))]
    kept = [(recording, verifier.template(windows), verifier.maps(windows[:PROBE_WINDOWS])) for recording, windows in items]
    genuine: list[NDArray[np.float32]] = []
    impostor: list[NDArray[np.float32]] = []
    for probe, _, maps in kept:
        for enrolled, template, _ in kept:
            if enrolled is probe or (enrolled.source, enrolled.placement) != (probe.source, probe.placement):
                continue
            (genuine if enrolled.subject == probe.subject else impostor).append(verifier.window_scores(template, maps))
    rows = []
    for count in WINDOWS:
        own, other = _means(genuine, count), _means(impostor, count)
        if min(len(own), len(other)) >= LEAST_SCORES:
            rows.append((count, own, other))
    if not rows:
        raise CalibrationError(f"calibration needs {LEAST_SCORES} genuine and as many impostor scores of one number of windows")
    return ScoreCalibration(
        windows=tuple(count for count, _, _ in rows),
        impostor_mean=tuple(float(other.mean()) for _, _, other in rows),
        impostor_sd=tuple(float(other.std() + 1e-9) for _, _, other in rows),
        impostor_quantiles=tuple(impostor_quantiles(other) for _, _, other in rows),
        genuine_mean=tuple(float(own.mean()) for _, own, _ in rows),
        genuine_sd=tuple(float(own.std() + 1e-9) for _, own, _ in rows),
        genuine_quantiles=tuple(tuple((p, float(np.quantile(own, p))) for p in GENUINE_PROBABILITIES) for _, own, _ in rows),
        counts=tuple((len(other), len(own)) for _, own, other in rows),
        people=len({(recording.source, recording.subject) for recording, _, _ in kept}),
    )


def impostor_quantiles(scores: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Rows (false match rate, score) as far as the scores support them; at least one row."""
    supported = [rate for rate in IMPOSTOR_FMRS if rate * len(scores) >= LEAST_EXCEEDING] or [IMPOSTOR_FMRS[0]]
    return tuple((rate, float(np.quantile(scores, 1.0 - rate))) for rate in supported)


def _means(parts: Sequence[NDArray[np.float32]], windows: int) -> NDArray[np.float64]:
    """Means of `windows` consecutive scores of every part."""
    means = [np.convolve(part, np.full(windows, 1.0 / windows), "valid") for part in parts if len(part) >= windows]
    return np.concatenate(means).astype(np.float64) if means else np.zeros(0)
