"""Reading topics from a moment ago on, for as long as somebody looks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition

from streams.clients import consumer_of, partitions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from streams.settings import Settings

log = structlog.get_logger()

RETRY_S = 1.0


async def tail(
    settings: Settings, names: Sequence[str], look_back_s: float, take: Callable[[ConsumerRecord], None], max_records: int
) -> None:
    """Hands over every record of the topics, of each batch those of the first topic first, and begins again where the broker fails.

    look_back_s: how old the first records are.  max_records: of a batch.  Ends when it is cancelled.
    """
    while True:
        try:
            await _follow(settings, names, look_back_s, take, max_records)
        except Exception as error:  # whatever it is: a page that stands still looks as if nobody walked
            log.warning("reading for the page failed, trying again", topics=names, error=repr(error))
            await asyncio.sleep(RETRY_S)


async def _follow(
    settings: Settings, names: Sequence[str], look_back_s: float, take: Callable[[ConsumerRecord], None], max_records: int
) -> None:
    consumer = consumer_of(settings)
    await consumer.start()
    try:
        await _seek(consumer, settings, names, look_back_s)
        while True:
            found = await consumer.getmany(timeout_ms=500, max_records=max_records)
            for at in sorted(found, key=lambda at: names.index(at.topic)):
                for record in found[at]:
                    take(record)
    finally:
        await consumer.stop()


async def _seek(consumer: AIOKafkaConsumer, settings: Settings, names: Sequence[str], look_back_s: float) -> None:
    partitions = [TopicPartition(name, p) for name in names for p in sorted(await partitions_of(settings, name))]
    if not partitions:
        raise LookupError(f"there are no topics {', '.join(names)}")
    consumer.assign(partitions)
    end = await consumer.end_offsets(partitions)  # asked first: what is written between the two questions must not be skipped
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, int((time.time() - look_back_s) * 1000)))
    for partition in partitions:
        consumer.seek(partition, found[partition].offset if found[partition] else end[partition])
