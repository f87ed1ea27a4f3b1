"""Kafka clients, configured once: every producer is idempotent, every consumer commits by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiokafka import ConsumerRecord

    from streams.settings import Settings

DELIVERY_TIMEOUT_S = 120.0
"""How long a producer keeps trying: longer than a broker's restart, so that a restart costs time and not messages."""

LINGER_MS = 5
"""Time to gather a batch of messages for one partition.  Awaiting each send with linger is 165 messages/s: gather the futures."""


METADATA_MAX_AGE_MS = 30_000
"""How late a group notices new partitions, or a topic that did not exist when it subscribed."""


CLOSE_S, LEAVE_S = 0.5, 10.0
"""How long `stop` of a plain reader, and of a member of a group, waits at most.  It goes on in the background.

Over TLS aiokafka waits until the connection is shut down on both sides.  While the answer to a fetch is on its way, asyncio's and uvloop's TLS do
not come to that and give up after 30 s: measured with Apache Kafka 4.3 for most readers, and each takeover of partitions has one."""

_closing: set[asyncio.Task[None]] = set()

_send = AIOKafkaConnection.send


def _send_or_say_closed(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    """aiokafka's `send`, whose only error is KafkaConnectionError where the broker has just closed the connection.

    For a few turns of the loop the transport is closed and the connection does not know it yet. asyncio drops what is written then, uvloop raises
    RuntimeError. In aiokafka 0.14 that ends the task that looks for brokers, nobody is told, and a worker whose broker was restarted in that moment
    never finds its group again.
    """
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
        raise KafkaConnectionError(f"the connection is closed: {error}") from error


AIOKafkaConnection.send = _send_or_say_closed


class Consumer(AIOKafkaConsumer):
    """aiokafka's consumer; only `stop` does not wait for the end of a TLS connection, and a `start` that fails leaves nothing open."""

    group: str | None = None

    async def start(self) -> None:
        """Connect, and join the group.  Raises KafkaError; whoever tries again with a new consumer leaves none behind."""
        try:
            await super().start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close, leaving the group."""
        task = asyncio.create_task(super().stop())
        _closing.add(task)
        task.add_done_callback(_closing.discard)
        done, _ = await asyncio.wait({task}, timeout=CLOSE_S if self.group is None else LEAVE_S)
        for ended in done:
            ended.result()


def producer_of(settings: Settings, **overrides: Any) -> AIOKafkaProducer:
    """Idempotent producer: what a retry repeats is stored once, and in order."""
    arguments: dict[str, Any] = {
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": LINGER_MS,
        "request_timeout_ms": int(DELIVERY_TIMEOUT_S * 1000),
        "max_batch_size": 256 * 1024,
    }
    return AIOKafkaProducer(**settings.kafka(), **(arguments | overrides))


def consumer_of(settings: Settings, *topics: str, group: str | None = None, **overrides: Any) -> Consumer:
    """Consumer that commits by hand and begins at the oldest message; without a group it is a plain reader."""
    arguments: dict[str, Any] = {
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": int(settings.session_timeout_s * 1000),
        "heartbeat_interval_ms": int(settings.session_timeout_s * 1000 / 4),
        "rebalance_timeout_ms": int((settings.revoke_budget_s + settings.session_timeout_s) * 1000),
        "max_poll_interval_ms": 600_000,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "fetch_max_wait_ms": 100,
        "fetch_max_bytes": 16 * 1024 * 1024,
        "max_partition_fetch_bytes": 2 * 1024 * 1024,
    }
    consumer = Consumer(*topics, **settings.kafka(), **(arguments | overrides))
    consumer.group = group
    return consumer


async def read_partitions(
    settings: Settings, topic: str, partitions: Iterable[int] | None = None, *, since_ms: int | None = None
) -> AsyncIterator[ConsumerRecord]:
    """What lies in a topic now, partition by partition, from the beginning or from a broker time, up to the end as it is at the call."""
    consumer = consumer_of(settings)
    await consumer.start()
    try:
        known = sorted(await partitions_of(settings, topic)) if partitions is None else partitions
        wanted = [TopicPartition(topic, p) for p in known]
        if not wanted:
            return
        consumer.assign(wanted)
        begin = await consumer.beginning_offsets(wanted)
        end = await consumer.end_offsets(wanted)
        if since_ms is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(wanted, since_ms))
            begin = {p: max(begin[p], found[p].offset if found[p] else end[p]) for p in wanted}
        left = {p for p in wanted if begin[p] < end[p]}
        for p in wanted:
            consumer.seek(p, begin[p])
        consumer.pause(*(set(wanted) - left))
        while left:
            for p, records in (await consumer.getmany(*left, timeout_ms=1000)).items():
                for record in records:
                    if record.offset < end[p]:
                        yield record
            done = {p for p in left if await consumer.position(p) >= end[p]}
            left -= done
            consumer.pause(*done)
    finally:
        await consumer.stop()


async def partitions_of(settings: Settings, topic: str) -> set[int]:
    """Partition numbers of a topic; empty when there is none."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        described = await admin.describe_topics([topic])
        return {p["partition"] for t in described if not t["error_code"] for p in t["partitions"]}
    finally:
        await admin.close()
