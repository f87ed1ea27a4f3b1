"""What site adaptation gains: half of a set's people teach the transform, the other half, whom it never saw, is measured; and the other way.

Both halves' scores are pooled. Figures without adaptation are of the same pairs of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.evaluation.embedded import EmbeddedRecording
from models.evaluation.report import Evaluation
from models.evaluation.verification import Pairs, embedded_scores, verification_of_scores
from models.inertial.embedder import GaitEmbedder
from models.matching.site import learn_transform


def evaluate_adaptation(
    embedder: GaitEmbedder, enrolled: Sequence[EmbeddedRecording], probes: Sequence[EmbeddedRecording], *, adapted: bool, seed: int = 0
) -> Evaluation:
    """Verification within halves of the people, with or without the transform that the other half teaches.

    Raises ValueError if a half has too few people to teach one.
    """
    people = sorted({item.person for item in enrolled})
    pooled: dict[str, Pairs] = {}
    for half in (0, 1):
        measured = set(people[half::2])
        own = [[item for item in items if item.person in measured] for items in (enrolled, probes)]
        if adapted:
            teachers = [item for item in [*enrolled, *probes] if item.person not in measured]
            own = [_moved(items, embedder, teachers) for items in own]
        else:
            own = [[item.matched(embedder.matched_dim) for item in items] for items in own]
        _, scores = embedded_scores(*own)
        for kind, pairs in scores.items():
            pooled.setdefault(kind, {}).update(pairs)
    return verification_of_scores(pooled, people, {"embedder": embedder.space}, seed)


def _moved(items: Sequence[EmbeddedRecording], embedder: GaitEmbedder, teachers: Sequence[EmbeddedRecording]) -> list[EmbeddedRecording]:
    """The recordings in the space that the teachers' windows lead to."""
    taught = sorted({item.person for item in teachers})
    windows = [np.concatenate([item.vector_WD for item in teachers if item.person == person]) for person in taught]
    transform = learn_transform(embedder.space, windows, embedder.matched_dim)
    if transform is None:
        raise ValueError(f"{len(taught)} people are too few to teach a site's transform")
    return [replace(item, vector_WD=transform.apply(item.vector_WD)) for item in items if len(item.vector_WD)]
