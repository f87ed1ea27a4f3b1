"""Driving the real workers in tests: messages, worker processes, a subscriber, and the undisturbed run to compare with."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from aiokafka import ConsumerRecord, TopicPartition

from models.data.recordings import Recording
from streams.clients import producer_of, read_partitions
from streams.messages import ImuChunk
from streams.settings import Settings
from streams.topics import IMU_RAW, SAMPLES_INERTIAL, WALKING_EVENTS
from tests.support.brokers import free_port
from workers.inertial.worker import InertialWorker
from workers.processor import Incoming, Output, Processor
from workers.runtime import Runtime

START_NS = 1_790_000_000_000_000_000
"""A fixed time for the first sample, so that every run of a test has the same grid."""


def chunks_of(recordings: Iterable[Recording], chunk_s: float = 1.0, *, start_ns: int = START_NS, session: str = "s") -> list[ImuChunk]:
    """The recordings as messages, all devices beginning together, in the order in which a live system would send them."""
    timed = []
    for recording in recordings:
        size = max(1, round(chunk_s * recording.rate_hz))
        for seq, a in enumerate(range(0, len(recording.acc_N3), size)):
            acc, gyro = recording.acc_N3[a : a + size], recording.gyro_N3[a : a + size]
            begin_ns = start_ns + round(a * 1e9 / recording.rate_hz)
            chunk = ImuChunk(
                device_id=f"{recording.subject}-{recording.name}", session=session, seq=seq, start_ns=begin_ns,
                rate_hz=recording.rate_hz, acc=acc, gyro=gyro,
            )  # fmt: skip
            timed.append((begin_ns + len(acc) * 1e9 / recording.rate_hz, chunk.device_id, chunk))
    return [chunk for _, _, chunk in sorted(timed, key=lambda row: row[:2])]


def incoming_of(worker: InertialWorker, chunks: Sequence[ImuChunk], partition: int = 0) -> list[Incoming]:
    """Messages as the runtime would hand them to the worker."""
    at = TopicPartition(IMU_RAW.name, partition)
    found = []
    for offset, chunk in enumerate(chunks):
        record = record_of(offset, chunk.device_id.encode(), chunk.to_bytes(), partition)
        found.append(Incoming(at, record, worker.decode(record)))
    return found


def undisturbed(chunks: Sequence[ImuChunk], settings: Settings | None = None) -> dict[str, Output]:
    """Every output of the inertial worker for these messages, without Kafka; devices that fall silent at the end are let go."""
    worker = InertialWorker(settings or Settings())
    asyncio.run(worker.start())
    outputs = worker.process(incoming_of(worker, chunks)).outputs
    outputs += worker.tick(TopicPartition(IMU_RAW.name, 0), 2**62).outputs
    by_id = {output.id: output for output in outputs}
    assert len(by_id) == len(outputs), "the worker itself repeats an id"
    return by_id


async def send(
    settings: Settings,
    messages: Iterable[ImuChunk | tuple[bytes | None, bytes | None]],
    partition: int | None = None,
    topic: str = IMU_RAW.name,
) -> None:
    """Publish messages (or bare keys and values) as fast as the broker takes them."""
    pairs = (m if isinstance(m, tuple) else (m.device_id.encode(), m.to_bytes()) for m in messages)
    producer = producer_of(settings)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(topic, value, key=key, partition=partition) for key, value in pairs])
    finally:
        await producer.stop()


def record_of(
    offset: int,
    key: bytes | None,
    value: bytes | None,
    partition: int = 0,
    received_ms: int | None = None,
    topic: str = IMU_RAW.name,
) -> ConsumerRecord:
    """A record as a consumer would return it."""
    if received_ms is None:
        received_ms = START_NS // 1_000_000 + 3_600_000 + offset
    return ConsumerRecord(topic, partition, offset, received_ms, 0, key, value, 0, 0, len(value or b""), ())


OrderedIds = dict[tuple[str, bytes], list[str]]
"""Per topic and key the ids of its events, in order."""


def ordered_ids(outputs: Iterable[Output]) -> OrderedIds:
    """What a subscriber must see of these outputs."""
    found: OrderedIds = {}
    for output in outputs:
        found.setdefault((output.topic, output.key), []).append(output.id)
    return found


async def seen_by_a_subscriber(settings: Settings, topics: Iterable[str] = (SAMPLES_INERTIAL.name, WALKING_EVENTS.name)) -> OrderedIds:
    """What lies in the output topics: per topic and key the ids, in order, repeats included."""
    found: OrderedIds = {}
    for topic in topics:
        async for record in read_partitions(settings, topic):
            found.setdefault((topic, record.key), []).append(dict(record.headers)["id"].decode())
    return found


def count(ids: OrderedIds) -> int:
    """Number of ids in all."""
    return sum(map(len, ids.values()))


async def until_seen(settings: Settings, expected: OrderedIds, timeout_s: float = 90.0) -> None:
    """Wait for as many events as expected, then compare: nothing missing, nothing twice, in order per key."""
    seen: OrderedIds = {}

    async def enough() -> bool:
        nonlocal seen
        seen = await seen_by_a_subscriber(settings, {topic for topic, _ in expected})
        return count(seen) >= count(expected)

    try:
        await until(enough, timeout_s, f"{count(expected)} events")
    except AssertionError:
        missing = {key: [i for i in ids if i not in set(seen.get(key, []))] for key, ids in expected.items()}
        raise AssertionError(
            f"{count(seen)} of {count(expected)} events; missing { ({k: len(m) for k, m in missing.items() if m}) }"
        ) from None
    assert seen == expected, differences(seen, expected)


def differences(seen: OrderedIds, expected: OrderedIds) -> str:
    """Per key what came twice, what nobody expected, what is missing, and whether only the order differs."""
    said = []
    for key in sorted(seen.keys() | expected.keys(), key=str):
        own, wanted = seen.get(key, []), expected.get(key, [])
        if own != wanted:
            twice = sorted(i for i, times in Counter(own).items() if times > 1)
            strange, missing = [i for i in own if i not in wanted], [i for i in wanted if i not in own]
            said.append(f"{key}: {len(own)} of {len(wanted)}, twice {twice}, unexpected {strange}, missing {missing}")
    return "\n".join(said)


def ended(chunks: Sequence[ImuChunk]) -> list[ImuChunk]:
    """The messages, and behind them one of another session from each device: it ends open bouts without waiting for silence."""
    last = {chunk.device_id: chunk for chunk in chunks}
    return [*chunks, *(c.model_copy(update={"session": f"{c.session} is over", "seq": 0}) for c in last.values())]


class LocalWorker:
    """A worker in this process: the real runtime and group membership, without the seconds that a new process takes."""

    def __init__(self, settings: Settings, processor: Processor) -> None:
        self.runtime = Runtime(settings, processor)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LocalWorker":
        self._task = asyncio.create_task(self.runtime.run())
        await until(self.is_ready, 60, "a worker that is ready")
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    def is_ready(self) -> bool:
        """Whether it processes messages.  Fails when it has ended."""
        assert self._task is not None
        if self._task.done():
            self._task.result()
            raise AssertionError("the worker has ended")
        return self.runtime.ready() is None

    async def crash(self) -> None:
        """End without a commit, as a process does that is killed between its outputs and its commit."""
        assert self._task is not None
        task, self._task = self._task, None
        task.cancel()
        await asyncio.wait([task])

    async def stop(self) -> None:
        """Finish, commit, leave the group."""
        if self._task is not None:
            self.runtime.stop()
            task, self._task = self._task, None
            await task


async def header_ids(settings: Settings, topic: str) -> list[str]:
    """Ids of everything in a topic, partition by partition, in order."""
    return [dict(record.headers)["id"].decode() async for record in read_partitions(settings, topic)]


async def until(condition: Callable[[], object], timeout_s: float = 60.0, what: str = "condition") -> None:
    """Wait until `condition()` (which may be a coroutine function) is true."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        assert time.monotonic() < deadline, f"waited {timeout_s} s for: {what}"
        await asyncio.sleep(0.1)


class WorkerProcess:
    """A worker in a process of its own, to be killed."""

    def __init__(self, role: str, settings: Settings, log_dir: Path, **environment: str) -> None:
        self.role, self.port = role, free_port()
        self._log = log_dir / f"{role}-{self.port}.log"
        port = "API_PORT" if role == "control" else "HTTP_PORT"
        self._environment = os.environ | {
            "GAITSTREAM_BOOTSTRAP": settings.bootstrap,
            "GAITSTREAM_GROUP_PREFIX": settings.group_prefix,
            f"GAITSTREAM_{port}": str(self.port),
            "OMP_NUM_THREADS": "1",
        } | environment  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "WorkerProcess":
        """Start; does not wait."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "workers.cli", "worker", self.role]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        return self

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether /readyz says so.  Fails with the log when the process has ended."""
        assert self._process is not None and self._process.poll() is None, f"{self.role} ended:\n{self.log()[-3000:]}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __enter__(self) -> "WorkerProcess":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.role} did not end:\n{self.log()[-3000:]}") from None
        finally:
            self._process = None
