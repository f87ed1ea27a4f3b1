"""How well an extractor finds level walking, sample by sample, as the live workers decide it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import ACTIVITIES, Recording
from models.evaluation.report import Evaluation, over_people
from models.evaluation.scores import BinaryScores, binary_scores
from models.inertial.cutting import WALKING_THRESHOLD, cut
from models.inertial.extractor import WalkExtractor

NO_SCORES = BinaryScores(0, 0, 0, 0)


def evaluate_extraction(extractor: WalkExtractor, recordings: Sequence[Recording], first_index: int = 0, seed: int = 0) -> Evaluation:
    """F1, precision, recall and accuracy of samples labelled walking or no gait; other gait and unlabelled samples are left out.

    first_index: grid index of every recording's first sample.  tables["walking_share"]: share of samples called walking, per activity;
    tables["f1_by_placement"]: F1 per placement.
    """
    by_person: dict[str, BinaryScores] = {}
    by_placement: dict[str, BinaryScores] = {}
    called: dict[int, list[int]] = {}
    for recording in recordings:
        samples, labels, acts = to_grid(recording)
        outcome = cut(samples, first_index, extractor)
        predicted = outcome.probability_BT.ravel() >= WALKING_THRESHOLD
        begin = outcome.first_block * extractor.block_samples - first_index
        part = slice(begin, begin + len(predicted))
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


def _figures(scores: BinaryScores) -> dict[str, float]:
    return {"f1": scores.f1, "precision": scores.precision, "recall": scores.recall, "accuracy": scores.accuracy}
