"""How well an extractor finds level walking, sample by sample, as the live workers decide it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import ACTIVITIES, Recording
from models.evaluation.report import Evaluation, over_people
from models.evaluation.scores import BinaryScores, binary_scores
from models.inertial.cutting import WALKING_THRESHOLD, cut
from models.inertial.extractor import WalkExtractor
from models.types import Float32

NO_SCORES = BinaryScores(0, 0, 0, 0)


def evaluate_extraction(
    extractor: WalkExtractor, recordings: Sequence[Recording], first_index: int = 0, seed: int = 0, *, mirror_ends: bool = False
) -> Evaluation:
    """F1, precision, recall and accuracy of samples labelled walking or no gait; other gait and unlabelled samples are left out.

    mirror_ends: continues every recording by its mirror image, so that all its samples are decided; otherwise, as live, those whose
    context or look-ahead is not in the recording are not, which for recordings of 10 s leaves networks of different reach different samples.
    first_index: grid index of every recording's first sample.  tables["walking_share"]: share of samples called walking, per activity;
    tables["f1_by_placement"]: F1 per placement.
    """
    by_person: dict[str, BinaryScores] = {}
    by_placement: dict[str, BinaryScores] = {}
    called: dict[int, list[int]] = {}
    for recording in recordings:
        samples, labels, acts = to_grid(recording)
        predicted, part = _decided(extractor, samples, first_index, mirror_ends)
        walk, act = trusted_labels(recording.source, labels)[part], acts[part]
        scored = np.isin(walk, (0, 1))
        scores = binary_scores(predicted[scored], walk[scored] == 1)
        by_person[recording.subject] = by_person.get(recording.subject, NO_SCORES) + scores
        by_placement[recording.placement] = by_placement.get(recording.placement, NO_SCORES) + scores
        for code in np.unique(act):
            hits = called.setdefault(int(code), [0, 0])
            hits[0] += int(predicted[act == code].sum())
            hits[1] += int((act == code).sum())
    people = sorted(person for person, scores in by_person.items() if scores.total)
    total = sum(by_person.values(), NO_SCORES)
    return Evaluation(
        task="extraction",
        networks={"extractor": extractor.space},
        figures=over_people(people, lambda chosen: _figures(sum((by_person[person] for person in chosen), NO_SCORES)), seed),
        counts={
            "people": len(people),
            "recordings": len(recordings),
            "samples": total.total,
            "walking_samples": total.true_positive + total.false_negative,
        },
        tables={
            "walking_share": {ACTIVITIES.get(code, str(code)): hits / max(count, 1) for code, (hits, count) in sorted(called.items())},
            "f1_by_placement": {placement: scores.f1 for placement, scores in sorted(by_placement.items())},
        },
    )


def _decided(extractor: WalkExtractor, samples_N6: Float32, first_index: int, mirror_ends: bool) -> tuple[NDArray[np.bool_], slice]:
    """Whether each decided sample walks, and which samples of the recording these are."""
    before = extractor.context_samples + extractor.block_samples if mirror_ends else 0
    after = extractor.block_samples + extractor.lookahead_samples if mirror_ends else 0
    padded_N6 = np.pad(samples_N6, ((before, after), (0, 0)), mode="reflect") if mirror_ends else samples_N6
    outcome = cut(padded_N6, first_index, extractor)
    walking = outcome.probability_BT.ravel() >= WALKING_THRESHOLD
    begin = outcome.first_block * extractor.block_samples - first_index - before
    first, stop = max(begin, 0), min(begin + len(walking), len(samples_N6))
    return walking[first - begin : stop - begin], slice(first, max(first, stop))


def _figures(scores: BinaryScores) -> dict[str, float]:
    return {"f1": scores.f1, "precision": scores.precision, "recall": scores.recall, "accuracy": scores.accuracy}
