"""What the control plane writes: gallery changes, replies, the audit trail, dead letters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgpack

from streams import metrics, topics
from streams.clients import producer_of
from streams.deadletter import letter_headers
from streams.messages import AuditEntry
from streams.seal import KeyRing
from workers import __version__
from workers.control.gallery import COMMAND_HEADER, GALLERY, LAST_HEADER, NUDGE_HEADER, RESULT_HEADER, Change

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from streams.errors import BadMessage
    from streams.messages import Command, Reply
    from streams.settings import Settings

MAX_BATCH_BYTES = 900_000
"""Below Kafka's default limit of about 1 MB for a batch: some 800 templates of 256 floats change at once or not at all."""

Headers = list[tuple[str, bytes]]


class Writer:
    """An idempotent producer that waits for every acknowledgement.  Every method raises KafkaError when nothing could be written."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._letter_partitions = settings.partitions(topics.DEAD_LETTER)
        self._ring = KeyRing(settings)

    async def start(self) -> None:
        """Connect."""
        self._producer: AIOKafkaProducer = producer_of(self.settings, linger_ms=0, max_batch_size=MAX_BATCH_BYTES)
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close."""
        await self._producer.stop()

    async def change_gallery(self, command_id: str, change: Change) -> None:
        """Write a change as few whole batches; the headers make the gallery the journal of the command."""
        self._ring.refresh()
        rows: list[tuple[bytes, bytes | None]] = [(t.key, self._ring.seal(GALLERY.topic, t.key, t.to_bytes())) for t in change.written]
        rows += [(key, None) for key in change.erased]
        first: Headers = [(COMMAND_HEADER, command_id.encode()), (RESULT_HEADER, msgpack.packb(change.result))]
        batch = self._producer.create_batch()
        for i, (key, value) in enumerate(rows):
            headers = first if i == 0 else first[:1]
            if i == len(rows) - 1:
                headers = [*headers, (LAST_HEADER, b"1")]
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                await self._send(batch)
                batch = self._producer.create_batch()
                batch.append(timestamp=None, key=key, value=value, headers=headers)
        if rows:
            await self._send(batch)

    async def nudge(self, key: bytes) -> None:
        """Repeat a tombstone, so that the broker closes the segment that still holds the erased values and may compact it."""
        await self._producer.send_and_wait(GALLERY.topic, None, key=key, partition=GALLERY.partition, headers=[(NUDGE_HEADER, b"1")])

    async def command(self, command: Command) -> None:
        """Ask for something oneself."""
        await self._producer.send_and_wait(topics.COMMANDS.name, command.to_bytes(), key=command.subject.encode())

    async def reply(self, reply: Reply) -> None:
        """Answer a command."""
        await self._producer.send_and_wait(topics.REPLIES.name, reply.to_bytes(), key=reply.subject.encode())

    async def audit(self, actor: str, action: str, subject: str | None, outcome: str, details: dict[str, Any] | None = None) -> None:
        """Who did what to whom."""
        entry = AuditEntry(actor=actor, action=action, subject=subject, outcome=outcome[:256], at_ns=time.time_ns(), details=details or {})
        await self._producer.send_and_wait(topics.AUDIT.name, entry.to_bytes(), key=actor.encode())

    async def letter(self, error: BadMessage, message: Any) -> None:
        """A dead letter for a message of `gait.commands` (as Faust delivers it)."""
        headers = [
            ("id", letter_id(message).encode()),
            *letter_headers(error, message.topic, message.partition, message.offset, f"control/{__version__}"),
        ]
        await self._producer.send_and_wait(
            topics.DEAD_LETTER.name, message.value, key=message.key, partition=message.partition % self._letter_partitions, headers=headers
        )
        metrics.DEAD_LETTERS.labels(message.topic, error.why).inc()

    async def _send(self, batch: Any) -> None:
        batch.close()
        await (await self._producer.send_batch(batch, GALLERY.topic, partition=GALLERY.partition))


def letter_id(message: Any) -> str:
    """Id of the letter about a message: its place."""
    return f"{message.topic}/{message.partition}/{message.offset}"
