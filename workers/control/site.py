"""Learning a site calibration from the gallery and from the embeddings behind its templates."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from models.matching import Gallery, adapt_impostors
from models.matching.vectors import leading
from models.training.site_space import adapt_space
from streams import topics
from streams.clients import read_partitions
from streams.errors import BadMessage, Refused
from streams.messages import EmbeddingRecord
from streams.seal import KeyRing
from workers.identity.site import SiteCalibration, SiteSpaceEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.types import Float32
    from streams.messages import Template
    from streams.settings import Settings


async def walks_of(settings: Settings, templates: Iterable[Template], space: str) -> dict[str, list[Float32]]:
    """By person the window embeddings (W, D) behind each template, oldest first, as far as the broker retains them.

    Raises UnknownSealKey when they cannot be opened.
    """
    ring = KeyRing(settings)
    wanted: dict[bytes, list[Template]] = defaultdict(list)
    for template in templates:
        if template.space == space:
            wanted[template.stream_key.encode()].append(template)
    found: dict[tuple[str, str], dict[int, Float32]] = defaultdict(dict)
    async for record in read_partitions(settings, topics.EMBEDDINGS.name):
        if record.key not in wanted:
            continue
        try:
            embedding = EmbeddingRecord.from_bytes(ring.open(topics.EMBEDDINGS.name, record.key, record.value))
        except BadMessage:
            continue  # not a pipeline's
        for template in wanted[record.key]:
            if embedding.space == space and template.from_ns <= embedding.start_ns and embedding.end_ns <= template.to_ns:
                found[template.subject, template.template_id][embedding.start_ns] = np.asarray(embedding.vector, np.float32)
    walks: dict[str, list[Float32]] = defaultdict(list)
    for (subject, _), rows in sorted(found.items()):
        walks[subject].append(np.stack([rows[start] for start in sorted(rows)]))
    return dict(walks)


def measure_site(templates: Iterable[Template], walks: Mapping[str, list[Float32]], space: str, matched_dim: int) -> SiteCalibration:
    """From the enrolled people of a gallery and the windows behind their templates.  Raises Refused when there are too few.

    walks: by person, the embeddings (W, D) behind each template, as far as they are retained.
    matched_dim: directions of an embedding that are compared.
    """
    gallery = Gallery(space, matched_dim)
    now_ns = time.time_ns()
    for t in templates:
        if t.space == space and (t.expires_ns is None or t.expires_ns > now_ns):
            vector_M = leading(np.asarray(t.vector, np.float32)[None], matched_dim)[0]
            gallery.put(t.subject, t.template_id, vector_M, quality=t.quality, windows=t.windows, expires_ns=t.expires_ns, space=space)
    site = adapt_impostors(gallery)
    if site is None:
        raise Refused(f"{gallery.subjects} people are enrolled in {space}: too few to say how alike strangers are here (at least 5)")
    own = adapt_space(space, walks, matched_dim)
    entry = None
    if own is not None:
        transform = own.transform
        entry = SiteSpaceEntry(
            mean=transform.mean_D.tolist(), matrix=transform.matrix_DM.tolist(), calibration=own.calibration.to_card(), eer=own.eer
        )
    return SiteCalibration(space=space, mean=site.mean, upper=site.upper, people=site.people, made_ns=now_ns, own=entry)
