"""Asking the control plane: one way for the command line, the HTTP API and any other client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from streams import topics
from streams.clients import consumer_of, partitions_of, producer_of, read_partitions
from streams.errors import BadMessage, Misconfigured, Unavailable, UnknownSealKey
from streams.messages import AuditEntry, Command, Reply
from workers.control.refusal import Refusal
from workers.gallery_records import GalleryRecords

if TYPE_CHECKING:
    from streams.messages import Template
    from streams.messages.commands import CommandKind
    from streams.settings import Settings

log = structlog.get_logger()


class NoReply(Unavailable):
    """No reply in time; the command may still be carried out, and is answered in `gait.replies` then."""

    def __init__(self, text: str, command_id: str) -> None:
        super().__init__(text)
        self.command_id = command_id


class Correspondent:
    """Publishes commands and hands each reply to who waits for it; `async with`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect.  Raises Misconfigured where no worker has made the topics, and KafkaError."""
        partitions = [TopicPartition(topics.REPLIES.name, p) for p in await known_partitions(self.settings, topics.REPLIES)]
        self._consumer, self._producer = consumer_of(self.settings), producer_of(self.settings, linger_ms=0)
        await asyncio.gather(self._consumer.start(), self._producer.start())
        self._consumer.assign(partitions)
        # The end as it is now, before any command is published: a reply cannot be missed.
        for partition, end in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, end)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._task:
            self._task.cancel()
        await asyncio.gather(self._consumer.stop(), self._producer.stop())

    async def ask(self, command: Command, timeout_s: float) -> Reply:
        """Publish a command and wait for its reply.  Raises NoReply or KafkaError."""
        future = self._waiting.setdefault(command.id, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(timeout_s):
                await self._producer.send_and_wait(topics.COMMANDS.name, command.to_bytes(), key=command.subject.encode())
                return await future
        except TimeoutError:
            text = f"no reply to {command.kind} {command.subject} (command {command.id}) within {timeout_s:.0f} s: is a control worker running?"
            raise NoReply(text, command.id) from None
        finally:
            self._waiting.pop(command.id, None)

    async def _listen(self) -> None:
        while True:
            try:
                fetched = await self._consumer.getmany(timeout_ms=500)
            except KafkaError as error:
                log.warning("reading replies failed, trying again", error=repr(error))
                await asyncio.sleep(1.0)
                continue
            for record in (record for records in fetched.values() for record in records):
                try:
                    reply = Reply.from_bytes(record.value)
                except BadMessage:
                    continue  # not ours: anybody may write to a topic
                waiting = self._waiting.get(reply.command_id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)


def command_of(kind: CommandKind, subject: str, actor: str, arguments: dict[str, Any] | None = None) -> Command:
    """A new command.  Raises Refusal when the subject or the actor is not a name."""
    try:
        return Command(id=uuid4().hex, kind=kind, subject=subject, actor=actor, sent_ns=time.time_ns(), arguments=arguments or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refusal(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", "arguments") from None


async def ask(
    settings: Settings, kind: CommandKind, subject: str, actor: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 30.0
) -> Reply:
    """Publish one command and wait for its reply.  Raises Refusal, NoReply, Misconfigured or KafkaError."""
    command = command_of(kind, subject, actor, arguments)
    async with Correspondent(settings) as correspondent:
        return await correspondent.ask(command, timeout_s)


async def read_gallery(settings: Settings) -> list[Template]:
    """Every template as it stands now, by subject and template id.  Raises UnknownSealKey when some cannot be opened."""
    return (await read_sealed_gallery(settings))[0]


async def read_sealed_gallery(settings: Settings) -> tuple[list[Template], dict[bytes, str | None]]:
    """The same, and under which key each is sealed, by record key; None for one in the clear."""
    records = GalleryRecords(settings)
    found: dict[bytes, Template] = {}
    async for record in read_partitions(settings, topics.GALLERY.name):
        found.pop(record.key, None)
        with contextlib.suppress(BadMessage, UnknownSealKey):
            if (template := records.take(record)) is not None:
                found[record.key] = template
    if missing := records.missing():
        raise missing
    return [found[key] for key in sorted(found)], records.sealed_under


async def known_partitions(settings: Settings, topic: topics.Topic) -> set[int]:
    """Partitions of a topic.  Raises Misconfigured when there is none: a producer would wait for it for minutes."""
    partitions = await partitions_of(settings, topic.name)
    if not partitions:
        raise Misconfigured(f"topic {topic.name} does not exist at {settings.bootstrap}: start a control worker first")
    return partitions


async def note_read(settings: Settings, actor: str, action: str, subject: str | None = None) -> None:
    """Looking at who is enrolled is in the audit trail too.  Raises Misconfigured or KafkaError."""
    await known_partitions(settings, topics.AUDIT)
    producer = producer_of(settings, linger_ms=0)
    await producer.start()
    try:
        entry = AuditEntry(actor=actor, action=action, subject=subject, outcome="done", at_ns=time.time_ns())
        await producer.send_and_wait(topics.AUDIT.name, entry.to_bytes(), key=actor.encode())
    finally:
        await producer.stop()
