"""The gallery for people and for files: summaries, JSON lines out, JSON lines in.

Vectors never travel in commands or replies, which are kept for days: an import writes templates straight to the gallery topic.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from models.matching.vectors import unit_rows
from streams import topics
from streams.clients import producer_of
from streams.errors import Refused
from streams.messages import AuditEntry, Template

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.settings import Settings


def subjects_of(templates: Iterable[Template]) -> list[dict[str, Any]]:
    """One row per enrolled person, by name."""
    people: dict[str, list[Template]] = {}
    for template in templates:
        people.setdefault(template.subject, []).append(template)
    return [
        {
            "subject": subject,
            "templates": len(own),
            "windows": sum(t.windows for t in own),
            "quality": round(sum(t.quality for t in own) / len(own), 3),
            "spaces": sorted({t.space for t in own}),
            "streams": sorted({t.stream_key for t in own}),
            "enrolled_ns": min(t.enrolled_ns for t in own),
            "enrolled_by": sorted({t.enrolled_by for t in own}),
            "consent": sorted({t.consent for t in own}),
            "expires_ns": min((t.expires_ns for t in own if t.expires_ns is not None), default=None),
        }
        for subject, own in sorted(people.items())
    ]


def export_lines(templates: Iterable[Template]) -> list[str]:
    """One JSON object per template; the vector as base64 of little-endian float32."""
    lines = []
    for template in templates:
        fields = template.model_dump(exclude={"vector"})
        vector = np.asarray(template.vector, "<f4")
        lines.append(json.dumps(fields | {"dim": len(vector), "vector": base64.b64encode(vector.tobytes()).decode()}))
    return lines


def parse_lines(text: str, space: str | None) -> list[Template]:
    """Templates from an export.  Raises Refused that names the line; `space` None takes any space (they match nothing until it is used)."""
    templates = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            vector = np.frombuffer(base64.b64decode(fields["vector"], validate=True), "<f4")
            template = Template.model_validate(fields | {"vector": unit_rows(vector[None], fields["dim"])[0]})
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"line {number} is not an exported template: {str(error).splitlines()[-1]}") from None
        if space is not None and template.space != space:
            raise Refused(f"line {number} is of space {template.space}, this site embeds in {space}: enrol again, or force")
        templates.append(template)
    if not templates:
        raise Refused("there are no templates in the import")
    return templates


async def import_templates(settings: Settings, templates: list[Template], actor: str) -> None:
    """Write templates to the gallery and note it in the audit trail."""
    producer = producer_of(settings)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topics.GALLERY.name, t.to_bytes(), key=t.key) for t in templates])
        subjects = sorted({t.subject for t in templates})
        entries = [AuditEntry(actor=actor, action="import", subject=s, outcome="done", at_ns=time.time_ns()) for s in subjects]
        await asyncio.gather(*[await producer.send(topics.AUDIT.name, e.to_bytes(), key=actor.encode()) for e in entries])
    finally:
        await producer.stop()
