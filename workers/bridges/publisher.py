"""Publishing what devices push: idempotent, keyed by device, never more in flight than is allowed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError

from streams import metrics, topics
from streams.clients import producer_of
from streams.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.messages import ImuChunk
    from streams.settings import Settings

log = structlog.get_logger()

ACKNOWLEDGED_WITHIN_S = 20.0
"""Then the sender is told to try again; the same chunk twice is recognised by its sequence number and counted as repeated."""


class Busy(Unavailable):
    """As many chunks are on their way to Kafka as may be: try again in a moment."""

    reason = "busy"


class Publisher:
    """One producer and the count of what it has not delivered yet; `role` labels its metrics."""

    def __init__(self, settings: Settings, most_in_flight: int, role: str) -> None:
        self._producer = producer_of(settings)
        self.most_in_flight, self._role = most_in_flight, role
        self._in_flight = 0
        self._room = asyncio.Event()
        self._room.set()
        self.failed = False
        """Whether the last delivery failed."""

    async def start(self) -> None:
        """Connect.  Raises KafkaError."""
        await self._producer.start()

    async def stop(self) -> None:
        """Deliver what is in flight and disconnect."""
        await self._producer.stop()

    @property
    def in_flight(self) -> int:
        """Chunks that Kafka has not acknowledged."""
        return self._in_flight

    @property
    def full(self) -> bool:
        """Whether the next push must wait."""
        return self._in_flight >= self.most_in_flight

    async def room(self) -> None:
        """Wait until there is room."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    async def publish(self, chunks: Sequence[ImuChunk], within_s: float | None = ACKNOWLEDGED_WITHIN_S) -> None:
        """Publish and wait until Kafka has acknowledged them.  Raises Busy before anything is sent, or Unavailable."""
        if not chunks:
            return
        if self.full:
            raise Busy(f"{self._in_flight} chunks wait for Kafka: try again in a moment")
        tasks = [asyncio.create_task(self._send(chunk)) for chunk in chunks]
        self._count(len(tasks))
        for task in tasks:
            task.add_done_callback(self._sent)
        _, late = await asyncio.wait(tasks, timeout=within_s)
        if late:
            raise Unavailable(f"Kafka has not acknowledged within {within_s:.0f} s: send it again")
        for task in tasks:
            if error := task.exception():
                raise Unavailable(f"Kafka did not take it: {error}") from None

    async def _send(self, chunk: ImuChunk) -> None:
        await (await self._producer.send(topics.IMU_RAW.name, chunk.to_bytes(), key=chunk.device_id.encode()))
        metrics.OUTPUTS.labels(topics.IMU_RAW.name).inc()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._count(-1)
        error = None if task.cancelled() else task.exception()
        self.failed = error is not None
        if error is not None:
            log.log(30 if isinstance(error, KafkaError) else 40, "a chunk was not delivered", error=repr(error))

    def _count(self, more: int) -> None:
        self._in_flight += more
        metrics.QUEUE_DEPTH.labels(self._role).set(self._in_flight)
        if not self.full:
            self._room.set()
