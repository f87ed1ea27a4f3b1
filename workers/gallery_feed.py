"""The gallery as a stream: reads `gait.gallery` from its beginning and goes on reading, without a consumer group."""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition

from streams import metrics, topics
from streams.clients import consumer_of
from streams.errors import BadMessage
from streams.messages import Template
from streams.messages.gallery import split_template_key

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from streams.settings import Settings

log = structlog.get_logger()

Change = tuple[int, str, str, Template | None]
"""Offset, subject, template id, and the template (None: erased)."""


class GalleryFeed:
    """Puts every change of the gallery on `changes`; `loaded` once what lay in the topic at the start has been read;
    `behind` says why while it cannot be followed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.changes: SimpleQueue[Change] = SimpleQueue()
        self.loaded = False
        self.behind: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read to the present end, then follow in the background."""
        self._at = TopicPartition(topics.GALLERY.name, 0)
        self._consumer = consumer_of(self.settings)
        await self._consumer.start()
        self._consumer.assign([self._at])
        await self._consumer.seek_to_beginning(self._at)
        end = (await self._consumer.end_offsets([self._at]))[self._at]
        while await self._consumer.position(self._at) < end:
            await self._read()
        self.loaded = True
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop following."""
        if self._task:
            self._task.cancel()
        await self._consumer.stop()

    async def _follow(self) -> None:
        while True:
            try:
                await self._read()
            except Exception as error:  # whatever it is: a gallery that stops changing would never forget an erased person
                self.behind = repr(error)
                log.warning("reading the gallery failed, trying again", error=self.behind)
                await asyncio.sleep(1.0)
            else:
                self.behind = None

    async def _read(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=500)).values():
            for record in records:
                try:
                    self.changes.put(change_of(record))
                except BadMessage as error:
                    # The gallery is written by the control plane alone; what it cannot read stays out and is counted.
                    metrics.DEAD_LETTERS.labels(topics.GALLERY.name, error.why).inc()
                    log.error("a gallery record cannot be used", offset=record.offset, error=str(error))


def change_of(record: ConsumerRecord) -> Change:
    """The change that a gallery record means.  Raises BadMessage."""
    subject, template_id = split_template_key(record.key)
    return record.offset, subject, template_id, Template.from_bytes(record.value) if record.value else None
