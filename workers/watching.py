"""Reading identity events as a subscriber does: from the beginning, or from now on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import typer
from aiokafka import TopicPartition

from streams import topics
from streams.clients import consumer_of, partitions_of
from streams.errors import BadMessage, Misconfigured
from streams.messages import IdentityEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streams.settings import Settings


async def identity_events(
    settings: Settings,
    *,
    start: Literal["beginning", "end"] = "end",
    until: asyncio.Event | None = None,
    started: asyncio.Event | None = None,
) -> AsyncIterator[IdentityEvent]:
    """Events as they happen until `until` is set (then what has arrived by then).  `started` is set once nothing can be missed.

    Raises Misconfigured when the topic does not exist.
    """
    consumer = consumer_of(settings)
    await consumer.start()
    try:
        name = topics.IDENTITY_EVENTS.name
        partitions = [TopicPartition(name, p) for p in sorted(await partitions_of(settings, name))]
        if not partitions:
            raise Misconfigured(f"topic {name} does not exist at {settings.bootstrap}; start the workers first")
        consumer.assign(partitions)
        await (consumer.seek_to_end(*partitions) if start == "end" else consumer.seek_to_beginning(*partitions))
        for partition in partitions:
            await consumer.position(partition)
        if started:
            started.set()
        while True:
            stopping = until is not None and until.is_set()
            records = await consumer.getmany(timeout_ms=200)
            for found in records.values():
                for record in found:
                    try:
                        yield IdentityEvent.from_bytes(record.value)
                    except BadMessage:
                        continue  # written by a newer version: not for this reader
            if stopping and not records:
                return
    finally:
        await consumer.stop()


def event_line(event: IdentityEvent) -> str:
    """One line for people."""
    who = {"known": f"{event.subject}", "unknown": "unknown", "undecided": "?"}[event.decision]
    colour = {"known": "green", "unknown": "yellow", "undecided": "bright_black"}[event.decision]
    claim = f"  claims {event.claimed_subject}: {event.verification}" if event.claimed_subject else ""
    contradiction = f"  (was {event.contradicts})" if event.contradicts else ""
    latency_s = (event.decided_ns - event.received_ns) / 1e9
    head = typer.style(f"{who:<16}", fg=colour)
    return (
        f"{head} {event.stream_key:<24} score {event.score:5.2f}  margin {event.margin:5.2f}  sure {event.confidence:4.0%}  "
        f"{event.windows:2d} windows  {latency_s * 1000:5.0f} ms{claim}{contradiction}"
    )
