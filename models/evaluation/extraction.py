"""How well an extractor finds level walking, sample by sample, as the live workers decide it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.grid import to_grid, trusted_labels
from models.data.recordings import ACTIVITIES, Recording
from models.evaluation.report import Evaluation, over_people
from models.evaluation.scores import BinaryScores, binary_scores
from models.inertial.cutting import WALKING_THRESHOLD, BlockShape, block_inputs, cut, decidable_blocks
from models.inertial.extractor import WalkExtractor
from models.types import Float32

NO_SCORES = BinaryScores(0, 0, 0, 0)


def evaluate_extraction(
    extractor: WalkExtractor, recordings: Sequence[Recording], first_index: int = 0, seed: int = 0, *, decided_by: BlockShape | None = None
) -> Evaluation:
    """F1, precision, recall and accuracy of samples labelled walking or no gait; other gait and unlabelled samples are left out.

    decided_by: scores exactly the samples that an extractor of this shape decides live, so that networks of different reach are compared on
    the same samples; a recording is continued by its mirror image where this extractor needs more. Otherwise the samples that it decides live.
    first_index: grid index of every recording's first sample.  tables["walking_share"]: share of samples called walking, per activity;
    tables["f1_by_placement"]: F1 per placement.
    """
    by_person: dict[str, BinaryScores] = {}
    by_placement: dict[str, BinaryScores] = {}
    called: dict[int, list[int]] = {}
    for recording in recordings:
        samples, labels, acts = to_grid(recording)
        predicted, part = _decided(extractor, samples, first_index, decided_by)
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


def _decided(
    extractor: WalkExtractor, samples_N6: Float32, first_index: int, decided_by: BlockShape | None
) -> tuple[NDArray[np.bool_], slice]:
    """Whether each decided sample walks, and which samples of the recording these are."""
    if decided_by is None:
        outcome = cut(samples_N6, first_index, extractor)
        walking = outcome.probability_BT.ravel() >= WALKING_THRESHOLD
        begin = outcome.first_block * extractor.block_samples - first_index
        return walking, slice(begin, begin + len(walking))
    live = decidable_blocks(first_index, len(samples_N6), decided_by)
    first, stop = (edge * decided_by.block_samples - first_index for edge in (live.start, live.stop))
    blocks = range(-(-(stop - first) // extractor.block_samples))  # counted from the first sample to be decided
    begin, end = first - extractor.context_samples, first + len(blocks) * extractor.block_samples + extractor.lookahead_samples
    before, after = max(0, -begin), max(0, end - len(samples_N6))
    padded_N6 = np.pad(samples_N6, ((before, after), (0, 0)), mode="reflect")[begin + before : end + before]
    probability_BT = extractor.predict(block_inputs(padded_N6, -extractor.context_samples, blocks, extractor))
    return probability_BT.ravel()[: stop - first] >= WALKING_THRESHOLD, slice(first, stop)


def _figures(scores: BinaryScores) -> dict[str, float]:
    return {"f1": scores.f1, "precision": scores.precision, "recall": scores.recall, "accuracy": scores.accuracy}
