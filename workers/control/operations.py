"""What can be done with enrolled people: rename, merge, erase with a receipt, consent and expiry."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from streams import topics
from streams.clients import read_partitions
from streams.errors import Refused
from streams.messages import IdentityEvent, Template
from streams.messages.fields import Name, Nanoseconds, OptionalText
from workers.control.enrol import arguments_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.messages import Command
    from streams.settings import Settings

Templates = dict[bytes, Template]


@dataclass(slots=True)
class Change:
    """What a command does to the gallery: templates written, keys erased, and what the reply says."""

    written: list[Template] = field(default_factory=list)
    erased: list[bytes] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)


class NewName(BaseModel):
    """Arguments of rename and merge."""

    model_config = ConfigDict(extra="forbid", strict=True)

    to: Name


class ConsentArguments(BaseModel):
    """Arguments of consent: what is not given stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    consent: OptionalText | None = None
    expires_ns: Nanoseconds | None = None


def of_subject(templates: Templates, subject: str) -> list[Template]:
    """The person's templates.  Raises Refused when there are none."""
    found = [t for t in templates.values() if t.subject == subject]
    if not found:
        raise Refused(f"nobody is enrolled as {subject}")
    return found


def rename(command: Command, templates: Templates) -> Change:
    """The person gets another name.  Raises Refused when somebody bears it: then merge is meant."""
    wanted: NewName = arguments_of(command, NewName)
    own = of_subject(templates, command.subject)
    if any(t.subject == wanted.to for t in templates.values()):
        raise Refused(f"somebody is enrolled as {wanted.to} already; use merge if that is the same person")
    return _moved(own, wanted.to)


def merge(command: Command, templates: Templates) -> Change:
    """Two entries are one person: the subject's templates go to the other name."""
    wanted: NewName = arguments_of(command, NewName)
    if wanted.to == command.subject:
        raise Refused("a person cannot be merged with themselves")
    of_subject(templates, wanted.to)
    return _moved(of_subject(templates, command.subject), wanted.to)


def consent(command: Command, templates: Templates) -> Change:
    """Consent text or expiry of all of a person's templates changes."""
    wanted: ConsentArguments = arguments_of(command, ConsentArguments)
    update = {name: value for name, value in wanted.model_dump().items() if name in wanted.model_fields_set}
    own = of_subject(templates, command.subject)
    return Change(written=[t.model_copy(update=update) for t in own], result={"templates": len(own)})


async def erase(settings: Settings, command: Command, templates: Templates) -> Change:
    """Tombstones for every template, and a receipt of every topic that still names the person or holds their walking."""
    own = of_subject(templates, command.subject)
    receipt = await find_traces(settings, command.subject, own)
    receipt.insert(0, {"topic": topics.GALLERY.name, "found": len(own), "removed": len(own), "remains": "tombstones, until compaction"})
    return Change(erased=[t.key for t in own], result={"templates": len(own), "receipt": receipt, "erased_ns": time.time_ns()})


async def find_traces(settings: Settings, subject: str, own: list[Template]) -> list[dict[str, Any]]:
    """What the other topics hold of a person: Kafka cannot take single messages out of them, so each row says until when they stay."""
    stretches = [(t.stream_key.encode(), t.from_ns, t.to_ns, t.stream_key) for t in own]
    rows = []
    for topic in (topics.SAMPLES_INERTIAL, topics.EMBEDDINGS, topics.IDENTITY_EVENTS, topics.COMMANDS, topics.REPLIES):
        found, last_ms = 0, 0
        async for record in read_partitions(settings, topic.name):
            if _concerns(topic, record, subject, stretches):
                found, last_ms = found + 1, max(last_ms, record.timestamp)
        retention_ms = settings.retention_ms.get(topic.name, topic.retention_ms or 0)
        rows.append(
            {
                "topic": topic.name,
                "found": found,
                "removed": 0,
                "remains": "nothing" if not found else "until retention",
                "until_ms": last_ms + retention_ms if found else None,
            }
        )
    return rows


def _concerns(topic: topics.Topic, record: Any, subject: str, stretches: Iterable[tuple[bytes, int, int, str]]) -> bool:
    if topic in (topics.COMMANDS, topics.REPLIES):
        return bool(record.key == subject.encode())
    assert topic.family is not None
    message = topic.family.from_bytes(record.value)
    if isinstance(message, IdentityEvent) and (message.subject == subject or any(c.subject == subject for c in message.candidates)):
        return True
    start_ns = getattr(message, "start_ns", 0)
    return any(record.key == key and begin_ns <= start_ns <= end_ns for key, begin_ns, end_ns, _ in stretches)


def _moved(own: list[Template], name: str) -> Change:
    written = [t.model_copy(update={"subject": name}) for t in own]
    return Change(written=written, erased=[t.key for t in own], result={"templates": len(own), "to": name})
