"""What a pair network must keep of an enrolment: maps of the very windows behind each template, while the broker still has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from streams import topics
from streams.errors import BadMessage
from streams.messages import GaitSample
from workers.control.lookup import records_of_key
from workers.control.refusal import Refusal

if TYPE_CHECKING:
    from models.inertial.verifier import PairVerifier
    from streams.messages import Template
    from streams.settings import Settings


async def with_pair_maps(settings: Settings, verifier: PairVerifier, stream_key: str, templates: list[Template]) -> list[Template]:
    """The templates with `pair_space` and `pair_maps`.  Raises Refusal when the windows of one are not retained any more."""
    begin_ns, end_ns = min(t.from_ns for t in templates), max(t.to_ns for t in templates)
    samples: dict[int, GaitSample] = {}
    for record in await records_of_key(settings, topics.SAMPLES_INERTIAL, stream_key, begin_ns):
        try:
            sample = GaitSample.from_bytes(record.value)
        except BadMessage:
            continue  # not a pipeline's
        if sample.cut == settings.cut and begin_ns <= sample.start_ns and sample.end_ns <= end_ns:
            samples[sample.start_ns] = sample
    found = []
    for template in templates:
        own = [samples[at] for at in sorted(samples) if template.from_ns <= at and samples[at].end_ns <= template.to_ns]
        if not own:
            raise Refusal(
                f"the windows behind this walk of {stream_key} are not retained any more, and {verifier.name} needs them: let them walk again",
                "too_little_walking",
            )
        maps_KSF = await asyncio.to_thread(verifier.template, np.stack([sample.samples for sample in own]))
        found.append(template.model_copy(update={"pair_space": verifier.space, "pair_maps": maps_KSF.astype(np.float16)}))
    return found
