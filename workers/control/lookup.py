"""Records of one stream, looked up on demand: where publishers put the key by default, then in every partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.partitioner import murmur2

from streams.clients import read_partitions

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from streams.settings import Settings
    from streams.topics import Topic


async def records_of_key(settings: Settings, topic: Topic, stream_key: str, since_ns: int | None) -> list[ConsumerRecord]:
    """Records of the stream that reached the broker since a time, in order; None for all.

    A record's own time may be ahead of the broker's by the clock tolerance, so the search begins that much earlier.
    """
    key = stream_key.encode()
    count = settings.partitions(topic)
    likely = (murmur2(key) & 0x7FFFFFFF) % count
    since_ms = None if since_ns is None else max(0, since_ns // 1_000_000 - int(settings.clock_ahead_s * 1000))
    for partitions in ([likely], [p for p in range(count) if p != likely]):
        found = [record async for record in read_partitions(settings, topic.name, partitions, since_ms=since_ms) if record.key == key]
        if found:
            return found
    return []
