"""What independent clients see, the same on the embedded broker and on Apache Kafka: aiokafka and librdkafka."""

import asyncio
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import confluent_kafka as ck
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, OffsetOutOfRangeError
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic

from streams.broker import EmbeddedBroker
from tests.support.brokers import create_topic, kafka_home

WAIT_S = 30


async def read_all(bootstrap: str, topic: str, count: int, **options: object) -> list:
    """The first ``count`` records of a topic."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", **options) as consumer:
        records: list = []
        async with asyncio.timeout(WAIT_S):
            while len(records) < count:
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records += batch
        return records


@pytest.mark.parametrize(
    ("options", "acknowledged"),
    [
        ({"acks": 0}, False),  # no answer at all
        ({"acks": 1}, True),
        ({"acks": "all"}, True),
        ({"enable_idempotence": True}, True),
        ({"compression_type": "gzip"}, True),
        ({"compression_type": "zstd", "enable_idempotence": True}, True),
        ({"compression_type": "lz4"}, True),
        ({"compression_type": "snappy"}, True),
    ],
)
async def test_aiokafka_round_trip(bootstrap: str, name: str, options: dict, acknowledged: bool) -> None:
    await create_topic(bootstrap, name, 3, retention_ms=-1)  # the records are of long ago
    sent = [(i % 3, b"key %d" % i, bytes([i % 256]) * i, 1_700_000_000_000 + i, [("h", b"%d" % i)]) for i in range(300)]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, **options) as producer:
        futures = [
            await producer.send(name, value, key, partition=p, timestamp_ms=ms, headers=headers) for p, key, value, ms, headers in sent
        ]
        done = await asyncio.gather(*futures)
    if acknowledged:
        assert [d.offset for d in done] == [i // 3 for i in range(300)]
    records = await read_all(bootstrap, name, 300)
    assert sorted((r.timestamp, r.partition, r.key, r.value, list(r.headers)) for r in records) == [
        (ms, p, key, value, headers) for p, key, value, ms, headers in sent
    ]
    for partition in range(3):
        assert [r.offset for r in records if r.partition == partition] == list(range(100))


async def test_a_waiting_fetch_wakes_up(bootstrap: str, name: str) -> None:
    await create_topic(bootstrap, name)
    async with (
        AIOKafkaConsumer(
            name, bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=20_000, request_timeout_ms=40_000
        ) as consumer,
        AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
    ):
        waiting = asyncio.ensure_future(consumer.getone())
        for _ in range(3):
            await asyncio.sleep(0.2)  # let the fetch reach the broker and wait there
            assert not waiting.done()
        await producer.send_and_wait(name, b"now")
        async with asyncio.timeout(10):  # half of what the fetch may wait
            assert (await waiting).value == b"now"


async def test_a_batch_larger_than_the_fetch_is_delivered(bootstrap: str, name: str) -> None:
    await create_topic(bootstrap, name, 2)
    values = [bytes(200_000), bytes(300_000), b"small"]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for i, value in enumerate(values * 2):
            await producer.send_and_wait(name, value, partition=i % 2)
    records = await read_all(bootstrap, name, 6, fetch_max_bytes=1000, max_partition_fetch_bytes=1000)
    assert Counter(len(r.value) for r in records) == {200_000: 2, 300_000: 2, 5: 2}


async def test_offsets_for_times_look_inside_batches(bootstrap: str, name: str) -> None:
    await create_topic(bootstrap, name, retention_ms=-1)
    partition = TopicPartition(name, 0)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type="gzip") as producer:
        for times in ([1000, 2000, 3000], [5000, 4000, 6000]):  # two batches; times need not be in order
            batch = producer.create_batch()
            for ms in times:
                batch.append(key=b"k", value=b"%d" % ms, timestamp=ms)
            await (await producer.send_batch(batch, name, partition=0))
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        assert await consumer.end_offsets([partition]) == {partition: 6}
        for wanted, expected in [(0, (0, 1000)), (1500, (1, 2000)), (3000, (2, 3000)), (3500, (3, 5000)), (5500, (5, 6000)), (6001, None)]:
            found = (await consumer.offsets_for_times({partition: wanted}))[partition]
            assert (found and (found.offset, found.timestamp)) == expected, wanted


async def test_errors_that_clients_see(bootstrap: str, name: str) -> None:
    await create_topic(bootstrap, name, max_message_bytes=1000, retention_ms=-1)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(name, bytes(2000))
        await producer.send_and_wait(name, b"fits")
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none") as consumer:
        consumer.assign([TopicPartition(name, 0)])
        consumer.seek(TopicPartition(name, 0), 77)
        with pytest.raises(OffsetOutOfRangeError):
            async with asyncio.timeout(WAIT_S):
                await consumer.getone()


def code_of(future: object) -> str:
    """Name of the error that an admin request ended with, or NO_ERROR."""
    try:
        future.result(WAIT_S)  # type: ignore[attr-defined]
    except ck.KafkaException as error:
        return error.args[0].name()
    return "NO_ERROR"


def eventually(probe: Callable[[], object], expected: object) -> None:
    """Kafka answers a change when its controller has it; the broker that is asked next may learn of it a little later."""
    deadline_s = time.monotonic() + WAIT_S
    while (found := probe()) != expected and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert found == expected


@pytest.mark.parametrize(
    ("topic", "options", "expected"),
    [
        ("{name}", {}, "NO_ERROR"),
        ("{name}", {"num_partitions": 0}, "INVALID_PARTITIONS"),
        ("{name}", {"replication_factor": 3}, "INVALID_REPLICATION_FACTOR"),
        ("with space {name}", {}, "TOPIC_EXCEPTION"),
        ("..", {}, "TOPIC_EXCEPTION"),
        ("n" * 250, {}, "TOPIC_EXCEPTION"),
        ("{name}", {"config": {"retention.ms": "soon"}}, "INVALID_CONFIG"),
        ("{name}", {"config": {"no.such.key": "1"}}, "INVALID_CONFIG"),
        ("{name}", {"config": {"cleanup.policy": "compact,delete", "min.insync.replicas": "1"}}, "NO_ERROR"),
    ],
)
def test_creating_topics_as_librdkafka_sees_it(bootstrap: str, name: str, topic: str, options: dict, expected: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = topic.format(name=name)
    wanted = NewTopic(topic, **({"num_partitions": 2, "replication_factor": 1} | options))
    for validate_only in (True, False):
        assert code_of(admin.create_topics([wanted], validate_only=validate_only)[topic]) == expected
    if expected == "NO_ERROR":
        eventually(lambda: topic in admin.list_topics(timeout=WAIT_S).topics, True)
    else:
        assert topic not in admin.list_topics(timeout=WAIT_S).topics
    if expected == "NO_ERROR":
        assert code_of(admin.create_topics([wanted])[topic]) == "TOPIC_ALREADY_EXISTS"


def test_life_of_a_topic_as_librdkafka_sees_it(bootstrap: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 2, 1, config={"retention.ms": "100000"})])[name].result(WAIT_S)

    def described() -> dict[str, str]:
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        return {key: entry.value for key, entry in admin.describe_configs([resource])[resource].result(WAIT_S).items()}

    eventually(lambda: described()["retention.ms"], "100000")
    assert described()["cleanup.policy"] == "delete"
    for value, operation, expected in [
        ("200000", AlterConfigOpType.SET, "200000"),
        (None, AlterConfigOpType.DELETE, "604800000"),
    ]:
        change = ConfigResource(
            ConfigResource.Type.TOPIC, name, incremental_configs=[ConfigEntry("retention.ms", value, incremental_operation=operation)]
        )
        admin.incremental_alter_configs([change])[change].result(WAIT_S)
        eventually(lambda: described()["retention.ms"], expected)
    assert code_of(admin.create_partitions([NewPartitions(name, 1)])[name]) == "INVALID_PARTITIONS"
    assert code_of(admin.create_partitions([NewPartitions(name, 5)])[name]) == "NO_ERROR"
    eventually(lambda: len(admin.list_topics(name, timeout=WAIT_S).topics[name].partitions), 5)

    producer = ck.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for i in range(10):
        producer.produce(name, b"%d" % i, partition=4)
    assert producer.flush(WAIT_S) == 0
    partition = ck.TopicPartition(name, 4, 6)
    assert admin.delete_records([partition])[partition].result(WAIT_S).low_watermark == 6
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": name})
    assert consumer.get_watermark_offsets(ck.TopicPartition(name, 4), timeout=WAIT_S) == (6, 10)
    consumer.close()

    assert code_of(admin.delete_topics([name])[name]) == "NO_ERROR"
    eventually(lambda: code_of(admin.delete_topics([name])[name]), "UNKNOWN_TOPIC_OR_PART")


def test_compacted_topics_refuse_records_without_key(bootstrap: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, 1, config={"cleanup.policy": "compact"})])[name].result(WAIT_S)
    outcomes: list = []
    producer = ck.Producer({"bootstrap.servers": bootstrap})
    for key in (None, b"key"):
        producer.produce(name, b"value", key, on_delivery=lambda error, _: outcomes.append(error and error.name()))
        assert producer.flush(WAIT_S) == 0
    assert outcomes == ["INVALID_RECORD", None]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_librdkafka_round_trip(bootstrap: str, name: str, codec: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(WAIT_S)
    failures: list = []
    producer = ck.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": codec, "linger.ms": 5})
    for i in range(2000):
        producer.produce(name, b"value %d" % i, b"key %d" % (i % 50), on_delivery=lambda error, _: error and failures.append(error))
    assert producer.flush(WAIT_S) == 0
    assert failures == []
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": name, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([name])
    values: list[bytes] = []
    while len(values) < 2000:
        messages = consumer.consume(2000, timeout=WAIT_S)
        assert messages
        assert all(message.error() is None for message in messages)
        values += [message.value() for message in messages]
    assert sorted(values) == sorted(b"value %d" % i for i in range(2000))
    committed = consumer.commit(asynchronous=False)
    assert sum(p.offset for p in committed) == 2000
    consumer.close()


def test_kcat(bootstrap: str, name: str) -> None:
    kcat = shutil.which("kcat") or shutil.which("kafkacat")
    if kcat is None:
        pytest.skip("kcat is not installed: apt-get install kcat")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(WAIT_S)
    subprocess.run([kcat, "-b", bootstrap, "-P", "-t", name, "-K:"], input="a:1\nb:2\n", text=True, check=True, timeout=WAIT_S)
    read = [kcat, "-b", bootstrap, "-C", "-t", name, "-o", "beginning", "-e", "-q", "-K:"]
    assert subprocess.run(read, capture_output=True, text=True, check=True, timeout=WAIT_S).stdout == "a:1\nb:2\n"


async def test_the_java_client(embedded: EmbeddedBroker, name: str) -> None:
    home = kafka_home()
    if home is None or shutil.which("javac") is None:
        pytest.skip("needs KAFKA_HOME for the jars and a JDK that compiles a source file")
    source = Path(__file__).with_name("JavaClient.java")
    process = await asyncio.create_subprocess_exec(
        *["java", "-Xmx128m", "-cp", f"{home}/libs/*", str(source), embedded.bootstrap, name],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        output, errors = await process.communicate()
    assert output.decode().splitlines() == [
        "partitions 3",
        "retention 3600000",
        "read 3000",
        "committed 5 held back",
        "at time 100",
        "end 1000",
        "group Empty",
        "topics false",
    ], errors.decode()[-3000:]
