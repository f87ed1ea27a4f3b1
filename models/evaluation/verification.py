"""Verification (1:1): is this the gait of the person it is claimed to be. Terms of ISO/IEC 19795-1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import Recording
from models.evaluation.embedded import EmbeddedRecording, check_same_source, embed_recordings, probe_vectors, templates
from models.evaluation.report import Evaluation, over_people
from models.evaluation.scores import det_curve, equal_error_rate, fnmr_at_fmr
from models.inertial.embedder import GaitEmbedder
from models.inertial.extractor import WalkExtractor
from models.types import Float32

PROBE_WINDOWS = (1, 4)

PAIR_WINDOWS = 12
"""Windows of a recording, spread evenly, that are compared one by one: their pairs grow with the square."""

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
    return verify_embedded(enrolled, probes, {"extractor": extractor.space, "embedder": embedder.space}, seed)


def verify_embedded(
    enrolled: Sequence[EmbeddedRecording], probes: Sequence[EmbeddedRecording], networks: dict[str, str], seed: int = 0
) -> Evaluation:
    """As evaluate_verification, of recordings already embedded."""
    people, scores = embedded_scores(enrolled, probes)
    return verification_of_scores(scores, people, networks, seed)


def embedded_scores(enrolled: Sequence[EmbeddedRecording], probes: Sequence[EmbeddedRecording]) -> tuple[list[str], dict[str, Pairs]]:
    """The enrolled people, and scores of all probes against all of them, by kind of probe."""
    people, template_GD = templates(enrolled)
    scores: dict[str, Pairs] = {}
    for windows in PROBE_WINDOWS if people else ():
        for item in probes:
            rows = (probe_vectors(item, windows) @ template_GD.T).astype(np.float64)
            for column, person in enumerate(people):
                add_scores(scores, str(windows), item.person, person, rows[:, column])
    for item in probes:
        for other in enrolled:
            pairs = _spread(item.vector_WD) @ _spread(other.vector_WD).T
            add_scores(scores, "pair", item.person, other.person, pairs.astype(np.float64).ravel())
    return people, scores


def _spread(vector_WD: Float32) -> Float32:
    if len(vector_WD) <= PAIR_WINDOWS:
        return vector_WD
    return vector_WD[np.linspace(0, len(vector_WD) - 1, PAIR_WINDOWS).round().astype(int)]


def add_scores(scores: dict[str, Pairs], name: str, probe: str, template: str, values: NDArray[np.float64]) -> None:
    """Adds comparisons of one person's probes, of the kind `name`, with one person's template."""
    pairs, key = scores.setdefault(name, {}), (probe, template)
    pairs[key] = np.concatenate([pairs[key], values]) if key in pairs else values


def verification_of_scores(scores: dict[str, Pairs], people: list[str], networks: dict[str, str], seed: int = 0) -> Evaluation:
    """The evaluation of scores by kind of probe, (person of the probe, person of the template). Raises ValueError as evaluate_verification."""
    probed = {probe for probe, _ in scores.get("1", {})}
    present = [person for person in people if person in probed and len(scores["1"].get((person, person), ()))]
    if len(present) < 2:
        raise ValueError(f"verification needs two people with walking in enrolment and probe, got {len(present)}")
    counts = {"people": len(present)}
    curves = {}
    for name, pairs in scores.items():
        genuine, impostor = joined(present, pairs)
        counts |= {f"genuine_{name}": len(genuine), f"impostor_{name}": len(impostor)}
        if len(genuine) and len(impostor):
            curves[name] = det_curve(genuine, impostor)
    return Evaluation(
        task="verification",
        networks=networks,
        figures=over_people(present, lambda chosen: _figures(chosen, scores), seed, resamples=200),
        counts=counts,
        curves=curves,
    )


def joined(chosen: Sequence[str], pairs: Pairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(genuine, impostor) scores of a selection of people, both as probes and as templates; a person drawn twice counts twice."""
    genuine = [pairs[(person, person)] for person in chosen if (person, person) in pairs]
    impostor = [pairs[(a, b)] for a in chosen for b in chosen if a != b and (a, b) in pairs]
    return np.concatenate([np.zeros(0), *genuine]), np.concatenate([np.zeros(0), *impostor])


def _figures(chosen: Sequence[str], scores: dict[str, Pairs]) -> dict[str, float]:
    """Equal error rates and FNMR at FMR 1 % of a selection of people."""
    figures: dict[str, float] = {}
    for name, pairs in scores.items():
        genuine, impostor = joined(chosen, pairs)
        usable = len(genuine) and len(impostor)
        figures[f"eer_{name}"] = equal_error_rate(genuine, impostor) if usable else float("nan")
        figures[f"fnmr_at_fmr_1pct_{name}"] = fnmr_at_fmr(genuine, impostor, 0.01) if usable else float("nan")
    return figures
