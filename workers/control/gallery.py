"""The gallery as the control plane sees it: every template, and which commands have already changed it.

Each gallery record carries the id of the command that wrote it in a header, and the last record of a command says so.  The gallery is
thus its own journal: after a crash it tells whether a command was carried out, without a second place that could disagree, and without
a copy of anybody's vectors that erasing would have to find.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.clients import consumer_of
from streams.errors import BadMessage, Refused, Unavailable, UnknownSealKey
from workers.gallery_records import GalleryRecords

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from streams.messages import Template
    from streams.settings import Settings

log = structlog.get_logger()

GALLERY = TopicPartition(topics.GALLERY.name, 0)
"""One partition: a command's records lie in one batch, which the broker stores whole or not at all."""

COMMAND_HEADER, RESULT_HEADER, LAST_HEADER, NUDGE_HEADER = "gaitstream-command", "gaitstream-result", "gaitstream-last", "gaitstream-nudge"

NUDGE_KEY = b"(nobody)/(nudge)"
"""Key of the tombstone that is written after templates were sealed under another key."""

MISSING = object()

MOST_EFFECTS = 20_000
"""Commands remembered: far more than can be delivered again after a crash."""

CATCH_UP_S = 60.0


@dataclass(slots=True)
class Change:
    """What a command does to the gallery: templates written, keys erased, and what the reply says."""

    written: list[Template] = field(default_factory=list)
    erased: list[bytes] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Effect:
    """What a command has left in the gallery so far; `complete` once its last record is there."""

    result: dict[str, Any]
    complete: bool


class GalleryView:
    """Follows `gait.gallery`.  `templates` by key is current up to the last `caught_up`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.templates: dict[bytes, Template] = {}
        self.effects: OrderedDict[str, Effect] = OrderedDict()
        self.loaded = False
        self.last_round_s = time.monotonic()
        self.tombstone: tuple[bytes, int] | None = None
        """Key of a tombstone, and the time of the newest record that left something behind which must leave the disk."""
        self.newest_ms = 0
        self.records = GalleryRecords(settings)
        self._position = 0
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read to the present end, then follow in the background.  Raises KafkaError, or UnknownSealKey when templates cannot be opened."""
        self._consumer = consumer_of(self.settings)
        await self._consumer.start()
        self._consumer.assign([GALLERY])
        await self._consumer.seek_to_beginning(GALLERY)
        self._task = asyncio.create_task(self._follow())
        await self._read_to_end()
        if missing := self.records.missing():
            raise missing
        self.loaded = True

    async def stop(self) -> None:
        """Stop following."""
        if self._task:
            self._task.cancel()
        await self._consumer.stop()

    async def caught_up(self) -> None:
        """Wait until everything that lies in the topic now is known here.

        Raises KafkaError, or Unavailable: also while templates cannot be opened, for whoever was erased then would not be known whole.
        """
        await self._read_to_end()
        if missing := self.records.missing():
            raise Unavailable(str(missing))

    async def _read_to_end(self) -> None:
        end = (await self._consumer.end_offsets([GALLERY]))[GALLERY]
        try:
            async with asyncio.timeout(CATCH_UP_S), self._moved:
                await self._moved.wait_for(lambda: self._position >= end)
        except TimeoutError:
            raise Unavailable(f"the gallery could not be read to offset {end} within {CATCH_UP_S:.0f} s") from None

    def of_subject(self, subject: str) -> list[Template]:
        """The person's templates by key.  Raises Refused when there are none."""
        found = [self.templates[key] for key in sorted(self.templates) if self.templates[key].subject == subject]
        if not found:
            raise Refused(f"nobody is enrolled as {subject}")
        return found

    def current(self) -> list[Template]:
        """Every template, by key."""
        return [self.templates[key] for key in sorted(self.templates)]

    async def _follow(self) -> None:
        while True:
            try:
                for records in (await self._consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        self._take(record)
                for record in self.records.due():
                    self._open(record)
                position = await self._consumer.position(GALLERY)
            except KafkaError as error:
                log.warning("reading the gallery failed, trying again", error=repr(error))
                await asyncio.sleep(1.0)
                continue
            self.last_round_s = time.monotonic()
            if position != self._position:
                self._position = position
                async with self._moved:
                    self._moved.notify_all()

    def _take(self, record: ConsumerRecord) -> None:
        headers = dict(record.headers)
        self.newest_ms = max(self.newest_ms, record.timestamp)
        self._note(headers)
        before = self.records.sealed_under.get(record.key, MISSING)
        if self._open(record) and NUDGE_HEADER not in headers:
            if record.value is None:
                self.tombstone = (record.key, record.timestamp)
            elif before not in (MISSING, self.records.sealed_under.get(record.key)):
                self.tombstone = (NUDGE_KEY, record.timestamp)

    def _open(self, record: ConsumerRecord) -> bool:
        """Take over what a record says of its template; whether it could be used."""
        try:
            template = self.records.take(record)
        except BadMessage:
            # Left out; the record before it under this key no longer holds either.
            self.templates.pop(record.key, None)
            return False
        except UnknownSealKey:
            return False  # it waits for its key
        if template is None:
            self.templates.pop(record.key, None)
        else:
            self.templates[record.key] = template
        return True

    def _note(self, headers: dict[str, bytes]) -> None:
        command_id = headers.get(COMMAND_HEADER, b"").decode("utf-8", "replace")
        if not command_id:
            return
        before = self.effects.get(command_id)
        result = before.result if before else {}
        if RESULT_HEADER in headers:
            result = msgpack.unpackb(headers[RESULT_HEADER])
        self.effects[command_id] = Effect(result, LAST_HEADER in headers or (before is not None and before.complete))
        while len(self.effects) > MOST_EFFECTS:
            self.effects.popitem(last=False)
