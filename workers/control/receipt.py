"""The receipt of an erasure: what every topic still held of the person, what was removed, what remains, until when and why.

Kafka removes single messages by key from compacted topics only.  From the other topics a record leaves with its retention, or, where
the operator asks for it (`cut`), with everything older in its partition.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from streams import topics
from streams.clients import read_partitions
from streams.errors import BadMessage, UnknownSealKey
from streams.seal import KeyRing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiokafka import ConsumerRecord

    from streams.settings import Settings

STREAM_TOPICS = (
    topics.IMU_RAW,
    topics.CAMERA_FRAMES,
    topics.CAMERA_PEOPLE,
    topics.SAMPLES_INERTIAL,
    topics.SAMPLES_CAMERA,
    topics.EMBEDDINGS,
    topics.WALKING_EVENTS,
)
"""Keyed by device, camera or track: a record is the person's when it lies in the time of one of their templates.  A picture shows whoever
was in view then, so every picture of that camera and time counts."""

NAMING_TOPICS = (topics.IDENTITY_EVENTS, topics.COMMANDS, topics.REPLIES, topics.AUDIT, topics.DEAD_LETTER)
"""A record is the person's when any text in it is one of their names."""

CUT_BEHIND = {topics.SAMPLES_INERTIAL.name: "identity", topics.SAMPLES_CAMERA.name: "identity", topics.EMBEDDINGS.name: None}
"""What may be cut, and whose committed position must not be passed: samples that were not embedded yet belong to others."""

REASONS = {
    topics.AUDIT.name: "kept on purpose: who did what to whom, this erasure included, must stay provable; holds no vectors",
    topics.COMMANDS.name: "a partitioned log: leaves with its retention; holds names, times and consent texts, no vectors",
    topics.REPLIES.name: "a partitioned log: leaves with its retention; holds names and counts, no vectors",
}
REASON = "a partitioned log: single records cannot be removed before their retention"


@dataclass(slots=True)
class Search:
    """Who is searched for: all names the person has borne, and the stretches (stream key, from, to) that templates were made from."""

    names: set[str]
    stretches: list[tuple[str, int, int]]
    deadline_s: float
    needles: list[bytes] = field(init=False)
    keys: set[bytes] = field(init=False)
    ring: KeyRing = field(kw_only=True)

    def __post_init__(self) -> None:
        self.needles = [msgpack.packb(name) for name in self.names]
        self.stretches += [(key.rpartition(":")[0], a, b) for key, a, b in self.stretches if ":" in key]  # a track, and its camera
        self.keys = {key.encode() for key, _, _ in self.stretches}

    def from_stream(self, key: bytes | None, fields: dict[str, Any]) -> bool:
        """Whether a record of a device's stream lies in one of the stretches."""
        start = fields.get("start_ns", fields.get("time_ns"))
        end = fields.get("end_ns", start)
        if not isinstance(start, int) or not isinstance(end, int):
            return False
        return any(key == stream.encode() and start <= to_ns and end >= from_ns for stream, from_ns, to_ns in self.stretches)

    def names_them(self, key: bytes | None, value: bytes) -> bool:
        """Whether the record's key or any text in it is one of the names.  Bytes are compared before anything is decoded."""
        if key is not None and key.decode("utf-8", "replace") in self.names:
            return True
        return any(needle in value for needle in self.needles) and _mentions(_unpacked(value), self.names)


async def write_receipt(
    settings: Settings, subject: str, stretches: Iterable[Iterable[Any]], *, scan_s: float, cut: bool
) -> list[dict[str, Any]]:
    """One row per topic; the person's templates are erased already.  Raises KafkaError."""
    deadline_s, rows = time.monotonic() + scan_s, [tuple(row) for row in stretches]
    names = await former_names(settings, subject)
    search = Search(names, [(str(k), int(a), int(b)) for k, a, b in rows], deadline_s, ring=KeyRing(settings))
    receipt = [await _gallery_row(settings, search)]
    for topic in STREAM_TOPICS:
        receipt.append(await _row(settings, topic, search, cut=cut and topic.name in CUT_BEHIND))
    receipt += [await _row(settings, topic, search, cut=False) for topic in NAMING_TOPICS]
    return receipt


async def former_names(settings: Settings, subject: str) -> set[str]:
    """The subject and every name that was renamed to it or merged into it, as the audit trail tells."""
    moves: list[tuple[str, str]] = []
    async for record in read_partitions(settings, topics.AUDIT.name):
        fields = _unpacked(record.value or b"")
        details = fields.get("details") if isinstance(fields, dict) else None
        if isinstance(details, dict) and fields.get("action") in ("rename", "merge") and fields.get("outcome") == "done":
            moves.append((str(fields.get("subject")), str(details.get("to"))))
    names = {subject}
    for before, after in reversed(moves):  # newest first, so that chains are followed back in one pass
        if after in names:
            names.add(before)
    return names


async def _gallery_row(settings: Settings, search: Search) -> dict[str, Any]:
    """Values of erased keys lie in the log until it is compacted, readable by nobody as current state."""
    prefixes = tuple(f"{name}/".encode() for name in search.names)
    values: dict[bytes, int] = {}
    gone: set[bytes] = set()
    async for record in read_partitions(settings, topics.GALLERY.name):
        if record.key is not None and record.key.startswith(prefixes):
            if record.value is None:
                gone.add(record.key)
            else:
                values[record.key] = values.get(record.key, 0) + 1
                gone.discard(record.key)  # somebody else bears a former name now
    found = sum(values.get(key, 0) for key in gone)
    return {
        "topic": topics.GALLERY.name,
        "found": found,
        "removed": found,
        "remains": 0,
        "until_ms": None,
        "complete": True,
        "why": "erased by tombstone: no reader gets a template any more; the bytes of old records leave the broker's disk when it compacts, within minutes",
    }


async def _row(settings: Settings, topic: topics.Topic, search: Search, *, cut: bool) -> dict[str, Any]:
    by_stream = topic in STREAM_TOPICS
    since_ms = None
    if by_stream:
        earliest_ns = min((from_ns for _, from_ns, _ in search.stretches), default=0)
        since_ms = max(0, earliest_ns // 1_000_000 - int(settings.clock_ahead_s * 1000))
    places: list[tuple[int, int, int]] = []
    complete = True
    async for record in read_partitions(settings, topic.name, since_ms=since_ms):
        if time.monotonic() > search.deadline_s:
            complete = False
            break
        if _theirs(search, record, by_stream=by_stream):
            places.append((record.partition, record.offset, record.timestamp))
    removed = await _cut(settings, topic, places) if cut and places else set()
    left = [place for place in places if place not in removed]
    retention_ms = settings.retention_ms.get(topic.name, topic.retention_ms or 0)
    return {
        "topic": topic.name,
        "found": len(places),
        "removed": len(removed),
        "remains": len(left),
        "until_ms": max((at_ms for _, _, at_ms in left), default=0) + retention_ms if left else None,
        "complete": complete,
        "why": REASONS.get(topic.name, REASON) if left else "",
    }


def _theirs(search: Search, record: ConsumerRecord, *, by_stream: bool) -> bool:
    value = record.value or b""
    if by_stream or record.key in search.keys:
        if record.key not in search.keys:
            return False
        if record.topic == topics.EMBEDDINGS.name:
            try:
                value = search.ring.open(record.topic, record.key, value)
            except (BadMessage, UnknownSealKey):
                return True  # of that device and nobody can tell when: counts as theirs
        fields = _unpacked(value)
        if isinstance(fields, dict) and search.from_stream(record.key, fields):
            return True
    return not by_stream and search.names_them(record.key, value)


async def _cut(settings: Settings, topic: topics.Topic, places: list[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
    """Delete the beginning of each partition up to the person's last record, but nothing that a worker has yet to read."""
    wanted = {TopicPartition(topic.name, p): 0 for p, _, _ in places}
    for p, offset, _ in places:
        at = TopicPartition(topic.name, p)
        wanted[at] = max(wanted[at], offset + 1)
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        role = CUT_BEHIND[topic.name]
        if role is not None:
            committed = await admin.list_consumer_group_offsets(settings.group(role), partitions=list(wanted))
            wanted = {at: min(end, max(committed[at].offset, 0)) for at, end in wanted.items()}
        wanted = {at: end for at, end in wanted.items() if end > 0}
        low = await admin.delete_records({at: RecordsToDelete(before_offset=end) for at, end in wanted.items()}) if wanted else {}
    finally:
        await admin.close()
    return {(p, offset, at_ms) for p, offset, at_ms in places if offset < low.get(TopicPartition(topic.name, p), 0)}


def _unpacked(value: bytes) -> Any:
    try:
        return msgpack.unpackb(value)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError):
        return value


def _mentions(value: Any, names: set[str]) -> bool:
    """Whether any text in a decoded message is one of the names; of bytes that are no message it is unknown, which counts as yes."""
    if isinstance(value, str):
        return value in names
    if isinstance(value, dict):
        return any(_mentions(v, names) for v in value.values())
    if isinstance(value, list):
        return any(_mentions(v, names) for v in value)
    return isinstance(value, bytes) and any(msgpack.packb(name) in value for name in names)
