"""Crashes, full disks, nonsense on the wire: what was acknowledged stays, and the broker goes on."""

import asyncio
import contextlib
import io
import os
import random
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kio.serial import entity_writer

from streams.broker import DirectoryInUse, EmbeddedBroker, Limits, NotLoopback
from streams.broker.api import BY_VERSION
from tests.streams.broker.test_broker_wire import build, encoded
from tests.support.brokers import REPOSITORY, BrokerProcess, Kind, broker_kinds, create_topic, until

WAIT_S = 60
PARTITIONS = 4


async def read_values(bootstrap: str, topic: str, partitions: int = PARTITIONS) -> dict[int, list[bytes]]:
    """All values of a topic by partition, up to the end as it is now."""
    tps = [TopicPartition(topic, i) for i in range(partitions)]
    values: dict[int, list[bytes]] = {i: [] for i in range(partitions)}
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        async with asyncio.timeout(WAIT_S):
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for tp, batch in (await consumer.getmany(timeout_ms=500)).items():
                    values[tp.partition] += [record.value for record in batch]
    return values


class Load:
    """A producer that never stops; ``acknowledged`` grows as the broker confirms."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.acknowledged: set[int] = set()
        self.failures: list[BaseException] = []
        self.sent = 0
        self._topic = topic
        self._stopping = False
        self._futures: list[asyncio.Future] = []
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, request_timeout_ms=60_000)

    async def __aenter__(self) -> "Load":
        await self._producer.start()
        self._task = asyncio.ensure_future(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        async with asyncio.timeout(2 * WAIT_S):
            await self._task
            await asyncio.gather(*self._futures, return_exceptions=True)
            await self._producer.stop()

    async def _send(self) -> None:
        while not self._stopping:
            for _ in range(20):
                number = self.sent
                future = await self._producer.send(self._topic, b"%d " % number + bytes(500), partition=number % PARTITIONS)
                future.add_done_callback(lambda done, number=number: self._done(done, number))
                self._futures.append(future)
                self.sent += 1
            await asyncio.sleep(0.005)

    def _done(self, done: asyncio.Future, number: int) -> None:
        if done.exception() is None:
            self.acknowledged.add(number)
        else:
            self.failures.append(done.exception())

    async def until(self, count: int) -> None:
        """Wait until ``count`` more are acknowledged."""
        wanted = len(self.acknowledged) + count
        await until(lambda: len(self.acknowledged) >= wanted)


def check_nothing_lost(load: Load, values: dict[int, list[bytes]]) -> None:
    """Every acknowledged record is there once and in order."""
    assert load.failures == []
    for partition, found in values.items():
        numbers = [int(value.split()[0]) for value in found]
        assert numbers == sorted(set(numbers)), "repeated or out of order"
        assert set(numbers) >= {n for n in load.acknowledged if n % PARTITIONS == partition}, "lost"


@pytest.mark.parametrize("broker_kind", broker_kinds(kafka=False))  # passes on Apache Kafka too, which takes 30 s to come back
async def test_killing_the_broker_under_load_loses_nothing(broker_kind: Kind, tmp_path: Path, name: str) -> None:
    with BrokerProcess(broker_kind, tmp_path / "broker") as broker:
        await create_topic(broker.bootstrap, name, PARTITIONS)
        async with Load(broker.bootstrap, name) as load:
            for _ in range(3 if broker_kind == "embedded" else 1):
                await load.until(1000)
                broker.kill()
                await asyncio.to_thread(broker.start)
            await load.until(1000)
        assert len(load.acknowledged) == load.sent
        check_nothing_lost(load, await read_values(broker.bootstrap, name))


@pytest.mark.parametrize("broker_kind", broker_kinds(kafka=False))  # passes on Apache Kafka too, which takes 30 s to come back
async def test_a_group_outlives_the_broker(broker_kind: Kind, tmp_path: Path, name: str) -> None:
    with BrokerProcess(broker_kind, tmp_path / "broker") as broker:
        await create_topic(broker.bootstrap, name, 2)
        options = {"session_timeout_ms": 30_000, "heartbeat_interval_ms": 200, "enable_auto_commit": False}
        async with (
            AIOKafkaConsumer(name, bootstrap_servers=broker.bootstrap, group_id=name, auto_offset_reset="earliest", **options) as member,
            AIOKafkaProducer(bootstrap_servers=broker.bootstrap, request_timeout_ms=60_000) as producer,
        ):
            await producer.send_and_wait(name, b"before", partition=0)
            assert (await member.getone()).value == b"before"
            await member.commit()
            generation = member._coordinator.generation
            broker.kill()
            await asyncio.to_thread(broker.start)
            await producer.send_and_wait(name, b"after", partition=0)
            async with asyncio.timeout(WAIT_S):
                assert (await member.getone()).value == b"after"
                await member.commit()
            assert member._coordinator.generation == generation  # nobody had to join again, and nobody took over meanwhile
            assert await member.committed(TopicPartition(name, 0)) == 2


def fill_disk(broker: BrokerProcess, full: bool) -> None:
    """Let every write that makes a file longer fail from now on, or succeed again."""
    assert broker.pid is not None
    _, hard = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))


async def test_a_full_disk_stops_writing_until_there_is_space(tmp_path: Path, name: str) -> None:
    with BrokerProcess("embedded", tmp_path / "broker") as broker:
        await create_topic(broker.bootstrap, name, PARTITIONS)
        async with (
            Load(broker.bootstrap, name) as load,
            AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=name, enable_auto_commit=False) as consumer,
        ):
            consumer.assign([TopicPartition(name, 0)])
            await load.until(500)
            fill_disk(broker, True)
            await until(lambda: len(load.acknowledged) < load.sent - 100)
            await asyncio.sleep(0.3)  # some retries
            before = len(load.acknowledged)
            assert sum(map(len, (await read_values(broker.bootstrap, name)).values())) >= before  # reading goes on
            commit = asyncio.ensure_future(consumer.commit({TopicPartition(name, 0): 1}))
            await asyncio.sleep(0.3)
            assert not commit.done()
            assert len(load.acknowledged) == before < load.sent
            fill_disk(broker, False)
            await load.until(500)
            async with asyncio.timeout(WAIT_S):
                await commit
        check_nothing_lost(load, await read_values(broker.bootstrap, name))
        broker.kill()
        broker.start()
        check_nothing_lost(load, await read_values(broker.bootstrap, name))


# --- nonsense on the wire


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess("embedded", tmp_path_factory.mktemp("fuzzed")) as broker:
        asyncio.run(create_topic(broker.bootstrap, "fuzz", 1))
        yield broker
        assert "Traceback" not in broker.log()


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def talk(broker: BrokerProcess, data: bytes) -> bytes:
    """What the broker answers to raw bytes until it closes, or has nothing more to say for a moment."""
    answer = b""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=5) as connection, contextlib.suppress(ConnectionError, TimeoutError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            answer += piece
    return answer


def alive(broker: BrokerProcess) -> bool:
    """It answers ApiVersions on a new connection."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=5) as connection:
        connection.sendall(framed(struct.pack(">hhih", 18, 0, 77, -1)))
        return connection.recv(65536)[4:10] == struct.pack(">ih", 77, 0)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.binary(max_size=300))
def test_random_bytes(fuzzed: BrokerProcess, data: bytes) -> None:
    talk(fuzzed, data)
    assert alive(fuzzed)


@FUZZ
@given(key=st.integers(-1, 70), version=st.integers(-1, 15), body=st.binary(max_size=200))
def test_random_requests(fuzzed: BrokerProcess, key: int, version: int, body: bytes) -> None:
    talk(fuzzed, framed(struct.pack(">hhi", key, version, 1) + body))
    assert alive(fuzzed)


@FUZZ
@given(which=st.sampled_from(sorted(BY_VERSION)), seed=st.integers(0, 2**32), data=st.data())
def test_damaged_requests(fuzzed: BrokerProcess, which: tuple[int, int], seed: int, data: st.DataObject) -> None:
    schema = BY_VERSION[which].request(which[1])
    buffer = io.BytesIO()
    header = schema.__header_schema__(request_api_key=which[0], request_api_version=which[1], correlation_id=1, client_id="fuzz")
    entity_writer(type(header))(buffer, header)
    body = bytearray(buffer.getvalue() + encoded(schema, build(schema, random.Random(seed))))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(8, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    talk(fuzzed, framed(bytes(body[: data.draw(st.integers(8, len(body)))])))
    assert alive(fuzzed)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">i", 2**31 - 1) + b"x" * 100,  # a request of two GiB
        struct.pack(">i", -1),  # a negative length
        struct.pack(">i", 3) + b"abc",  # too short for a header
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",  # a browser
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),  # TLS
    ],
)
def test_unframed_bytes_close_the_connection(fuzzed: BrokerProcess, data: bytes) -> None:
    assert talk(fuzzed, data) == b""
    assert alive(fuzzed)


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(fuzzed: BrokerProcess) -> None:
    answer = talk(fuzzed, framed(struct.pack(">hhi", 18, 99, 5) + b"whatever"))
    assert answer[4:10] == struct.pack(">ih", 5, 35)


# --- limits


async def until_closed(reader: asyncio.StreamReader) -> None:
    """Wait for the broker to close the connection without a word."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send an ApiVersions request and read its answer."""
    writer.write(framed(struct.pack(">hhih", 18, 0, 1, -1)))
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    await reader.readexactly(size)


async def test_connections_and_requests_are_limited(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, limits=Limits(connections=3, request_bytes=1000)) as broker:
        host, port = broker.bootstrap.split(":")
        clients = [await asyncio.open_connection(host, port) for _ in range(3)]
        for client in clients:
            await greet(*client)
        fourth = await asyncio.open_connection(host, port)
        await until_closed(fourth[0])
        reader, writer = clients.pop()
        writer.write(struct.pack(">i", 1001) + bytes(1001))
        await until_closed(reader)
        clients.append(await asyncio.open_connection(host, port))  # there is room again
        for client in clients:
            await greet(*client)
            client[1].close()


async def test_a_client_that_goes_away_leaves_nothing_behind(embedded: EmbeddedBroker, name: str) -> None:
    await create_topic(embedded.bootstrap, name)
    consumer = AIOKafkaConsumer(name, bootstrap_servers=embedded.bootstrap, fetch_max_wait_ms=30_000, request_timeout_ms=60_000)
    await consumer.start()
    waiting = asyncio.ensure_future(consumer.getone())
    state = embedded.state
    await until(lambda: state.waiting_fetches == 1)
    waiting.cancel()
    await consumer.stop()
    await until(lambda: state.waiting_fetches == 0)
    assert not state.topics.partition(name, 0).waiting


# --- starting


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.0.2.1", "8.8.8.8"])
async def test_it_refuses_to_listen_for_other_machines(tmp_path: Path, host: str) -> None:
    with pytest.raises(NotLoopback, match="refuses to listen"):
        await EmbeddedBroker(tmp_path, host=host).start()


def test_the_command_line_says_why_it_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streams.broker", "--data", str(tmp_path), "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=WAIT_S)
    assert (done.returncode, done.stdout) == (2, "")
    assert "refuses to listen on '0.0.0.0'" in done.stderr


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    broker = BrokerProcess("embedded", tmp_path / "broker")
    broker.start()
    with socket.create_connection(("127.0.0.1", broker.port)):  # an open connection does not keep it
        broker.stop()
    assert broker.exit_status == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
async def test_any_loopback_address_will_do(tmp_path: Path, host: str, name: str) -> None:
    async with EmbeddedBroker(tmp_path, host=host) as broker:
        await create_topic(broker.bootstrap, name)


async def test_one_broker_per_directory(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path):
        with pytest.raises(DirectoryInUse, match=str(tmp_path)):
            await EmbeddedBroker(tmp_path).start()
    async with EmbeddedBroker(tmp_path):
        pass


async def test_a_port_that_is_taken_is_reported_and_the_directory_is_free_again(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path / "a") as first:
        with pytest.raises(OSError, match="address already in use"):
            await EmbeddedBroker(tmp_path / "b", port=int(first.bootstrap.split(":")[1])).start()
        async with EmbeddedBroker(tmp_path / "b"):
            pass


async def test_everything_survives_a_restart(tmp_path: Path, name: str) -> None:
    for attempt in range(3):
        async with EmbeddedBroker(tmp_path, fsync="batch") as broker:
            if attempt == 0:
                await create_topic(broker.bootstrap, name, 2, retention_ms=123456)
            async with (
                AIOKafkaProducer(bootstrap_servers=broker.bootstrap, enable_idempotence=True) as producer,
                AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=name, enable_auto_commit=False) as consumer,
            ):
                assert (await producer.send_and_wait(name, b"x", partition=1)).offset == attempt
                consumer.assign([TopicPartition(name, 1)])
                assert await consumer.committed(TopicPartition(name, 1)) == (attempt or None)
                await consumer.commit({TopicPartition(name, 1): attempt + 1})
            topic = broker.state.topics.get(name)
            assert topic is not None
            assert topic.config.retention_ms == 123456
            assert os.listdir(tmp_path / "logs")  # noqa: PTH208
