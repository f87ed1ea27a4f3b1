"""Publishing inertial samples of many devices at a chosen speed."""

from __future__ import annotations

import asyncio
import heapq
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streams import topics
from streams.clients import producer_of
from streams.messages import ImuChunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from aiokafka import AIOKafkaProducer
    from numpy.typing import NDArray

    from streams.settings import Settings

CHUNK_S = 1.0
"""One message carries about one second."""

MAX_IN_FLIGHT = 5000
"""Messages handed to the producer and not yet acknowledged: bounds memory when pushing at full speed."""


class Samples(Protocol):
    """Where a phone's samples come from, one chunk after the other."""

    def next_chunk(self, seconds: float) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """(N, 3) acceleration in m/s² with gravity and (N, 3) angular rate in rad/s; None at the end."""


@dataclass(slots=True)
class Phone:
    """A device that publishes: `start_ns` is the time of its first sample."""

    device_id: str
    samples: Samples
    start_ns: int
    rate_hz: float = 50.0
    session: str = ""
    placement: str = ""
    claimed_subject: str | None = None
    seq: int = 0
    sent_samples: int = 0

    def next_message(self, seconds: float) -> ImuChunk | None:
        """The next chunk as a message; None when the samples end."""
        chunk = self.samples.next_chunk(seconds)
        if chunk is None:
            return None
        acc_N3, gyro_N3 = chunk
        message = ImuChunk(
            device_id=self.device_id,
            session=self.session,
            seq=self.seq,
            start_ns=self.start_ns + round(self.sent_samples * 1e9 / self.rate_hz),
            rate_hz=self.rate_hz,
            acc=acc_N3,
            gyro=gyro_N3,
            placement=self.placement,
            claimed_subject=self.claimed_subject,
        )
        self.seq += 1
        self.sent_samples += len(acc_N3)
        return message


async def publish(
    settings: Settings,
    phones: Iterable[Phone],
    *,
    speed: float | None = 1.0,
    chunk_s: float = CHUNK_S,
    on_progress: Callable[[int], None] | None = None,
    until: asyncio.Event | None = None,
) -> int:
    """Publish until every phone ends (or `until` is set) and return the number of messages.

    A chunk is sent when its last sample has been taken, at `speed` times real time counted from the call; None means as fast as
    the broker takes it.  Phones begin spread over a chunk's length, as real ones do.  Raises KafkaError when a message is lost.
    """
    producer = producer_of(settings)
    await producer.start()
    try:
        return await _publish(producer, list(phones), speed, chunk_s, on_progress, until)
    finally:
        await producer.stop()


async def _publish(
    producer: AIOKafkaProducer,
    phones: list[Phone],
    speed: float | None,
    chunk_s: float,
    on_progress: Callable[[int], None] | None,
    until: asyncio.Event | None,
) -> int:
    began = time.monotonic()
    queue = [(chunk_s * (1 + i / max(1, len(phones))), i) for i in range(len(phones))]
    heapq.heapify(queue)
    in_flight: set[asyncio.Future[object]] = set()
    sent = 0
    while queue and not (until and until.is_set()):
        due_s, i = heapq.heappop(queue)
        if speed is not None and (wait_s := began + due_s / speed - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        message = phones[i].next_message(chunk_s)
        if message is None:
            continue
        future = await producer.send(topics.IMU_RAW.name, message.to_bytes(), key=message.device_id.encode())
        in_flight.add(future)
        sent += 1
        heapq.heappush(queue, (due_s + chunk_s, i))
        if len(in_flight) >= MAX_IN_FLIGHT or sent % 200 == 0:
            in_flight = await _settle(in_flight)
            if on_progress:
                on_progress(sent)
    while in_flight:
        done, in_flight = await asyncio.wait(in_flight)
        for future in done:
            future.result()
    if on_progress:
        on_progress(sent)
    return sent


async def _settle(in_flight: set[asyncio.Future[object]]) -> set[asyncio.Future[object]]:
    """Drop acknowledged messages; wait when too many are not."""
    timeout = None if len(in_flight) >= MAX_IN_FLIGHT else 0
    done, left = await asyncio.wait(in_flight, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()
    return left
