"""Was it said already?  Looked up only for commands that an earlier owner of the partition may have answered before it died."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from streams import topics
from streams.clients import read_partitions
from streams.errors import BadMessage
from streams.messages import AuditEntry, Reply
from workers.control.writer import letter_id

if TYPE_CHECKING:
    from streams.messages import Command
    from streams.settings import Settings


async def find_reply(settings: Settings, command: Command, message: Any) -> Reply | None:
    """The reply to a command, if one was written."""
    async for record in read_partitions(settings, topics.REPLIES.name, since_ms=_since_ms(settings, message)):
        if record.key == command.subject.encode():
            try:
                reply = Reply.from_bytes(record.value)
            except BadMessage:
                continue  # not ours: anybody may write to a topic
            if reply.command_id == command.id:
                return reply
    return None


async def was_audited(settings: Settings, command: Command, message: Any) -> bool:
    """Whether the audit trail has the command's outcome."""
    async for record in read_partitions(settings, topics.AUDIT.name, since_ms=_since_ms(settings, message)):
        try:
            if AuditEntry.from_bytes(record.value).details.get("command_id") == command.id:
                return True
        except BadMessage:
            continue
    return False


async def has_letter(settings: Settings, message: Any) -> bool:
    """Whether there is a dead letter about a message."""
    wanted = ("id", letter_id(message).encode())
    partition = message.partition % settings.partitions(topics.DEAD_LETTER)
    async for record in read_partitions(settings, topics.DEAD_LETTER.name, [partition], since_ms=_since_ms(settings, message)):
        if wanted in record.headers:
            return True
    return False


def _since_ms(settings: Settings, message: Any) -> int:
    """A broker time before anything that was written because of the message; the publisher's clock may be ahead."""
    return max(0, int((min(message.timestamp, time.time()) - settings.clock_ahead_s) * 1000))
