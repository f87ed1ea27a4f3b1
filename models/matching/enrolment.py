"""From the windows of one enrolment walk to templates, or to the reasons in words why not.

The limits were set on recordings of 40 people (MotionSense, HAPT) with this project's embedder: of walks by one person 1 % are refused, of
walks in which two people took turns 87 % (MotionSense) and 29 % (HAPT, another device and placement, where people differ less to the embedder).

Shape letters: N windows, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.matching.evidence import LEAST_WEIGHT, WINDOW_NS, covered_windows
from models.matching.gallery import Gallery
from models.matching.policy import DecisionPolicy
from models.matching.vectors import leading, unit_rows
from models.types import Float32, ShapeError


@dataclass(frozen=True, slots=True)
class Limits:
    """What an enrolment must reach.

    quality: windows below are left out.  windows: number of usable ones.  mean_quality: of these.  within: mean cosine of a window with the
    mean of the others.  mixed: halves, or groups, of one person's walk agree better than this.
    """

    quality: float
    windows: int
    mean_quality: float
    within: float
    mixed: float


DEVICE = Limits(quality=0.3, windows=10, mean_quality=0.4, within=0.8, mixed=0.75)
"""5 % of the windows of a loosely worn device, 1 % of a pocket, lie below the quality; 10 windows are 14 s of walking, as behind the
templates of the calibration; the least mean cosine of 80 walks of one person was 0.875."""

TRACK = Limits(quality=0.3, windows=5, mean_quality=0.4, within=0.5, mixed=0.25)
"""A passage takes 5 to 9 s; 5 windows of 0.64 s hop are 5.1 s.  The space of `gait-camera` is one of discriminants, so windows agree less than
those of devices: of 240 filmed passages of simulated walkers the mean cosine was above 0.53 in 95 %, that of their halves above 0.32; of tracks
that went over from one walker to another they were below 0.55 in 75 % and below 0.20 in 75 %."""

LEAST_SHARE = 0.2
"""A group smaller than this is a turn or a stumble, not another person."""

BOUT_GAP_NS = 5_000_000_000
"""Walking that resumes later is another bout, with its own template: the device may sit differently."""

LEAST_BOUT_WINDOWS = 6
MOST_TEMPLATES = 4

Unit64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """A template to be. vector_D: unit. quality: mean, 0..1. windows: behind it. effective_windows: independent ones. from_ns, to_ns: its walk."""

    vector_D: Float32
    quality: float
    windows: int
    effective_windows: float
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class EnrolmentResult:
    """templates: one per bout, at most MOST_TEMPLATES; empty if refused.  reasons: why it was refused, in words; empty if accepted.

    usable_windows: of sufficient quality.  mean_quality: of these.  within_cosine: how alike the windows are (0 with fewer than two).
    """

    templates: tuple[NewTemplate, ...]
    reasons: tuple[str, ...]
    usable_windows: int
    mean_quality: float
    within_cosine: float

    @property
    def accepted(self) -> bool:
        return not self.reasons


def build_templates(
    vectors_ND: ArrayLike, qualities_N: ArrayLike, starts_ns: ArrayLike, *, limits: Limits = DEVICE, least_windows: int | None = None
) -> EnrolmentResult:
    """Checks one person's windows (in any order) and averages them, weighted by quality, per bout. Raises ShapeError for arrays that do not fit.

    least_windows: instead of the limits'.
    """
    least_windows = limits.windows if least_windows is None else least_windows
    all_ND = unit_rows(vectors_ND)
    quality_N, start_N = np.asarray(qualities_N, np.float64), np.asarray(starts_ns, np.int64)
    if quality_N.shape != (len(all_ND),) or start_N.shape != (len(all_ND),):
        raise ShapeError(f"an enrolment needs one quality and start per window, got {all_ND.shape}, {quality_N.shape}, {start_N.shape}")
    order = np.argsort(start_N, kind="stable")
    order = order[quality_N[order] >= limits.quality]
    vector_ND, quality_N, start_N = all_ND[order].astype(np.float64), quality_N[order], start_N[order]
    usable = len(order)
    mean_quality = float(quality_N.mean()) if usable else 0.0
    within = _within(vector_ND) if usable > 1 else 0.0

    reasons = []
    if usable < least_windows:
        reasons.append(
            f"too little walking: {usable} of {len(all_ND)} windows are usable (quality >= {limits.quality}), {least_windows} are needed"
        )
    if usable and mean_quality < limits.mean_quality:
        reasons.append(f"poor signal: mean quality {mean_quality:.2f}, at least {limits.mean_quality} is needed")
    if usable >= max(least_windows, 4):
        reasons += _inconsistencies(vector_ND, within, limits)
    templates = () if reasons else tuple(_template(vector_ND[p], quality_N[p], start_N[p]) for p in _bouts(start_N))
    return EnrolmentResult(templates, tuple(reasons), usable, mean_quality, within)


def already_enrolled(
    gallery: Gallery,
    templates: Sequence[NewTemplate],
    policy: DecisionPolicy,
    *,
    subject: str | None = None,
    now_ns: int | None = None,
) -> str | None:
    """Under which other name these templates' walker is enrolled already, by the policy's threshold; None if under none.

    The gallery may hold only the first directions of the templates. A margin over the second person is not asked for: someone enrolled twice has none. subject: the name being enrolled, which may match.
    """
    if not templates or not len(gallery):
        return None
    vector_ND = np.stack([template.vector_D for template in templates])
    matches = gallery.match(leading(vector_ND, gallery.dim), top=2, now_ns=now_ns)
    threshold_T = policy.threshold(max(matches.templates, 1), [template.effective_windows for template in templates])
    found = [
        (score, name)
        for row, threshold in enumerate(threshold_T.tolist())
        for name, score in matches.candidates(row)
        if name != subject and score >= threshold
    ]
    return min(found, key=lambda pair: (-pair[0], pair[1]))[1] if found else None


def _inconsistencies(vector_ND: Unit64, within: float, limits: Limits) -> list[str]:
    """Reasons why the windows cannot all be one person's."""
    reasons = []
    if within < limits.within:
        reasons.append(f"the walk does not agree with itself: mean cosine {within:.2f} between windows, at least {limits.within} is needed")
    half = len(vector_ND) // 2
    halves = _mean(vector_ND[:half]) @ _mean(vector_ND[half:])
    group_N = _two_groups(vector_ND)
    share = min(group_N.mean(), 1.0 - group_N.mean())
    groups = _mean(vector_ND[group_N]) @ _mean(vector_ND[~group_N]) if share >= LEAST_SHARE else 1.0
    if min(halves, groups) < limits.mixed:
        where = "its first and second half differ" if halves < limits.mixed else f"{share:.0%} of it differs from the rest"
        reasons.append(
            f"the walk looks like two people's (or the device moved): {where}, "
            f"cosine {min(halves, groups):.2f}, at least {limits.mixed} is needed"
        )
    return reasons


def _two_groups(vector_ND: Unit64) -> NDArray[np.bool_]:
    """(N,) membership in the second of two groups by spherical 2-means, begun from the window most unlike the mean and the one most unlike it."""
    odd = vector_ND[np.argmin(vector_ND @ _mean(vector_ND))]
    centre_2D = np.array([vector_ND[np.argmin(vector_ND @ odd)], odd])
    group_N = np.zeros(len(vector_ND), bool)
    for _ in range(20):
        previous, group_N = group_N, np.argmax(vector_ND @ centre_2D.T, axis=1) == 1
        if group_N.all() or not group_N.any() or (group_N == previous).all():
            break
        centre_2D = np.array([_mean(vector_ND[~group_N]), _mean(vector_ND[group_N])])
    return group_N


def _bouts(start_N: NDArray[np.int64]) -> list[slice]:
    """The longest bouts with enough windows, in time order; everything as one if no bout has enough."""
    borders = [0, *(np.flatnonzero(np.diff(start_N) > WINDOW_NS + BOUT_GAP_NS) + 1).tolist(), len(start_N)]
    parts = [slice(a, b) for a, b in pairwise(borders) if b - a >= LEAST_BOUT_WINDOWS]
    longest = sorted(parts, key=lambda part: (part.start - part.stop, part.start))[:MOST_TEMPLATES]
    return sorted(longest, key=lambda part: part.start) or [slice(0, len(start_N))]


def _template(vector_ND: Unit64, quality_N: NDArray[np.float64], start_N: NDArray[np.int64]) -> NewTemplate:
    weight_N = np.maximum(quality_N, LEAST_WEIGHT)
    covered = covered_windows(np.array([len(start_N)]), np.array([0]), start_N)[0]
    return NewTemplate(
        _mean(vector_ND * weight_N[:, None]).astype(np.float32),
        float(quality_N.mean()),
        len(start_N),
        float(covered),
        int(start_N[0]),
        int(start_N[-1]) + WINDOW_NS,
    )


def _within(vector_ND: Unit64) -> float:
    """Mean cosine of each window with the mean of the others."""
    others_ND = vector_ND.sum(axis=0) - vector_ND
    length_N = np.maximum(np.linalg.norm(others_ND, axis=1), 1e-9)
    return float(((vector_ND * others_ND).sum(axis=1) / length_N).mean())


def _mean(vector_ND: Unit64) -> Unit64:
    """(D,) mean of unit length; zero if the rows cancel out."""
    total = vector_ND.sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9))
