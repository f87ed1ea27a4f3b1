"""Broker processes for tests: the embedded broker or a real Apache Kafka, started, killed and restarted on the same port and data."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

Kind = Literal["embedded", "kafka"]
START_TIMEOUT_S = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port that is free now, with a free one behind it (Apache Kafka's controller takes the next).

    Ports are taken below the range that the system hands out itself, so that an outgoing connection does not take them meanwhile.
    """
    candidates = range(20_000 + os.getpid() % 5_000, 32_000, 2)
    start = int.from_bytes(os.urandom(2), "big") % len(candidates)
    for port in (*candidates[start:], *candidates[:start]):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def kafka_home() -> Path | None:
    """Folder of a real Apache Kafka (environment KAFKA_HOME), or None."""
    home = os.environ.get("KAFKA_HOME")
    return Path(home).resolve() if home and (Path(home) / "bin" / "kafka-server").exists() else None


def broker_kinds(embedded: bool = True, kafka: bool = True) -> list[object]:
    """Parameters for ``pytest.mark.parametrize("broker_kind", broker_kinds())``; Kafka is skipped with a reason where there is none."""
    skip = pytest.mark.skipif(kafka_home() is None, reason="KAFKA_HOME does not name an Apache Kafka with bin/kafka-server")
    kinds: list[object] = ["embedded"] if embedded else []
    return [*kinds, pytest.param("kafka", marks=[pytest.mark.kafka, skip])] if kafka else kinds


class BrokerProcess:
    """A broker in a process of its own; ``start`` after ``kill`` or ``stop`` goes on with the same port and data."""

    def __init__(self, kind: Kind, data_dir: Path, port: int | None = None, *, extra_env: dict[str, str] | None = None) -> None:
        self.kind = kind
        self.data_dir = Path(data_dir)
        self.port = port or free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.extra_env = extra_env or {}
        self.exit_status: int | None = None  # of the embedded broker, once it has ended
        self._process: subprocess.Popen[str] | None = None

    # --- life

    def start(self) -> None:
        """Start and wait until it answers.

        Raises:
            RuntimeError: it did not; the end of its log is in the text.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self.kind == "kafka":
            self._kafka("start", str(self.port))
        else:
            self._start_embedded()

    def kill(self) -> None:
        """SIGKILL: a crash."""
        if self.kind == "kafka":
            self._kafka("kill")
        else:
            self._end_embedded(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self.kind == "kafka":
            self._kafka("stop")
        else:
            self._end_embedded(signal.SIGTERM)

    def __enter__(self) -> "BrokerProcess":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # Whatever the test was about, its broker need not end gracefully.
        self.kill()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        if self.kind == "kafka":
            file = self.data_dir / "broker.pid"
            return int(file.read_text()) if file.exists() else None
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def log(self) -> str:
        """What it has logged."""
        file = self.data_dir / ("broker.log" if self.kind == "kafka" else "process.log")
        return file.read_text(errors="replace") if file.exists() else ""

    # --- the two kinds

    def _kafka(self, command: str, *arguments: str) -> None:
        home = kafka_home()
        assert home is not None, "KAFKA_HOME is not set"
        done = subprocess.run(
            [str(home / "bin" / "kafka-server"), command, str(self.data_dir), *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"KAFKA_HEAP": "384m"} | self.extra_env,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"kafka-server {command}: {done.stdout}{done.stderr}")

    def _start_embedded(self) -> None:
        assert self.pid is None, "it is running"
        with (self.data_dir / "process.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.broker", "--data", str(self.data_dir), "--port", str(self.port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=REPOSITORY,
                env=os.environ | self.extra_env,
            )
        assert self._process.stdout is not None
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            readable, _, _ = select.select([self._process.stdout], [], [], 0.5)
            if readable:
                line = self._process.stdout.readline().strip()
                if line == self.bootstrap:
                    return
                break
        self._end_embedded(signal.SIGKILL)
        raise RuntimeError(f"the broker did not start:\n{self.log()[-2000:]}")

    def _end_embedded(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(timeout=30)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self.exit_status = self._process.returncode
            self._process = None


async def create_topic(bootstrap: str, topic: str, partitions: int = 1, **configs: object) -> None:
    """Create a topic and wait until its partitions answer; underscores in the names of configurations stand for dots."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
        answer = await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
        assert [error[1] for error in answer.topic_errors] == [0], answer
    finally:
        await admin.close()
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        # Apache Kafka answers before the partitions have a leader; asking for offsets is repeated until they have.
        await consumer.end_offsets([TopicPartition(topic, partition) for partition in range(partitions)])


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until ``condition()`` holds.

    Raises:
        TimeoutError: it did not within ``timeout_s``.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (what is waited for is the state of other processes, which set no event)
            await asyncio.sleep(0.02)
