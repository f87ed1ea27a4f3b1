"""Simulated phones as messages: the backlog that is published at once, and the live load that is published as the samples are taken."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from models.simulation import PhonePool
from streams import topics
from streams.clients import producer_of
from streams.messages import ImuChunk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from models.simulation.live import PooledPhones
    from streams.settings import Settings

MIX = ("walk", "still", "vehicle", "still", "walk", "still", "daily", "still", "vehicle", "still")
"""Dealt out in turn: two phones in ten are on somebody who walks all the time, one on somebody who does so now and then."""

RECORDINGS = len(MIX)
RATE_HZ = 50.0
GROUPS_PER_S = 100
"""The live phones begin in this many groups spread over a second: a message every 10 ms at the coarsest, as independent phones would."""

MAX_IN_FLIGHT = 5000

BROKER_TOPIC, FAUST_TOPIC = "bench.broker", "bench.faust.events"
"""Topics of the measurements themselves, created beside those of gaitstream."""


def phone_pool() -> PhonePool:
    """The phones of every measurement; `walking_share` says how much of their time is level walking."""
    return PhonePool(recordings=RECORDINGS, loop_s=60.0, scripts=MIX, rate_hz=RATE_HZ)


def messages(phones: PooledPhones, names: list[str], second: int, start_ns: int) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of one second of each phone, whose first sample was taken at `start_ns`."""
    acc_BN3, gyro_BN3, _ = phones.chunk(second)
    for name, acc_N3, gyro_N3 in zip(names, acc_BN3, gyro_BN3, strict=True):
        # The generator shares the machine with what it measures: the reader validates, the writer need not.
        chunk = ImuChunk.model_construct(
            device_id=name, session="", seq=second, start_ns=start_ns, rate_hz=RATE_HZ, offsets_ns=None, acc=acc_N3, gyro=gyro_N3,
            placement="", claimed_subject=None,
        )  # fmt: skip
        yield name.encode(), chunk.to_bytes()


async def publish_backlog(settings: Settings, pool: PhonePool, phones: int, seconds: int) -> int:
    """Publish `seconds` of `phones`, second by second, as fast as the broker takes them; the last second ends now.  Number of messages."""
    playing = pool.phones(range(phones))
    names = [f"backlog-{i}" for i in range(phones)]
    start_ns = time.time_ns() - seconds * 1_000_000_000
    producer = producer_of(settings)
    await producer.start()
    try:
        in_flight: list[Awaitable[object]] = []
        for second in range(seconds):
            for key, value in messages(playing, names, second, start_ns + second * 1_000_000_000):
                in_flight.append(await producer.send(topics.IMU_RAW.name, value, key))
                if len(in_flight) >= MAX_IN_FLIGHT:
                    await asyncio.gather(*in_flight)
                    in_flight.clear()
        await asyncio.gather(*in_flight)
    finally:
        await producer.stop()
    return phones * seconds


async def publish_live(settings: Settings, pool: PhonePool, phones: int, seconds: int) -> float:
    """Publish each phone's second when its last sample has been taken; groups of phones begin spread over a second.

    Returns how late the latest group was sent, in seconds: a generator that falls behind makes the measurement void.
    """
    groups = [range(g, phones, GROUPS_PER_S) for g in range(min(GROUPS_PER_S, phones))]
    playing = [(pool.phones(group), [f"live-{i}" for i in group]) for group in groups]
    producer = producer_of(settings)
    await producer.start()
    latest_s = 0.0
    try:
        began, began_ns = time.monotonic(), time.time_ns()
        in_flight: set[asyncio.Future[object]] = set()
        for second in range(seconds):
            for g, (chosen, names) in enumerate(playing):
                offset_s = second + g / len(groups)
                due = began + offset_s + 1.0 - 1.0 / RATE_HZ  # the last of 50 samples is taken 0.98 s after the first
                if (wait_s := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                for key, value in messages(chosen, names, second, began_ns + int(offset_s * 1e9)):
                    in_flight.add(await producer.send(topics.IMU_RAW.name, value, key))
                latest_s = max(latest_s, time.monotonic() - due)
                for future in [f for f in in_flight if f.done()]:
                    future.result()
                    in_flight.discard(future)
        await asyncio.gather(*in_flight)
    finally:
        await producer.stop()
    return latest_s
