"""A pair network on recordings as the live pipeline cuts them."""

from __future__ import annotations

from collections.abc import Sequence

from models.data.grid import to_grid
from models.data.recordings import Recording
from models.evaluation.labelled import PairScorer, Windows, recognise_pairs
from models.evaluation.report import Evaluation
from models.inertial.cutting import cut, window_samples
from models.inertial.extractor import WalkExtractor
from models.inertial.verifier import TEMPLATE_WINDOWS, PairVerifier


def evaluate_pairs(
    extractor: WalkExtractor, verifier: PairVerifier, enrol: Sequence[Recording], probe: Sequence[Recording], first_index: int = 0
) -> tuple[Evaluation, Evaluation]:
    """(identification, verification) on the gait windows that the extractor finds. Raises ValueError if several data sets are mixed or fewer
    than two people have both an enrolment and a probe."""
    enrolled, probes = (_cut(extractor, verifier, recordings, first_index) for recordings in (enrol, probe))
    scorer = PairScorer(verifier.maps, verifier.pair_scores, TEMPLATE_WINDOWS)
    return recognise_pairs(scorer, enrolled, probes, {"extractor": extractor.space, "verifier": verifier.space})


def _cut(extractor: WalkExtractor, verifier: PairVerifier, recordings: Sequence[Recording], first_index: int) -> Windows:
    result: Windows = []
    for recording in recordings:
        samples, _, _ = to_grid(recording)
        starts_W = cut(samples, first_index, extractor).window_starts_W
        if len(starts_W):
            result.append((recording, starts_W, window_samples(samples, first_index, starts_W, verifier.window_samples)))
    return result
