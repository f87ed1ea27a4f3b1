"""Driving the real workers in tests: messages, worker processes, a subscriber, and the undisturbed run to compare with."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from aiokafka import ConsumerRecord, TopicPartition

from models.data.recordings import Recording
from streams.clients import producer_of, read_partitions
from streams.messages import ImuChunk
from streams.settings import Settings
from streams.topics import IMU_RAW
from tests.support.brokers import free_port
from workers.inertial.worker import InertialWorker
from workers.processor import Incoming, Output

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
        value = chunk.to_bytes()
        received_ms = START_NS // 1_000_000 + 3_600_000 + offset
        record = ConsumerRecord(IMU_RAW.name, partition, offset, received_ms, 0, chunk.device_id.encode(), value, 0, 0, len(value), ())
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


async def send(settings: Settings, chunks: Iterable[ImuChunk]) -> None:
    """Publish messages as fast as the broker takes them."""
    producer = producer_of(settings)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(IMU_RAW.name, chunk.to_bytes(), key=chunk.device_id.encode()) for chunk in chunks])
    finally:
        await producer.stop()


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
