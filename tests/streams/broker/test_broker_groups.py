"""Consumer groups as clients live them, the same on the embedded broker and on Apache Kafka."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import confluent_kafka as ck
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, KafkaError, OffsetMetadataTooLargeError
from confluent_kafka.admin import AdminClient

from tests.support.brokers import BrokerProcess, create_topic, until

PARTITIONS = 8
SESSION_MS = 6000  # the shortest that Apache Kafka allows
WAIT_S = 60


@contextlib.asynccontextmanager
async def admin_of(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def joined(bootstrap: str, topic: str, group: str, **options: object) -> AIOKafkaConsumer:
    """A started member that commits by hand."""
    options = {"session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": 300, "rebalance_timeout_ms": 10_000} | options
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, **options
    )
    await consumer.start()
    return consumer


async def until_shared(members: list[AIOKafkaConsumer]) -> None:
    """Wait until every partition belongs to exactly one member and every member has its share."""

    def is_shared() -> bool:
        owned = sorted(p.partition for m in members for p in m.assignment())
        return owned == list(range(PARTITIONS)) and all(m.assignment() for m in members)

    await until(is_shared)


async def test_members_come_and_go_and_every_record_is_read(bootstrap: str, name: str) -> None:
    await create_topic(bootstrap, name, PARTITIONS)
    members: list[AIOKafkaConsumer] = []
    tasks: dict[AIOKafkaConsumer, asyncio.Task[None]] = {}
    seen: set[bytes] = set()

    async def consume(member: AIOKafkaConsumer) -> None:
        while True:
            for batch in (await member.getmany(timeout_ms=200)).values():
                seen.update(record.value for record in batch)
            with contextlib.suppress(CommitFailedError):  # a rebalance came first: whoever owns the partition reads it again
                await member.commit()

    sent = 0
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        for size in (1, 2, 3, 5, 8, 4, 1):  # of the group
            while len(members) < size:
                members.append(await joined(bootstrap, name, name))
                tasks[members[-1]] = asyncio.ensure_future(consume(members[-1]))
            while len(members) > size:
                leaving = members.pop(0)
                tasks[leaving].cancel()
                await asyncio.gather(tasks.pop(leaving), return_exceptions=True)
                await leaving.stop()
            await asyncio.gather(*[await producer.send(name, b"%d" % i, partition=i % PARTITIONS) for i in range(sent, sent + 100)])
            sent += 100
            await until_shared(members)
        await until(lambda: len(seen) == sent)
    for task in tasks.values():
        assert not task.done()
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await asyncio.gather(*(member.stop() for member in members))
    async with admin_of(bootstrap) as admin:
        committed = await admin.list_consumer_group_offsets(name)
        assert sum(entry.offset for entry in committed.values()) <= sent
        assert len(committed) == PARTITIONS


async def test_partitions_of_a_killed_member_move(shared_broker: BrokerProcess, name: str) -> None:
    bootstrap = shared_broker.bootstrap
    session_ms = 500 if shared_broker.kind == "embedded" else SESSION_MS
    await create_topic(bootstrap, name, PARTITIONS)
    script = Path(__file__).with_name("member_process.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), bootstrap, name, name, str(session_ms), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).split() == [b"%d" % i for i in range(PARTITIONS)]
        survivor = await joined(bootstrap, name, name, session_timeout_ms=session_ms, heartbeat_interval_ms=session_ms // 5)
        assert len((await process.stdout.readline()).split()) == PARTITIONS // 2
    finally:
        process.kill()
        await process.wait()
    await until_shared([survivor])
    await survivor.stop()


def test_a_static_member_comes_back_without_a_rebalance(bootstrap: str, name: str) -> None:
    asyncio.run(create_topic(bootstrap, name, PARTITIONS))
    events: list[tuple[str, str, list[int]]] = []

    def start(instance: str) -> ck.Consumer:
        consumer = ck.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": name,
                "group.instance.id": instance,
                "session.timeout.ms": 30_000,
                "heartbeat.interval.ms": 200,
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe(
            [name],
            on_assign=lambda _, partitions: events.append((instance, "assigned", sorted(p.partition for p in partitions))),
            on_revoke=lambda _, partitions: events.append((instance, "revoked", sorted(p.partition for p in partitions))),
        )
        return consumer

    def owned(consumer: ck.Consumer) -> list[int]:
        return sorted(p.partition for p in consumer.assignment())

    def poll_until(condition: object, *consumers: ck.Consumer) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, events
            for consumer in consumers:
                consumer.poll(0.05)

    first, second = start("a"), start("b")
    poll_until(lambda: len(owned(first)) == len(owned(second)) == PARTITIONS // 2, first, second)
    before = owned(first)
    first.close()  # a static member does not leave the group
    events.clear()
    back = start("a")
    poll_until(lambda: owned(back), back, second)
    assert owned(back) == before
    for _ in range(10):
        second.poll(0.05)
    assert events == [("a", "assigned", before)]  # nothing happened to the other one
    back.close()
    second.close()


async def test_commits_keep_their_metadata(bootstrap: str, name: str) -> None:
    await create_topic(bootstrap, name, 2)
    zero, one = TopicPartition(name, 0), TopicPartition(name, 1)
    member = await joined(bootstrap, name, name)
    await until(lambda: len(member.assignment()) == 2)
    await member.commit({zero: (7, "held back to 7: ä"), one: (3, "")})
    await member.commit({zero: (8, "x" * 4096)})
    with pytest.raises(OffsetMetadataTooLargeError):
        await member.commit({zero: (9, "x" * 4097)})
    assert await member.committed(zero) == 8
    await member.stop()
    async with admin_of(bootstrap) as admin:
        assert await admin.list_consumer_group_offsets(name) == {zero: OffsetAndMetadata(8, "x" * 4096), one: OffsetAndMetadata(3, "")}
        assert await admin.list_consumer_group_offsets(name + "-other") == {}


async def test_a_dropped_member_cannot_commit(shared_broker: BrokerProcess, name: str) -> None:
    bootstrap = shared_broker.bootstrap
    await create_topic(bootstrap, name, PARTITIONS)
    member = await joined(bootstrap, name, name)
    await until_shared([member])
    stale_id, generation = member._coordinator.member_id, member._coordinator.generation
    await member.stop()
    other = await joined(bootstrap, name, name)
    await until_shared([other])
    zombie = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": name, "enable.auto.commit": False})
    zombie.assign([ck.TopicPartition(name, 0, 0)])
    with pytest.raises(ck.KafkaException, match=r"UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION"):  # it is in no group, and the group has members
        await asyncio.to_thread(zombie.commit, offsets=[ck.TopicPartition(name, 0, 5)], asynchronous=False)
    other._coordinator.member_id, other._coordinator.generation, kept = stale_id, generation, other._coordinator.member_id
    with pytest.raises((CommitFailedError, KafkaError)):
        await other.commit({TopicPartition(name, 0): 5})
    other._coordinator.member_id = kept
    assert await other.committed(TopicPartition(name, 0)) is None
    await asyncio.to_thread(zombie.close)
    await other.stop()


async def test_groups_are_listed_described_and_deleted(bootstrap: str, name: str) -> None:
    await create_topic(bootstrap, name, PARTITIONS)
    member = await joined(bootstrap, name, name)
    await until_shared([member])
    await member.commit({TopicPartition(name, 1): 4})
    admin = AdminClient({"bootstrap.servers": bootstrap})

    def work() -> None:
        assert name in [g.group_id for g in admin.list_consumer_groups().result(WAIT_S).valid]
        described = admin.describe_consumer_groups([name])[name].result(WAIT_S)
        assert described.state is ck.ConsumerGroupState.STABLE
        assert sorted(p.partition for m in described.members for p in m.assignment.topic_partitions) == list(range(PARTITIONS))
        with pytest.raises(ck.KafkaException, match="NON_EMPTY_GROUP"):
            admin.delete_consumer_groups([name])[name].result(WAIT_S)

    await asyncio.to_thread(work)
    await member.stop()

    def after() -> None:
        assert admin.describe_consumer_groups([name])[name].result(WAIT_S).state is ck.ConsumerGroupState.EMPTY
        moved = ck.ConsumerGroupTopicPartitions(name, [ck.TopicPartition(name, 1, 2)])
        admin.alter_consumer_group_offsets([moved])[name].result(WAIT_S)  # an operator may commit while nobody is there
        listed = admin.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(name)])[name].result(WAIT_S)
        assert [(p.partition, p.offset) for p in listed.topic_partitions] == [(1, 2)]
        admin.delete_consumer_groups([name])[name].result(WAIT_S)
        with pytest.raises(ck.KafkaException, match="GROUP_ID_NOT_FOUND"):
            admin.delete_consumer_groups([name])[name].result(WAIT_S)

    await asyncio.to_thread(after)
