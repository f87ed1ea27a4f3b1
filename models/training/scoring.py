"""Template and probe scores of held-out people, for validation during training and for calibration after it.

A template is the normalised mean of the window embeddings of one enrolment: a recording, or several short ones of a person together. A probe
is the normalised mean of n consecutive windows of a recording outside the enrolment.
Genuine pairs come from different recordings of a person, impostor pairs from the same source and placement (across sets the device gives the
answer away).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.calibration import GENUINE_PROBABILITIES, IMPOSTOR_FMRS, CalibrationError, ScoreCalibration
from models.data.grid import to_grid, trusted_labels
from models.data.recordings import Recording
from models.types import Float32

Embed = Callable[[Float32], Float32]
Scores = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(genuine, impostor)"""

WINDOW, HOP = 128, 64

LEAST_WALKING = 0.9
"""Share of labelled walking in a window that counts: as in live windows, where two blocks of mostly walking meet."""

LEAST_TEMPLATE_WINDOWS = 10
"""13 s of walking make an enrolment."""


LEAST_SCORES = 20
"""Fewer genuine or impostor scores describe no distribution."""


def walking_windows(recording: Recording) -> Float32:
    """(W, 128, 6) windows every 64 samples that are walking by the labels."""
    samples, walk, _ = to_grid(recording)
    walking = np.concatenate([[0], np.cumsum(trusted_labels(recording.source, walk) == 1)])
    starts = np.arange(0, max(0, len(samples) - WINDOW + 1), HOP)
    starts = starts[walking[starts + WINDOW] - walking[starts] >= LEAST_WALKING * WINDOW]
    return samples[starts[:, None] + np.arange(WINDOW)]


def normalised(vector_ND: Float32) -> Float32:
    """Rows of unit length."""
    return vector_ND / np.maximum(np.linalg.norm(vector_ND, axis=-1, keepdims=True), 1e-9)


def probes(vector_WD: Float32, windows: int) -> Float32:
    """(W - windows + 1, D) normalised means of `windows` consecutive rows."""
    if len(vector_WD) < windows:
        return vector_WD[:0]
    return normalised(sliding_window_view(vector_WD, windows, axis=0).mean(-1))


def score_recordings(
    embed: Embed, items: Sequence[tuple[Recording, Float32]], windows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(genuine, impostor) cosines of every probe of `windows` windows against the templates of the other recordings of its source."""
    embedded = [(recording, embed(x_WT6)) for recording, x_WT6 in items]
    return score_embedded(embedded, windows)


def score_embedded(embedded: Sequence[tuple[Recording, Float32]], windows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As score_recordings, of recordings already embedded (W, D)."""
    genuine: list[Float32] = []
    impostor: list[Float32] = []
    templates = [(members, normalised(np.concatenate([vectors for _, vectors in members]).mean(0))) for members in enrolments(embedded)]
    for probe, vectors in embedded:
        probe_PD = probes(vectors, windows)
        for members, centre_D in templates:
            enrolled = members[0][0]
            if (enrolled.source, enrolled.placement) != (probe.source, probe.placement) or any(member is probe for member, _ in members):
                continue
            (genuine if enrolled.subject == probe.subject else impostor).append(probe_PD @ centre_D)
    return _joined(genuine), _joined(impostor)


def enrolments(embedded: Sequence[tuple[Recording, Float32]]) -> list[list[tuple[Recording, Float32]]]:
    """Groups of recordings of one person and placement with at least LEAST_TEMPLATE_WINDOWS windows, longest recordings first."""
    waiting: dict[tuple[str, str, str], list[tuple[Recording, Float32]]] = {}
    groups = []
    for recording, vectors in sorted(embedded, key=lambda pair: -len(pair[1])):
        group = waiting.setdefault((recording.source, recording.subject, recording.placement), [])
        group.append((recording, vectors))
        if sum(len(member) for _, member in group) >= LEAST_TEMPLATE_WINDOWS:
            groups.append(group)
            del waiting[(recording.source, recording.subject, recording.placement)]
    return groups


def calibrate(groups: Sequence[tuple[Embed, Sequence[Recording]]], windows: tuple[int, ...] = (1, 2, 4, 8, 16)) -> ScoreCalibration:
    """Score distributions over groups of (embedding function, people it was not trained on); every source weighs the same.

    Only sources with enough scores of every kept number of windows count: were a set of short walks in the distribution of single windows
    and not in that of sixteen, the two would describe different people. Numbers of windows for which no source has enough are left out.
    Raises CalibrationError if that is all of them.
    """
    embedded = [
        [(recording, embed(x_WT6)) for recording in recordings if len(x_WT6 := walking_windows(recording))] for embed, recordings in groups
    ]
    scores = {
        (source, n): _pooled([[pair for pair in group if pair[0].source == source] for group in embedded], n)
        for source in {recording.source for group in embedded for recording, _ in group}
        for n in windows
    }
    return calibration_of(scores, {(recording.source, recording.subject) for group in embedded for recording, _ in group})


def calibration_of(
    scores: Mapping[tuple[str, int], Scores], everybody: Collection[tuple[str, str]], least_fmr: float = 0.0
) -> ScoreCalibration:
    """Distributions of (genuine, impostor) scores by source and number of windows; everybody: (source, person). As `calibrate`.

    least_fmr: lowest false match rate of the quantile table, where few people make many scores; whoever reads the table extrapolates.
    """
    windows = sorted({n for _, n in scores})
    enough = {key for key, pair in scores.items() if min(map(len, pair)) >= LEAST_SCORES}
    kept = [n for n in windows if any(key[1] == n for key in enough)]
    if not kept:
        most = max((min(map(len, pair)) for pair in scores.values()), default=0)
        raise CalibrationError(f"calibration needs {LEAST_SCORES} genuine and as many impostor scores of one source, the most is {most}")
    sources = sorted({source for source, _ in enough if all((source, n) in enough for n in kept)})
    rows = [tuple(_Weighted([scores[source, n][side] for source in sources]) for side in (0, 1)) for n in kept]
    people = [source for source, _ in everybody if source in sources]
    return ScoreCalibration(
        windows=tuple(kept),
        impostor_mean=tuple(impostor.mean for _, impostor in rows),
        impostor_sd=tuple(impostor.sd for _, impostor in rows),
        impostor_quantiles=tuple(
            tuple((fmr, impostor.quantile(1.0 - fmr)) for fmr in IMPOSTOR_FMRS if fmr >= least_fmr and fmr * len(impostor) >= 10)
            for _, impostor in rows
        ),
        genuine_mean=tuple(genuine.mean for genuine, _ in rows),
        genuine_sd=tuple(genuine.sd for genuine, _ in rows),
        genuine_quantiles=tuple(tuple((p, genuine.quantile(p)) for p in GENUINE_PROBABILITIES) for genuine, _ in rows),
        counts=tuple((len(impostor), len(genuine)) for genuine, impostor in rows),
        people=len(people),
    )


def _pooled(groups: Sequence[Sequence[tuple[Recording, Float32]]], windows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(genuine, impostor) scores of all groups; nobody is compared across groups, whose embeddings come from different networks."""
    pairs = [score_embedded(group, windows) for group in groups]
    return np.concatenate([genuine for genuine, _ in pairs]), np.concatenate([impostor for _, impostor in pairs])


class _Weighted:
    """Scores of several sources, every source with the same total weight."""

    def __init__(self, parts: Sequence[NDArray[np.float64]]) -> None:
        parts = [part for part in parts if len(part)]
        values = np.concatenate(parts) if parts else np.zeros(0)
        weights = np.concatenate([np.full(len(part), 1.0 / len(part)) for part in parts]) if parts else np.zeros(0)
        order = np.argsort(values)
        self.values, self.weights = values[order], weights[order] / max(weights.sum(), 1e-12)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return float(self.weights @ self.values)

    @property
    def sd(self) -> float:
        return float(np.sqrt(self.weights @ (self.values - self.mean) ** 2))

    def quantile(self, probability: float) -> float:
        position = int(np.searchsorted(np.cumsum(self.weights), probability))
        return float(self.values[min(position, len(self.values) - 1)])


def _joined(parts: Sequence[Float32]) -> NDArray[np.float64]:
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
