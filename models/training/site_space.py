"""A site's own space and what scores mean there, from its enrolled people: learnt on some of them, measured on the others.

The transform (models.matching.site) turns the distributions of scores, so the shipped calibration says nothing any more; a new one comes from
cross-fitting: a tenth of the people are strangers to a transform that the others teach, and probe against these, as a stranger does live; each
tenth in turn. The transform that is used is taught by all. A few people make few pairs, however many windows they walk: false match rates
that few pairs would decide are not read off but extrapolated.

Shape letters: W windows, D embedding, P probes, K templates, M directions that are matched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.calibration import CalibrationError, ScoreCalibration
from models.evaluation.scores import equal_error_rate
from models.matching.site import SiteTransform, learn_transform
from models.matching.vectors import leading
from models.training.scoring import Scores, calibration_of, normalised, probes
from models.types import Float32

PROBE_WINDOWS = (1, 2, 4, 8, 16)

LEAST_WALK_WINDOWS = 6
"""Of an enrolment, to compare with others."""

FOLDS = 10
"""Parts of the people that are strangers in turn. With two, the transforms that are measured know half as many people as the one that is used."""

LEAST_PAIRS = 3
"""Pairs of people behind the lowest false match rate that is read off. Read off ten scores, thresholds of sites with 8 to 16 people let in two to
nine times the strangers they were asked to (models/evaluation/EXPERIMENTS.md, Site adaptation)."""

Walks = Mapping[str, Sequence[Float32]]
"""Window embeddings (W, D) of each enrolment of each person."""


@dataclass(frozen=True, eq=False)
class SiteSpace:
    """A site's transform, the calibration of its scores, and equal error rates of people who taught none of it.

    eer: by number of windows, (without, with the transform).
    """

    transform: SiteTransform
    calibration: ScoreCalibration
    eer: dict[int, tuple[float, float]]


def adapt_space(
    space: str, walks: Walks, matched_dim: int, probe_windows: Sequence[int] = PROBE_WINDOWS, least_walk: int = LEAST_WALK_WINDOWS
) -> SiteSpace | None:
    """The site's space; None where there are too few people, or too few walks, to teach it and to say what its scores mean.

    matched_dim: directions that are compared, without a transform the first ones.  probe_windows: lengths of probes.  least_walk: windows of a walk that is looked at.

    A person with one enrolment only is compared with the impostors; genuine scores come from people with several.
    """
    usable = {name: [w for w in own if len(w) >= least_walk] for name, own in sorted(walks.items())}
    people = [name for name, own in usable.items() if own]
    whole = learn_transform(space, [np.concatenate(usable[name]) for name in people], matched_dim)
    if whole is None:
        return None
    before: dict[int, list[Scores]] = {n: [] for n in probe_windows}
    after: dict[int, list[Scores]] = {n: [] for n in probe_windows}
    folds = min(FOLDS, len(people))
    for fold in range(folds):
        strangers = people[fold::folds]
        teachers = [np.concatenate(usable[name]) for name in people if name not in strangers]
        transform = learn_transform(space, teachers, matched_dim, least_people=2)
        assert transform is not None
        for n in probe_windows:
            before[n].append(walk_scores(usable, n, lambda rows: leading(rows, matched_dim), strangers))
            after[n].append(walk_scores(usable, n, transform.apply, strangers))
    scores = {("site", n): _joined(parts) for n, parts in after.items()}
    pairs = len(people) * (len(people) - 1) / 2
    try:
        calibration = calibration_of(scores, [("site", name) for name in people], least_fmr=LEAST_PAIRS / pairs)
    except CalibrationError:
        return None
    eer = {n: (equal_error_rate(*_joined(before[n])), equal_error_rate(*scores["site", n])) for n in calibration.windows}
    return SiteSpace(whole, calibration, eer)


def walk_scores(people: Walks, windows: int, matched: Callable[[Float32], Float32], strangers: Collection[str] | None = None) -> Scores:
    """(genuine, impostor) cosines of probes of `windows` windows with the templates of other walks.

    matched: (N, D) unit rows as they are compared.  strangers: who alone probe, against walks of their own and, as impostors, of all who are no
    strangers; None: everybody probes against everybody.  As the identity worker computes them: a template is the mean of an enrolment, then
    matched, a probe the mean of matched windows.
    """
    owner_K = np.array([name for name, own in people.items() for _ in own])
    template_KM = matched(np.stack([normalised(walk.mean(axis=0)) for own in people.values() for walk in own]))
    enrolled_K = np.ones(len(owner_K), bool) if strangers is None else ~np.isin(owner_K, list(strangers))
    parts: list[Scores] = [(np.zeros(0), np.zeros(0))]
    for name in people if strangers is None else strangers:
        own_K = owner_K == name
        for walk, index in zip(people[name], np.flatnonzero(own_K), strict=True):
            score_PK = (probes(matched(walk), windows) @ template_KM.T).astype(np.float64)
            other_K = own_K & (np.arange(len(owner_K)) != index)
            parts.append((score_PK[:, other_K].ravel(), score_PK[:, enrolled_K & ~own_K].ravel()))
    return _joined(parts)


def _joined(parts: Sequence[Scores]) -> Scores:
    return np.concatenate([genuine for genuine, _ in parts]), np.concatenate([impostor for _, impostor in parts])
