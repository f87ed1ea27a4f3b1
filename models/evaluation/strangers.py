"""False positive identifications of people nobody enrolled: the thresholds of the calibration against people the network never saw.

The decisions are those of the identity worker: evidence of n consecutive windows, the gallery of everybody else of the set, the decision
policy with the calibration of the model card, or of the site. Every person in turn is the stranger; probes do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import betaincinv

from models.calibration import ScoreCalibration
from models.evaluation.embedded import EmbeddedRecording, templates
from models.evaluation.report import CONFIDENCE, Evaluation, Figure, over_people
from models.inertial.embedder import GaitEmbedder
from models.matching import DecisionPolicy, Gallery, adapt_impostors, combine
from models.matching.vectors import leading
from models.training.site_space import adapt_space
from models.types import Float32

PROBE_WINDOWS = (4, 12)

TARGET_FPIR = 0.01


Basis = Literal["shipped", "site", "space"]
"""What thresholds rest on: the calibration of the model card; that, moved by the scores of the gallery's own people among each other; or the
site's own space, transform and calibration, which all people but the one who probes teach by all their walks."""


@dataclass(frozen=True)
class Site:
    """What a decision needs: vectors in, policy out."""

    apply: Callable[[Float32], Float32]
    calibration: ScoreCalibration


def evaluate_strangers(
    embedder: GaitEmbedder,
    enrolled: Sequence[EmbeddedRecording],
    probes: Sequence[EmbeddedRecording],
    target_fpir: float = TARGET_FPIR,
    *,
    basis: Basis = "shipped",
    seed: int = 0,
) -> Evaluation:
    """FPIR per number of windows (fpir_4, fpir_12) with its interval over people; tpir_N is the share of enrolled people's probes that are
    named, each against the gallery with everybody. Raises ValueError if the site has too few people or walks for a space of its own.
    """
    people = sorted({item.person for item in probes if len(item.vector_WD)})
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for person in people:
        site = site_of(embedder, [*enrolled, *probes], person, basis)
        for windows in PROBE_WINDOWS:
            parts = parts_of(site, [item for item in probes if item.person == person], windows)
            for kind, without in (("fpir", person), ("tpir", None)):
                gallery = gallery_of(embedder, enrolled, site, without)
                if parts and (kind == "fpir" or person in gallery.names()):
                    policy = DecisionPolicy(site.calibration, target_fpir, 1, site=adapt_impostors(gallery) if basis == "site" else None)
                    own = counts.setdefault(f"{kind}_{windows}", {})
                    own[person] = named(policy, gallery, parts, person if kind == "tpir" else None), len(parts)

    def figures(chosen: Sequence[str]) -> dict[str, float]:
        return {name: _share([rows[person] for person in chosen if person in rows]) for name, rows in counts.items()}

    intervals = over_people(people, figures, seed)
    for name, rows in counts.items():
        if name in intervals:
            intervals[name] = widened(intervals[name], *(sum(pair[i] for pair in rows.values()) for i in (0, 1)))
    return Evaluation(
        task="strangers",
        networks={"embedder": embedder.space},
        figures=intervals,
        counts={
            "people": len(people),
            **{f"probes_{n}": sum(total for _, total in counts.get(f"fpir_{n}", {}).values()) for n in PROBE_WINDOWS},
        },
    )


def widened(figure: Figure, hits: int, probes: int) -> Figure:
    """The figure with its interval widened to the exact binomial one over probes (Clopper and Pearson, 1934).

    Resampling people who had no hit gives no hit: the bootstrap alone would call a rate of 0 certain.
    """
    if not probes or figure.low is None or figure.high is None:
        return figure
    tail = (1.0 - CONFIDENCE) / 2.0
    low = float(betaincinv(hits, probes - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, probes - hits, 1.0 - tail)) if hits < probes else 1.0
    return Figure(figure.value, min(figure.low, low), max(figure.high, high))


def parts_of(site: Site, items: Sequence[EmbeddedRecording], windows: int) -> list[tuple[Float32, Float32]]:
    """(vectors as compared, qualities) of probes of `windows` windows, one after the other."""
    return [
        (site.apply(item.vector_WD[first : first + windows]), item.quality_W[first : first + windows])
        for item in items
        for first in range(0, len(item.vector_WD) - windows + 1, windows)
    ]


def site_of(embedder: GaitEmbedder, items: Sequence[EmbeddedRecording], without: str | None, basis: Basis) -> Site:
    """The site as all people but one make it. Raises ValueError if they are too few, or their walks, for a space of its own."""
    if basis != "space":
        return Site(lambda vectors_WD: leading(vectors_WD, embedder.matched_dim), embedder.calibration)
    walks: dict[str, list[Float32]] = {}
    for item in items:
        if item.person != without:
            walks.setdefault(item.person, []).append(item.vector_WD)
    site = adapt_space(embedder.space, walks, embedder.matched_dim)
    if site is None:
        raise ValueError(f"{len(walks)} people are too few, or their walks, for a space of the site")
    return Site(site.transform.apply, site.calibration)


def gallery_of(embedder: GaitEmbedder, enrolled: Sequence[EmbeddedRecording], site: Site, without: str | None) -> Gallery:
    """Everybody but one person, one template each: the mean of all enrolment windows."""
    gallery = Gallery(embedder.space, embedder.matched_dim)
    people, template_GD = templates([item for item in enrolled if item.person != without])
    for person, template_D in zip(people, site.apply(template_GD) if people else (), strict=True):
        gallery.put(person, f"{person}-1", template_D, quality=1.0, windows=1, expires_ns=None, space=embedder.space)
    return gallery


def named(policy: DecisionPolicy, gallery: Gallery, parts: Sequence[tuple[Float32, Float32]], own: str | None) -> int:
    """Probes that were given the name `own`, or any name where that is None."""
    vectors, effective = combine([vector for vector, _ in parts], [quality for _, quality in parts])
    decisions = policy.decide(gallery.match(vectors), effective, np.array([len(vector) for vector, _ in parts]))
    return sum(subject is not None and own in (None, subject) for subject in decisions.subject)


def _share(pairs: Sequence[tuple[int, int]]) -> float:
    total = sum(count for _, count in pairs)
    return sum(hits for hits, _ in pairs) / total if total else float("nan")
