"""False positive identifications at sites with few people: whether what `gaitstream calibrate` learns there keeps its target.

A site's people are drawn at random from one set, everybody else is a stranger. The site's walks enrol its people and teach it its space, its
calibration and its thresholds; decisions are those of `models.evaluation.strangers`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from models.evaluation.embedded import EmbeddedRecording
from models.evaluation.report import Evaluation, over_people
from models.evaluation.strangers import TARGET_FPIR, gallery_of, named, parts_of, site_of, widened
from models.inertial.embedder import GaitEmbedder
from models.matching import DecisionPolicy

SIZES = (8, 12, 16)
"""People of a site, from the fewest that get a space of their own."""

DRAWS = 12

PROBE_WINDOWS = 4


def evaluate_small_sites(
    embedder: GaitEmbedder,
    teaching: Sequence[EmbeddedRecording],
    probes: Sequence[EmbeddedRecording],
    size: int,
    *,
    draws: int = DRAWS,
    target_fpir: float = TARGET_FPIR,
    seed: int = 0,
) -> Evaluation:
    """FPIR of 4 windows (fpir_4) over `draws` sites of `size` people; tpir_4 where no probe taught. Probes do not overlap.

    The interval over strangers, every one a stranger to several sites, is the wider of bootstrap and of the exact binomial one as if each had
    probed once. Raises ValueError if walks are too few for a space.
    """
    people = sorted({item.person for item in teaching} & {item.person for item in probes})
    if len(people) <= size:
        raise ValueError(f"{len(people)} people leave no stranger to a site of {size}")
    taught = {item.recording.name for item in teaching} & {item.recording.name for item in probes}
    rng = np.random.default_rng(seed)
    hits: dict[str, Counter[str]] = {"fpir_4": Counter(), "tpir_4": Counter()}
    totals: dict[str, Counter[str]] = {"fpir_4": Counter(), "tpir_4": Counter()}
    for _ in range(draws):
        own = set(rng.permutation(people)[:size].tolist())
        walks = [item for item in teaching if item.person in own]
        site = site_of(embedder, walks, None, "space")
        gallery = gallery_of(embedder, walks, site, None)
        policy = DecisionPolicy(site.calibration, target_fpir, 1)
        for person in people:
            kind = "tpir_4" if person in own else "fpir_4"
            parts = parts_of(site, [item for item in probes if item.person == person], PROBE_WINDOWS)
            if parts and not (kind == "tpir_4" and taught):
                hits[kind][person] += named(policy, gallery, parts, person if person in own else None)
                totals[kind][person] += len(parts)

    def figures(chosen: Sequence[str]) -> dict[str, float]:
        return {
            kind: sum(hits[kind][person] for person in chosen) / max(sum(total[person] for person in chosen), 1)
            for kind, total in totals.items()
            if total
        }

    intervals = over_people(people, figures, seed)
    count, total = hits["fpir_4"].total(), totals["fpir_4"].total()
    intervals["fpir_4"] = widened(intervals["fpir_4"], round(count / draws), max(total // draws, 1))
    return Evaluation(
        task="small sites",
        networks={"embedder": embedder.space},
        figures=intervals,
        counts={"people": size, "probes_4": total},
    )
