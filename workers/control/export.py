"""The gallery for people and for files: summaries, JSON lines out, JSON lines in.

Vectors never travel in commands or replies, which are kept for days: an import writes templates straight to the gallery topic, sealed where
the installation has a key.  Files are never sealed: they are for another installation, or for the time when the keys are lost.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from streams import topics
from streams.clients import producer_of
from streams.errors import Refused
from streams.messages import AuditEntry, Template
from streams.seal import KeyRing
from workers.control.client import known_partitions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.settings import Settings

FORMAT = "gaitstream-gallery"
UNIT_TOLERANCE = 1e-3
"""A vector that is this far from unit length was not written by an export."""

MOST_DIM = 4096


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
    """A first line that says what this is and how many follow; then one JSON object per template, the vector as base64 of float32 (LE), maps of a
    pair network as base64 of float16 with their shape."""
    lines = []
    for template in templates:
        fields = template.model_dump(exclude={"vector", "pair_maps"})
        if template.pair_maps is not None:
            maps = np.asarray(template.pair_maps, "<f2")
            fields |= {"pair_shape": list(maps.shape), "pair_maps": base64.b64encode(maps.tobytes()).decode()}
        vector = np.asarray(template.vector, "<f4")
        lines.append(json.dumps(fields | {"dim": len(vector), "vector": base64.b64encode(vector.tobytes()).decode()}))
    head = json.dumps({"format": FORMAT, "v": 1, "templates": len(lines), "exported_ns": time.time_ns()})
    return [head, *lines]


def parse_lines(text: str, spaces: set[str] | None) -> list[Template]:
    """Templates from an export.  Raises Refused that names the line; `spaces` None takes any space (they match nothing until it is used)."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise Refused("there are no templates in the import")
    head = _json(*lines[0])
    if head.get("format") != FORMAT or head.get("v") != 1:
        raise Refused(f"line 1 must be the head of an export, {FORMAT} version 1")
    templates: dict[bytes, Template] = {}
    for number, line in lines[1:]:
        template = _template(number, _json(number, line))
        if spaces is not None and template.space not in spaces:
            raise Refused(
                f"line {number} is of space {template.space}, this site embeds in {' and '.join(sorted(spaces))}: enrol again, or force"
            )
        templates[template.key] = template
    if len(templates) != head.get("templates"):
        raise Refused(f"the export says {head.get('templates')} templates, {len(templates)} are here: it is cut short or was changed")
    if len({(t.space, len(t.vector)) for t in templates.values()}) != len({t.space for t in templates.values()}):
        raise Refused("vectors of one space must have one length")
    return list(templates.values())


async def import_templates(settings: Settings, templates: list[Template], actor: str) -> None:
    """Write templates to the gallery, note it in the audit trail.  Doing it again changes nothing.  Raises Misconfigured or KafkaError."""
    ring = KeyRing(settings)
    await known_partitions(settings, topics.GALLERY)
    producer = producer_of(settings)
    await producer.start()
    try:
        rows = [(t.key, ring.seal(topics.GALLERY.name, t.key, t.to_bytes())) for t in templates]
        await asyncio.gather(*[await producer.send(topics.GALLERY.name, value, key=key) for key, value in rows])
        subjects = sorted({t.subject for t in templates})
        entries = [AuditEntry(actor=actor, action="import", subject=s, outcome="done", at_ns=time.time_ns()) for s in subjects]
        await asyncio.gather(*[await producer.send(topics.AUDIT.name, e.to_bytes(), key=actor.encode()) for e in entries])
    finally:
        await producer.stop()


def _json(number: int, line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"line {number} is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Refused(f"line {number} is not a JSON object")
    return fields


def _template(number: int, fields: dict[str, Any]) -> Template:
    try:
        data = base64.b64decode(fields["vector"], validate=True)
        vector = np.frombuffer(data, "<f4")
        if len(vector) != fields["dim"] or not 1 <= len(vector) <= MOST_DIM:
            raise ValueError(f"vector: {len(vector)} numbers, dim says {fields['dim']}")
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if not abs(length - 1.0) <= UNIT_TOLERANCE:
            raise ValueError(f"vector: length {length:.4f}, must be 1")
        arrays = {"vector": vector}
        if "pair_maps" in fields:
            arrays["pair_maps"] = np.frombuffer(base64.b64decode(fields["pair_maps"], validate=True), "<f2").reshape(
                fields.pop("pair_shape")
            )
        return Template.model_validate(fields | arrays)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        text = " ".join(str(error).split())[:200]
        raise Refused(f"line {number} is not an exported template: {type(error).__name__} {text}") from None
