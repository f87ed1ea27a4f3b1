"""Recognition on windows that are walking by the labels: every network gets the same windows, whatever an extractor would have found.

The figures are those of the live path (models.evaluation.identification and verification); only the cutting differs. Pair networks, which
have no vectors, are scored by comparing every probe window with every person's template.

Shape letters: W windows, G enrolled people, K windows of a template, T time (50 Hz); 6 are the device's axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import Recording
from models.evaluation.embedded import EmbeddedRecording, check_same_source, unit_rows
from models.evaluation.identification import PROBE_WINDOWS, ProbeScores, add_probes, identification_of_scores, identify_embedded
from models.evaluation.report import Evaluation
from models.evaluation.verification import Pairs, add_scores, verification_of_scores, verify_embedded
from models.types import Float32

WINDOW, HOP = 128, 64

LEAST_WALKING = 0.9
"""Share of labelled walking in a window."""

PAIR_PROBES = 8
"""Consecutive windows of a recording that probe a pair network: it runs anew for every pair."""

Windows = list[tuple[Recording, NDArray[np.int64], Float32]]
"""Recordings with the starts (W,) and samples (W, 128, 6) of their windows."""


def labelled_windows(recordings: Sequence[Recording], most: int | None = None) -> Windows:
    """At most so many consecutive windows of each recording, out of its middle; recordings without any are left out."""
    result: Windows = []
    for recording in recordings:
        samples, walk, _ = to_grid(recording)
        walking = np.concatenate([[0], np.cumsum(trusted_labels(recording.source, walk) == 1)])
        starts = np.arange(0, max(0, len(samples) - WINDOW + 1), HOP)
        starts = starts[walking[starts + WINDOW] - walking[starts] >= LEAST_WALKING * WINDOW]
        if most is not None and len(starts) > most:
            first = (len(starts) - most) // 2
            starts = starts[first : first + most]
        if len(starts):
            result.append((recording, starts, samples[starts[:, None] + np.arange(WINDOW)]))
    return result


Embed = Callable[[Float32], Float32]


def embed_windows(embed: Embed, windows: Windows) -> list[EmbeddedRecording]:
    """The recordings embedded window by window; rows are brought to unit length."""
    if not windows:
        return []
    vectors = unit_rows(embed(np.concatenate([x_WT6 for _, _, x_WT6 in windows])))
    parts = np.split(vectors, np.cumsum([len(starts) for _, starts, _ in windows])[:-1])
    return [EmbeddedRecording(r, starts, part, np.ones(len(part), np.float32)) for (r, starts, _), part in zip(windows, parts, strict=True)]


def recognise(embed: Embed, enrol: Windows, probe: Windows, networks: dict[str, str], seed: int = 0) -> tuple[Evaluation, Evaluation]:
    """(identification, verification) by an embedding. Raises ValueError if sets are mixed or too few people are left."""
    check_same_source([recording for recording, _, _ in [*enrol, *probe]])
    enrolled, probes = embed_windows(embed, enrol), embed_windows(embed, probe)
    return identify_embedded(enrolled, probes, networks, seed), verify_embedded(enrolled, probes, networks, seed)


class PairScorer:
    """What `recognise_pairs` needs of a comparison: maps of windows, a template of some of them, scores of pairs of maps."""

    def __init__(
        self, maps: Callable[[Float32], Float32], pair_scores: Callable[[Float32, Float32], Float32], template_windows: int
    ) -> None:
        self.maps, self.pair_scores, self.template_windows = maps, pair_scores, template_windows


def recognise_pairs(
    scorer: PairScorer, enrol: Windows, probe: Windows, networks: dict[str, str], seed: int = 0
) -> tuple[Evaluation, Evaluation]:
    """(identification, verification) by comparing pairs: a template keeps a few windows spread over a person's enrolment.

    Probes are at most PAIR_PROBES consecutive windows of each recording. Raises ValueError if sets are mixed or too few people are left.
    """
    check_same_source([recording for recording, _, _ in [*enrol, *probe]])
    people = sorted({recording.subject for recording, _, _ in enrol})
    templates = []
    for person in people:
        own = np.concatenate([x_WT6 for recording, _, x_WT6 in enrol if recording.subject == person])
        kept = np.unique(np.linspace(0, len(own) - 1, scorer.template_windows).round().astype(int))
        templates.append(scorer.maps(own[kept]))
    identified: ProbeScores = {}
    verified: dict[str, Pairs] = {}
    for recording, _, x_WT6 in probe:
        first = max(0, (len(x_WT6) - PAIR_PROBES) // 2)
        maps = scorer.maps(x_WT6[first : first + PAIR_PROBES])
        rows = [_scores(scorer, template, maps) for template in templates]
        score_WG = np.stack([row_WK.mean(axis=1) for row_WK in rows], axis=1)
        for windows in PROBE_WINDOWS:
            means_PG = _running_mean(score_WG, windows)
            add_probes(identified, recording.subject, windows, means_PG)
            for column, person in enumerate(people):
                if windows is not None:
                    add_scores(verified, str(windows), recording.subject, person, means_PG[:, column])
        for row_WK, person in zip(rows, people, strict=True):
            add_scores(verified, "pair", recording.subject, person, row_WK.ravel())
    return identification_of_scores(identified, people, networks, seed), verification_of_scores(verified, people, networks, seed)


def _scores(scorer: PairScorer, template_K: Float32, probe_W: Float32) -> NDArray[np.float64]:
    """(W, K) scores of every window of the probe with every window of the template."""
    windows, kept = len(probe_W), len(template_K)
    repeated = np.tile(template_K, (windows,) + (1,) * (template_K.ndim - 1))
    return scorer.pair_scores(repeated, np.repeat(probe_W, kept, axis=0)).reshape(windows, kept).astype(np.float64)


def _running_mean(score_WG: NDArray[np.float64], windows: int | None) -> NDArray[np.float64]:
    """(P, G) means of so many consecutive rows, of all for None; no row where there are fewer."""
    size = len(score_WG) if windows is None else windows
    if len(score_WG) < size:
        return score_WG[:0]
    return sliding_window_view(score_WG, size, axis=0).mean(-1)
