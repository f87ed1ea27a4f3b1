"""Enrolling a person from embeddings that the pipeline has already made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from aiokafka.partitioner import murmur2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.matching import Gallery
from models.matching.enrolment import already_enrolled, build_templates
from streams import topics
from streams.clients import read_partitions
from streams.errors import Refused
from streams.messages import EmbeddingRecord, Template
from streams.messages.fields import Name, Nanoseconds, OptionalText, stable_id

if TYPE_CHECKING:
    from models.matching import DecisionPolicy
    from streams.messages import Command
    from streams.settings import Settings


class EnrolArguments(BaseModel):
    """What an enrol command says: whose stream, which stretch of time (or the last seconds), and what the person agreed to."""

    model_config = ConfigDict(extra="forbid", strict=True)

    stream_key: Name
    from_ns: Nanoseconds | None = None
    to_ns: Nanoseconds | None = None
    last_s: float | None = Field(default=None, gt=0)
    consent: OptionalText = ""
    expires_ns: Nanoseconds | None = None


def arguments_of(command: Command, family: type[BaseModel]) -> Any:
    """Checked arguments of a command.  Raises Refused that names the field."""
    try:
        return family.model_validate(command.arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refused(f"{command.kind}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


async def enrol(settings: Settings, command: Command, gallery: dict[bytes, Template], policy: DecisionPolicy, space: str) -> list[Template]:
    """New templates of the command's subject.  Raises Refused in words: too little walking, two people, enrolled as somebody else."""
    wanted: EnrolArguments = arguments_of(command, EnrolArguments)
    records = await embeddings_of(settings, wanted)
    spaces = {record.space for record in records}
    if not records:
        raise Refused(f"no walking of {wanted.stream_key} is known in that time; devices are named as they publish")
    if spaces != {space}:
        raise Refused(
            f"the walking of {wanted.stream_key} is in space {', '.join(sorted(spaces))}, this site embeds in {space}: let them walk again"
        )
    vectors_ND = np.stack([np.asarray(record.vector, np.float32) for record in records])
    result = build_templates(vectors_ND, [record.quality for record in records], [record.start_ns for record in records])
    if result.reasons:
        raise Refused("; ".join(result.reasons))
    other = already_enrolled(
        as_gallery(gallery, space, vectors_ND.shape[1]), result.templates, policy, subject=command.subject, now_ns=time.time_ns()
    )
    if other is not None:
        raise Refused(f"this walk is already enrolled as {other}; use gallery merge or rename if it is the same person")
    return [
        Template(
            subject=command.subject,
            template_id=stable_id(command.id, index)[:16],
            space=space,
            vector=np.asarray(new.vector_D, np.float32),
            quality=float(new.quality),
            windows=new.windows,
            stream_key=wanted.stream_key,
            from_ns=new.from_ns,
            to_ns=new.to_ns,
            enrolled_ns=command.sent_ns,
            enrolled_by=command.actor,
            consent=wanted.consent,
            expires_ns=wanted.expires_ns,
        )
        for index, new in enumerate(result.templates)
    ]


async def embeddings_of(settings: Settings, wanted: EnrolArguments) -> list[EmbeddingRecord]:
    """The stream's embeddings of that time, oldest first.  Looks where publishers put the key by default, then everywhere."""
    count = settings.partitions(topics.EMBEDDINGS)
    likely = (murmur2(wanted.stream_key.encode()) & 0x7FFFFFFF) % count
    since_ms = None if wanted.from_ns is None else wanted.from_ns // 1_000_000 - int(settings.clock_ahead_s * 1000)
    found: dict[str, EmbeddingRecord] = {}
    for partitions in ([likely], [p for p in range(count) if p != likely]):
        async for record in read_partitions(settings, topics.EMBEDDINGS.name, partitions, since_ms=since_ms):
            if record.key == wanted.stream_key.encode():
                embedding = EmbeddingRecord.from_bytes(record.value)
                found[embedding.id] = embedding
        if found:
            break
    records = sorted(found.values(), key=lambda record: record.start_ns)
    if wanted.last_s is not None and records:
        begin_ns = records[-1].end_ns - int(wanted.last_s * 1e9)
        records = [record for record in records if record.start_ns >= begin_ns]
    return [
        record
        for record in records
        if (wanted.from_ns is None or record.start_ns >= wanted.from_ns) and (wanted.to_ns is None or record.end_ns <= wanted.to_ns)
    ]


def as_gallery(templates: dict[bytes, Template], space: str, dim: int) -> Gallery:
    """The templates of one space as something to match against."""
    gallery = Gallery(space, dim)
    for t in templates.values():
        if t.space == space:
            gallery.put(t.subject, t.template_id, t.vector, quality=t.quality, windows=t.windows, expires_ns=t.expires_ns, space=space)
    return gallery
