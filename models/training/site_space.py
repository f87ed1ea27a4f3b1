"""A site's own space and what scores mean there, from its enrolled people: learnt on some of them, measured on the others.

The transform (models.matching.site) turns the distributions of scores, so the shipped calibration says nothing any more; a new one comes from
cross-fitting: half of the people teach a transform, the scores of the other half are taken under it, and the other way round. The transform
that is used is taught by all.

Shape letters: W windows, D embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import CalibrationError, ScoreCalibration
from models.evaluation.scores import equal_error_rate
from models.matching.site import SiteTransform, learn_transform
from models.matching.vectors import leading
from models.training.scoring import calibration_of, normalised, probes
from models.types import Float32

PROBE_WINDOWS = (1, 2, 4, 8, 16)

LEAST_WALK_WINDOWS = 6
"""Of an enrolment, to compare with others."""

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
    before: dict[int, list[NDArray[np.float64]]] = {}
    after: dict[int, list[NDArray[np.float64]]] = {}
    for half in (0, 1):
        teachers = [np.concatenate(usable[name]) for name in people if name not in people[half::2]]
        transform = learn_transform(space, teachers, matched_dim, least_people=2)
        assert transform is not None
        measured = {name: usable[name] for name in people[half::2]}
        for n in probe_windows:
            before.setdefault(n, []).extend(walk_scores(measured, n, lambda rows: leading(rows, matched_dim)))
            after.setdefault(n, []).extend(walk_scores(measured, n, transform.apply))
    scores = {("site", n): (np.concatenate(rows[::2]), np.concatenate(rows[1::2])) for n, rows in after.items()}
    try:
        calibration = calibration_of(scores, [("site", name) for name in people])
    except CalibrationError:
        return None
    eer = {
        n: tuple(equal_error_rate(np.concatenate(rows[n][::2]), np.concatenate(rows[n][1::2])) for rows in (before, after))
        for n in calibration.windows
    }
    return SiteSpace(whole, calibration, eer)  # type: ignore[arg-type]  # a tuple of two


def walk_scores(people: Walks, windows: int, matched: Callable[[Float32], Float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(genuine, impostor) cosines of probes of `windows` windows with the templates of other walks.

    matched: (N, D) unit rows as they are compared.  As the identity worker computes them: a template is the mean of an enrolment, then matched, a
    probe the mean of matched windows.
    """
    genuine: list[NDArray[np.float64]] = [np.zeros(0)]
    impostor: list[NDArray[np.float64]] = [np.zeros(0)]
    centres = [(name, i, normalised(walk.mean(axis=0))) for name, own in people.items() for i, walk in enumerate(own)]
    moved = matched(np.stack([centre_D for _, _, centre_D in centres]))
    centres = [(name, i, moved_D) for (name, i, _), moved_D in zip(centres, moved, strict=True)]
    for name, own in people.items():
        for i, walk in enumerate(own):
            probe_PD = probes(matched(walk), windows)
            for other, j, centre_D in centres:
                if (other, j) != (name, i):
                    (genuine if other == name else impostor).append((probe_PD @ centre_D).astype(np.float64))
    return np.concatenate(genuine), np.concatenate(impostor)
