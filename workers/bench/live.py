"""Latency under a live load: from the last sample of a window to its event at a subscriber.

The phones publish from a process of their own (`python -m workers.bench live PHONES SECONDS`), so that the subscriber's clock does not wait for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from aiokafka import TopicPartition

from streams import topics
from streams.clients import consumer_of
from streams.errors import Unavailable
from streams.messages import IdentityEvent
from streams.settings import Settings
from workers.bench.load import phone_pool, publish_live
from workers.bench.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from aiokafka import ConsumerRecord

WARM_UP_S = 6
"""The first windows of phones that all begin at once, and the first batches of the workers, are not the steady state."""


@dataclass(frozen=True, slots=True)
class LiveResult:
    """Latencies of the events after the warm-up, and what the machine was doing meanwhile."""

    phones: int
    events: int
    p50_ms: float
    p99_ms: float
    generator_late_ms: float
    """How late the latest chunk was sent: it is part of the latencies, and a large one says that the machine was too busy."""
    load_average: float
    """Runnable processes on the machine in the minute that ends with the measurement (1.0 a core is full)."""


async def run_live(settings: Settings, phones: int, seconds: int, folder: Path) -> LiveResult:
    """Publish `phones` live for the warm-up and `seconds`, and listen.  Raises Unavailable when nothing can be measured."""
    generator = Process(["-m", "workers.bench", "live", str(phones), str(WARM_UP_S + seconds)], settings, folder / "generator.log")
    arrivals = await listen(settings, generator, seconds, "the generator")
    return _result(phones, arrivals, json.loads(generator.output().splitlines()[-1]))


async def listen(settings: Settings, generator: Process, seconds: int, what: str) -> list[tuple[int, ConsumerRecord]]:
    """(time of arrival, identity event) while the generator runs for the warm-up and `seconds`, and until the last ones are in.

    Raises Unavailable when it fails; `what` names it.
    """
    consumer = consumer_of(settings)
    await consumer.start()
    arrivals: list[tuple[int, ConsumerRecord]] = []
    try:
        partitions = [TopicPartition(topics.IDENTITY_EVENTS.name, p) for p in range(settings.partitions(topics.IDENTITY_EVENTS))]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        await generator.start()
        ended = asyncio.create_task(generator.finish(WARM_UP_S + seconds + 120.0))
        quiet = 0
        while quiet < 2:  # after the generator's end the last windows still arrive
            records = await consumer.getmany(timeout_ms=1000)
            now_ns = time.time_ns()
            arrivals += [(now_ns, record) for found in records.values() for record in found]
            quiet = quiet + 1 if ended.done() and not records else 0
        if await ended:
            raise Unavailable(f"{what} failed:\n{generator.output()[-2000:]}")
    finally:
        await consumer.stop()
        await generator.stop()
    return arrivals


def _result(phones: int, arrivals: list[tuple[int, ConsumerRecord]], said: dict[str, float]) -> LiveResult:
    from_ns, latency_ms = said["began_ns"] + WARM_UP_S * 1e9, []
    for now_ns, record in arrivals:
        event = IdentityEvent.from_bytes(record.value)
        if event.stream_key.startswith("live-") and event.end_ns >= from_ns:
            latency_ms.append((now_ns - event.end_ns) / 1e6)
    if not latency_ms:
        raise Unavailable(f"{phones} live phones gave no identity event")
    p50, p99 = np.percentile(latency_ms, [50, 99])
    return LiveResult(phones, len(latency_ms), float(p50), float(p99), said["late_s"] * 1e3, os.getloadavg()[0])


async def generate(phones: int, seconds: int) -> None:
    """Publish, and print when that began and how late the generator ever was."""
    pool = phone_pool()
    began_ns = time.time_ns()
    late_s = await publish_live(Settings.read(), pool, phones, seconds)
    print(json.dumps({"began_ns": began_ns, "late_s": late_s}))
