"""The embedded broker: messages per second of its own CPU time, each written once and read once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from streams import topics
from streams.clients import consumer_of, producer_of
from workers.bench.load import BROKER_TOPIC, messages

if TYPE_CHECKING:
    from models.simulation import PhonePool
    from streams.settings import Settings
    from workers.bench.processes import Process

DISTINCT = 500


async def run_broker(settings: Settings, pool: PhonePool, broker: Process, count: int) -> float:
    """Messages per CPU second of the broker, for `count` chunks of the size that phones send.  BROKER_TOPIC must exist."""
    partitions = settings.partitions(topics.IMU_RAW)
    values = [value for _, value in messages(pool.phones(range(DISTINCT)), [f"broker-{i}" for i in range(DISTINCT)], 0, 0)]
    producer, consumer = producer_of(settings), consumer_of(settings)
    await asyncio.gather(producer.start(), consumer.start())
    try:
        cpu_s = broker.cpu_s()
        for first in range(0, count, 5000):
            batch = range(first, min(first + 5000, count))
            await asyncio.gather(*[await producer.send(BROKER_TOPIC, values[i % DISTINCT], partition=i % partitions) for i in batch])
        consumer.assign([TopicPartition(BROKER_TOPIC, p) for p in range(partitions)])
        await consumer.seek_to_beginning()
        read = 0
        while read < count:
            read += sum(map(len, (await consumer.getmany(timeout_ms=1000)).values()))
        # A short run may take less than one tick of the clock that CPU time is counted with.
        return count / max(broker.cpu_s() - cpu_s, 0.01)
    finally:
        await asyncio.gather(producer.stop(), consumer.stop())
