"""The gallery as a stream: reads `gait.gallery` from its beginning and goes on reading, without a consumer group."""

from __future__ import annotations

import asyncio
from queue import SimpleQueue
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition

from streams import topics
from streams.clients import consumer_of
from streams.errors import BadMessage, UnknownSealKey
from streams.messages import Template
from streams.messages.gallery import split_template_key
from workers.gallery_records import GalleryRecords

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
        self._records = GalleryRecords(settings)
        self.ring = self._records.ring
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read to the present end, then follow in the background.  Raises UnknownSealKey when templates there cannot be opened."""
        self._at = TopicPartition(topics.GALLERY.name, 0)
        self._consumer = consumer_of(self.settings)
        await self._consumer.start()
        self._consumer.assign([self._at])
        await self._consumer.seek_to_beginning(self._at)
        end = (await self._consumer.end_offsets([self._at]))[self._at]
        while await self._consumer.position(self._at) < end:
            await self._read()
        if missing := self._records.missing():
            await self._consumer.stop()
            raise missing
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
                missing = self._records.missing()
                if missing is not None and self.behind is None:
                    log.error("the gallery cannot be followed", error=str(missing))
                self.behind = None if missing is None else str(missing)

    async def _read(self) -> None:
        for records in (await self._consumer.getmany(timeout_ms=500)).values():
            for record in records:
                self._take(record)
        for record in self._records.due():
            self._take(record)

    def _take(self, record: ConsumerRecord) -> None:
        """A record that cannot be used stays out, and what was known of the template stays as it was.  The control plane alone writes there."""
        try:
            template = self._records.take(record)
        except (BadMessage, UnknownSealKey):
            return
        self.changes.put((record.offset, *split_template_key(record.key), template))
