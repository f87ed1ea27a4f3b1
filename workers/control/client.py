"""Asking the control plane: one way for the command line, the HTTP API and any other client."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiokafka import TopicPartition

from streams import topics
from streams.clients import consumer_of, partitions_of, producer_of, read_partitions
from streams.errors import Unavailable
from streams.messages import AuditEntry, Command, Reply, Template

if TYPE_CHECKING:
    from streams.messages.commands import CommandKind
    from streams.settings import Settings


async def ask(
    settings: Settings, kind: CommandKind, subject: str, actor: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 30.0
) -> Reply:
    """Publish a command and wait for its reply.  Raises Unavailable when none comes in time (the command may still be carried out)."""
    command = Command(id=uuid4().hex, kind=kind, subject=subject, actor=actor, sent_ns=time.time_ns(), arguments=arguments or {})
    consumer, producer = consumer_of(settings), producer_of(settings, linger_ms=0)
    await asyncio.gather(consumer.start(), producer.start())
    try:
        partitions = [TopicPartition(topics.REPLIES.name, p) for p in await partitions_of(settings, topics.REPLIES.name)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for partition in partitions:
            await consumer.position(partition)
        await producer.send_and_wait(topics.COMMANDS.name, command.to_bytes(), key=subject.encode())
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    reply = Reply.from_bytes(record.value)
                    if reply.command_id == command.id:
                        return reply
        raise Unavailable(f"no reply to {kind} {subject} (command {command.id}) within {timeout_s:.0f} s: is a control worker running?")
    finally:
        await asyncio.gather(consumer.stop(), producer.stop())


async def read_gallery(settings: Settings) -> list[Template]:
    """Every template as it stands now, by subject and template id."""
    found: dict[bytes, Template] = {}
    async for record in read_partitions(settings, topics.GALLERY.name):
        if record.value:
            found[record.key] = Template.from_bytes(record.value)
        else:
            found.pop(record.key, None)
    return [found[key] for key in sorted(found)]


async def note_read(settings: Settings, actor: str, action: str) -> None:
    """Looking at who is enrolled is in the audit trail too."""
    producer = producer_of(settings, linger_ms=0)
    await producer.start()
    try:
        entry = AuditEntry(actor=actor, action=action, outcome="done", at_ns=time.time_ns())
        await producer.send_and_wait(topics.AUDIT.name, entry.to_bytes(), key=actor.encode())
    finally:
        await producer.stop()
