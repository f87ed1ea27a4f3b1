"""Load that goes on through every fault, and who listens to its events."""

import asyncio
import json
import re
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.clients import producer_of
from streams.settings import Settings
from streams.topics import IMU_RAW, Topic
from tests.support.pipeline import OrderedIds, WorkerProcess

Message = tuple[bytes | None, bytes | None]


class Flow:
    """Publishes messages at a steady pace and never gives up, as a gateway would; knows how far it is."""

    def __init__(self, settings: Settings, messages: list[Message], seconds: float) -> None:
        self._settings, self._messages, self._pause_s = settings, messages, seconds / len(messages)
        self.sent = 0
        self._limit, self._more = 1.0, asyncio.Event()

    def allow(self, share: float) -> None:
        """Wait after this part of the messages until more are allowed."""
        self._limit = share
        self._more.set()

    @property
    def share(self) -> float:
        """Part of the messages that was handed to the producer."""
        return self.sent / len(self._messages)

    async def run(self) -> None:
        producer = producer_of(self._settings)
        await producer.start()
        try:
            futures = []
            for key, value in self._messages:
                while self.share >= self._limit:
                    self._more.clear()
                    await self._more.wait()
                futures.append(await producer.send(IMU_RAW.name, value, key=key))
                self.sent += 1
                await asyncio.sleep(self._pause_s)
            await asyncio.gather(*futures)
        finally:
            await producer.stop()


class Subscriber:
    """A downstream service: reads events live, through every fault, without a group."""

    def __init__(self, settings: Settings, topics: Sequence[Topic]) -> None:
        self._settings, self._names = settings, [topic.name for topic in topics]
        self.seen: OrderedIds = {}
        self.last_s = dict.fromkeys(self._names, time.monotonic())

    async def run(self) -> None:
        consumer = AIOKafkaConsumer(*self._names, **self._settings.kafka(), auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        try:
            while True:
                try:
                    batches = await consumer.getmany(timeout_ms=200)
                except KafkaError:
                    continue
                for records in batches.values():
                    for record in records:
                        self.seen.setdefault((record.topic, record.key), []).append(dict(record.headers)["id"].decode())
                        self.last_s[record.topic] = time.monotonic()
        finally:
            await consumer.stop()


def held(worker: WorkerProcess) -> set[int]:
    """Partitions of the last assignment in a worker's log."""
    assignments = re.findall(r'"partitions": (\[[^]]*\]), "event": "assigned"', worker.log())
    return set(json.loads(assignments[-1])) if assignments else set()
