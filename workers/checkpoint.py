"""What a commit says, and how a new owner of a partition goes on without losing or repeating an output.

A commit holds back to the oldest message that an open window still needs (offset C).  Its metadata says how far the owner had
processed (P) and, for each output topic, the first output offset that may stem from a message at or after C; some processors add where the
state of each stream begins.  A new owner

* reads the output partitions from those offsets to their ends: the ids of everything that was written already (each output
  carries its id and its source offset in headers);
* reads the input from C; outputs of messages below P are dropped (they were written before the commit), and of the others
  those whose id was found.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiokafka import OffsetAndMetadata, TopicPartition

from streams.clients import consumer_of
from workers.processor import Emitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import ConsumerRecord

    from streams.settings import Settings

MOST_METADATA = 4000
"""Kafka refuses a commit with more than 4096 bytes of metadata (offset.metadata.max.bytes); where the streams begin is then left out."""

ID_HEADER = "id"
SOURCE_HEADER = "src"


def source_header(at: TopicPartition, offset: int) -> bytes:
    """Where an output came from: topic, partition and last processed offset of its batch."""
    return f"{at.topic}/{at.partition}/{offset}".encode()


def parse_source(value: bytes | None) -> tuple[TopicPartition, int] | None:
    """Inverse of `source_header`; None for what is not one: anyone may write to an output topic."""
    if not value:
        return None
    try:
        topic, partition, offset = value.decode().rsplit("/", 2)
        return TopicPartition(topic, int(partition)), int(offset)
    except ValueError:
        return None


@dataclass(slots=True)
class Checkpoint:
    """Progress of one input partition."""

    processed: int
    """Next offset to process (P)."""
    resume: int
    """Offset that a commit would name now (C)."""
    outputs: dict[TopicPartition, deque[tuple[int, int]]] = field(default_factory=dict)
    """Per output partition: (source offset, output offset), oldest first, for sources at or after C."""
    begins: dict[str, int] | None = None
    """Per stream where its state begins, as `Processor.begins` says; None where the commit does not tell."""
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    """Per output partition: the offset after our last output."""

    def wrote(self, to: TopicPartition, source: int, offset: int) -> None:
        """An output of a batch that ended at `source` was acknowledged at `offset`."""
        marks = self.outputs.setdefault(to, deque())
        if not marks or marks[-1][0] != source:
            marks.append((source, offset))
        self.ends[to] = max(self.ends.get(to, 0), offset + 1)

    def commit(self, hold: int | None) -> OffsetAndMetadata:
        """What to commit when everything up to P is processed and its outputs are acknowledged."""
        self.resume = self.processed if hold is None else min(hold, self.processed)
        tails = {}
        for to, end in self.ends.items():
            marks = self.outputs.get(to, deque())
            while marks and marks[0][0] < self.resume:
                marks.popleft()
            tails[f"{to.topic}/{to.partition}"] = marks[0][1] if marks else end
        told = {"p": self.processed, "o": tails}
        whole = json.dumps(told | {"b": self.begins}, separators=(",", ":"))
        short = json.dumps(told, separators=(",", ":"))
        return OffsetAndMetadata(self.resume, whole if self.begins and len(whole) <= MOST_METADATA else short)


@dataclass(slots=True)
class Tail:
    """What an earlier owner wrote for the held-back messages."""

    checkpoint: Checkpoint
    ids: set[str]
    emitted: list[Emitted]
    """All that was written for messages at or after C, oldest first: what `Processor.restore` takes over.

    Some of it stems from messages at or after P, written before a crash.  It cannot be told apart here: a source names the end of
    its batch, and the batches of a crashed owner ended elsewhere."""


async def read_tails(
    settings: Settings,
    inputs: dict[TopicPartition, tuple[OffsetAndMetadata | None, int]],
    outputs_of: Callable[[TopicPartition], list[TopicPartition]],
) -> dict[TopicPartition, Tail]:
    """Where to go on with each input partition, from its commit (and the log's beginning) and the ends of its output partitions."""
    tails: dict[TopicPartition, Tail] = {}
    starts: dict[TopicPartition, int] = {}
    for at, (committed, begin) in inputs.items():
        resume, processed, known, begins = _parse_commit(committed, begin)
        tails[at] = Tail(Checkpoint(processed=processed, resume=resume, begins=begins), set(), [])
        for to in outputs_of(at):
            starts[to] = min(starts.get(to, 2**63), known.get(f"{to.topic}/{to.partition}", 0))
    reader = consumer_of(settings)
    await reader.start()
    try:
        reader.assign(list(starts))
        begins = await reader.beginning_offsets(list(starts))
        ends = await reader.end_offsets(list(starts))
        for at, tail in tails.items():
            tail.checkpoint.ends = {to: ends[to] for to in outputs_of(at)}
        position = {to: min(max(begins[to], start), ends[to]) for to, start in starts.items()}
        for to, offset in position.items():
            reader.seek(to, offset)
        while left := [to for to, offset in position.items() if offset < ends[to]]:
            for to, records in (await reader.getmany(*left, timeout_ms=500)).items():
                for record in records:
                    _take(tails, to, record)
            for to in left:
                position[to] = await reader.position(to)
    finally:
        await reader.stop()
    return tails


def _take(tails: dict[TopicPartition, Tail], to: TopicPartition, record: ConsumerRecord) -> None:
    headers = dict(record.headers)
    source = parse_source(headers.get(SOURCE_HEADER))
    if source is None or source[0] not in tails:
        return
    tail, offset = tails[source[0]], source[1]
    if offset < tail.checkpoint.resume:
        return
    output_id = (headers.get(ID_HEADER) or b"").decode("utf-8", "replace")
    tail.ids.add(output_id)
    tail.checkpoint.wrote(to, offset, record.offset)
    tail.emitted.append(Emitted(to.topic, output_id, record.key, record.value))


Parsed = tuple[int, int, dict[str, int], dict[str, int] | None]


def _parse_commit(committed: OffsetAndMetadata | None, begin: int) -> Parsed:
    """C, P, where the tails begin, and where the streams begin.  Without a commit, or with one that lies below the log's beginning, all tails are read whole."""
    if committed is None or committed.offset < 0:
        return begin, begin, {}, None
    resume = max(committed.offset, begin)
    try:
        metadata = json.loads(committed.metadata)
        begins = {str(k): int(v) for k, v in metadata["b"].items()} if "b" in metadata else None
        return resume, max(int(metadata["p"]), resume), {str(k): int(v) for k, v in metadata["o"].items()}, begins
    except (ValueError, KeyError, TypeError, AttributeError):
        return resume, resume, {}, None
