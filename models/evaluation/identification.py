"""Identification (1:N): whose gait is this, among the enrolled, or nobody's. Terms of ISO/IEC 19795-1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import Recording
from models.evaluation.embedded import EmbeddedRecording, check_same_source, embed_recordings, probe_vectors, templates
from models.evaluation.report import Confusion, Evaluation, over_people
from models.evaluation.scores import identification_rate, rank_rate
from models.inertial.embedder import GaitEmbedder
from models.inertial.extractor import WalkExtractor

PROBE_WINDOWS: tuple[int | None, ...] = (1, 4, None)
"""A probe is the mean of so many consecutive windows; None: of the whole recording."""

TARGET_FPIR = 0.01

ProbeScores = dict[str, dict[str, NDArray[np.float64]]]
"""Per person, per name of the probe, scores (probes, templates)."""


def evaluate_identification(
    extractor: WalkExtractor,
    embedder: GaitEmbedder,
    enrol: Sequence[Recording],
    probe: Sequence[Recording],
    first_index: int = 0,
    seed: int = 0,
) -> Evaluation:
    """Rank-1 and rank-5 among the enrolled, and TPIR at FPIR 1 %.

    Closed set: probes of enrolled people. Open set: every probe is also presented with its owner's template taken out of the gallery, and
    probes of people who were never enrolled join; the threshold lets 1 % of these through, TPIR counts enrolled probes best matched by
    their own template above it. Figures carry the number of windows of the probe: rank1_1, rank1_4, rank1_all, ...
    Raises ValueError if several data sets are mixed, nobody is enrolled, or no probe is left.
    """
    check_same_source([*enrol, *probe])
    enrolled = embed_recordings(extractor, embedder, enrol, first_index)
    probes = embed_recordings(extractor, embedder, probe, first_index)
    return identify_embedded(enrolled, probes, {"extractor": extractor.space, "embedder": embedder.space}, seed)


def identify_embedded(
    enrolled: Sequence[EmbeddedRecording], probes: Sequence[EmbeddedRecording], networks: dict[str, str], seed: int = 0
) -> Evaluation:
    """As evaluate_identification, of recordings already embedded."""
    people, template_GD = templates(enrolled)
    scores: ProbeScores = {}
    for windows in PROBE_WINDOWS if people else ():
        for item in probes:
            add_probes(scores, item.person, windows, (probe_vectors(item, windows) @ template_GD.T).astype(np.float64))
    return identification_of_scores(scores, people, networks, seed)


def add_probes(scores: ProbeScores, person: str, windows: int | None, rows_PG: NDArray[np.float64]) -> None:
    """Adds a person's probes of so many windows (None: of all), scored against every template."""
    if len(rows_PG):
        own, name = scores.setdefault(person, {}), probe_name(windows)
        own[name] = np.concatenate([own[name], rows_PG]) if name in own else rows_PG


def identification_of_scores(scores: ProbeScores, people: list[str], networks: dict[str, str], seed: int = 0) -> Evaluation:
    """The evaluation of probe scores against the templates of `people`. Raises ValueError as evaluate_identification."""
    if len(people) < 2 or not scores:
        raise ValueError(f"identification needs two enrolled people and a probe; walking was found in {len(people)} enrolments")
    present = sorted(scores)
    return Evaluation(
        task="identification",
        networks=networks,
        figures=over_people(present, lambda chosen: _figures(chosen, people, scores), seed),
        counts={
            "enrolled": len(people),
            "strangers": len([person for person in present if person not in people]),
            **{f"probes_{name}": sum(len(own[name]) for own in scores.values() if name in own) for name in _names()},
        },
        confusion=_confusion(people, scores),
    )


def _confusion(people: list[str], scores: ProbeScores) -> Confusion:
    """Answers to probes of one window, enrolled people only."""
    share_GG = np.zeros((len(people), len(people)))
    for row, person in enumerate(people):
        rows_PG = scores.get(person, {}).get("1")
        if rows_PG is not None:
            share_GG[row] = np.bincount(rows_PG.argmax(axis=1), minlength=len(people)) / len(rows_PG)
    return Confusion(people, share_GG)


def probe_name(windows: int | None) -> str:
    """How figures name a probe of so many windows."""
    return "all" if windows is None else str(windows)


def _names() -> list[str]:
    return [probe_name(windows) for windows in PROBE_WINDOWS]


def _figures(chosen: Sequence[str], people: list[str], scores: ProbeScores) -> dict[str, float]:
    """Figures of the probes of some people (one may be drawn several times) against the whole gallery."""
    figures: dict[str, float] = {}
    for name in _names():
        mine = [(people.index(person), scores[person][name]) for person in chosen if person in people and name in scores[person]]
        others = [scores[person][name] for person in chosen if person not in people and name in scores[person]]
        if not mine:
            figures |= {f"rank1_{name}": float("nan"), f"rank5_{name}": float("nan"), f"tpir_at_fpir_1pct_{name}": float("nan")}
            continue
        enrolled_PG = np.concatenate([rows for _, rows in mine])
        own_P = np.concatenate([np.full(len(rows), index) for index, rows in mine])
        without_PG = enrolled_PG.copy()
        without_PG[np.arange(len(own_P)), own_P] = -np.inf
        figures[f"rank1_{name}"] = rank_rate(enrolled_PG, own_P, 1)
        figures[f"rank5_{name}"] = rank_rate(enrolled_PG, own_P, 5)
        figures[f"tpir_at_fpir_1pct_{name}"] = identification_rate(enrolled_PG, own_P, np.concatenate([without_PG, *others]), TARGET_FPIR)
    return figures
