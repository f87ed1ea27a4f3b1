"""Verification (1:1): is this the gait of the person it is claimed to be. Terms of ISO/IEC 19795-1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import Recording
from models.evaluation.embedded import check_same_source, embed_recordings, probe_vectors, templates
from models.evaluation.report import Evaluation, over_people
from models.evaluation.scores import equal_error_rate, fnmr_at_fmr
from models.inertial.embedder import GaitEmbedder
from models.inertial.extractor import WalkExtractor

PROBE_WINDOWS = (1, 4)

Pairs = dict[tuple[str, str], NDArray[np.float64]]


def evaluate_verification(
    extractor: WalkExtractor,
    embedder: GaitEmbedder,
    enrol: Sequence[Recording],
    probe: Sequence[Recording],
    first_index: int = 0,
    seed: int = 0,
) -> Evaluation:
    """Equal error rate and FNMR at FMR 1 % of probes of 1 and 4 consecutive windows against templates, and of single windows against
    single windows (`eer_pair`), the figure that publications give.

    Raises ValueError if several data sets are mixed or fewer than two people have both an enrolment and a probe.
    """
    check_same_source([*enrol, *probe])
    enrolled = embed_recordings(extractor, embedder, enrol, first_index)
    probes = embed_recordings(extractor, embedder, probe, first_index)
    people, template_GD = templates(enrolled)
    present = [person for person in people if any(item.person == person and len(item.vector_WD) for item in probes)]
    if len(present) < 2:
        raise ValueError(f"verification needs two people with walking in enrolment and probe, got {len(present)}")
    scores: dict[str, Pairs] = {}
    for windows in PROBE_WINDOWS:
        for item in probes:
            rows = (probe_vectors(item, windows) @ template_GD.T).astype(np.float64)
            for column, person in enumerate(people):
                _add(scores.setdefault(str(windows), {}), item.person, person, rows[:, column])
    for item in probes:
        for other in enrolled:
            _add(scores.setdefault("pair", {}), item.person, other.person, (item.vector_WD @ other.vector_WD.T).astype(np.float64).ravel())
    counts = {"people": len(present)}
    for name, pairs in scores.items():
        counts[f"genuine_{name}"] = sum(len(values) for (a, b), values in pairs.items() if a == b)
        counts[f"impostor_{name}"] = sum(len(values) for (a, b), values in pairs.items() if a != b)
    return Evaluation(
        task="verification",
        networks={"extractor": extractor.space, "embedder": embedder.space},
        figures=over_people(present, lambda chosen: _figures(chosen, scores), seed, resamples=200),
        counts=counts,
    )


def _add(pairs: Pairs, probe: str, template: str, values: NDArray[np.float64]) -> None:
    key = (probe, template)
    pairs[key] = np.concatenate([pairs[key], values]) if key in pairs else values


def _figures(chosen: Sequence[str], scores: dict[str, Pairs]) -> dict[str, float]:
    """Figures of a selection of people, both as probes and as templates; a person drawn twice counts twice."""
    figures: dict[str, float] = {}
    for name, pairs in scores.items():
        genuine = [pairs[(person, person)] for person in chosen if (person, person) in pairs]
        impostor = [pairs[(a, b)] for a in chosen for b in chosen if a != b and (a, b) in pairs]
        usable = genuine and impostor and sum(map(len, genuine)) and sum(map(len, impostor))
        both = (np.concatenate(genuine), np.concatenate(impostor)) if usable else None
        figures[f"eer_{name}"] = equal_error_rate(*both) if both else float("nan")
        figures[f"fnmr_at_fmr_1pct_{name}"] = fnmr_at_fmr(*both, 0.01) if both else float("nan")
    return figures
