"""How well a camera network tells people apart whom it has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.evaluation.vision_protocols import LabelledVectors, Metric, chance_level, equal_error_of, rank_rates
from models.training.vision_data import AnyWalk, enrolment_of
from models.types import Float32


def labelled(vector_ND: Float32, walks: Sequence[AnyWalk]) -> LabelledVectors:
    """Vectors with the subjects and views of their walks."""
    return LabelledVectors(vector_ND, np.array([walk.subject for walk in walks]), np.array([walk.view for walk in walks]))


def held_out_figures(vector_ND: Float32, walks: Sequence[AnyWalk], metric: Metric) -> dict[str, float]:
    """Rank-1 with its chance level and equal error rate, mean over files; 1 - equal error rate as score, finer than a rank-1 of few probes.

    Gallery: every person's first recording. A file with a single person or a single recording of each says nothing; without any other the
    score is 0. People of different files are never compared: the camera would give the answer.
    """
    vectors, gallery_N = labelled(vector_ND, walks), enrolment_of(walks)
    source_N = np.array([walk.source for walk in walks])
    rows: list[Mapping[str, float]] = []
    for source in np.unique(source_N):
        gallery, probes = vectors.chosen(gallery_N & (source_N == source)), vectors.chosen(~gallery_N & (source_N == source))
        if len(probes) and len(set(gallery.subject_N.tolist())) > 1:
            rows.append(
                {
                    "rank1": rank_rates(gallery, probes, metric)[1],
                    "chance": chance_level(gallery, probes),
                    "eer": equal_error_of(gallery, probes, metric),
                }
            )
    if not rows:
        return {"score": 0.0}
    figures = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {**figures, "score": 1.0 - figures["eer"]}
