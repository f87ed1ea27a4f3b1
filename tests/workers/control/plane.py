"""A control plane in a process of its own, and what a pipeline would have published before: embeddings of synthetic people."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streams import topics
from streams.clients import producer_of, read_partitions
from streams.errors import BadMessage
from streams.messages import AuditEntry, Command, EmbeddingRecord, Reply, Template
from streams.settings import Settings
from tests.support.brokers import free_port
from workers.control.client import read_gallery
from workers.control.enrol import EmbeddingSpace

DIM = 64
HOP_NS = 1_280_000_000
WINDOW_NS = 2_560_000_000
SPACE = EmbeddingSpace.of_phones(Settings()).name

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """One asynchronous call from a synchronous test."""
    return asyncio.run(coroutine)


def person(seed: int, windows: int) -> NDArray[np.float32]:
    """(windows, DIM) unit vectors that scatter about one direction per seed as the windows of one walk do."""
    centre_D = np.random.default_rng(seed).standard_normal(DIM)
    noise_ND = np.random.default_rng([seed, windows]).standard_normal((windows, DIM))
    vector_ND = centre_D / np.linalg.norm(centre_D) + 0.03 * noise_ND
    return (vector_ND / np.linalg.norm(vector_ND, axis=1, keepdims=True)).astype(np.float32)


def records(
    device: str, vector_ND: NDArray[np.float32], start_ns: int, *, space: str = SPACE, quality: float = 0.9
) -> list[EmbeddingRecord]:
    """Embeddings as the identity worker publishes them, one per hop from `start_ns` on."""
    return [
        EmbeddingRecord(
            id=f"{device}-{start_ns}-{i}", stream_key=device, sample_id=f"{device}-{i}", start_ns=start_ns + i * HOP_NS,
            end_ns=start_ns + i * HOP_NS + WINDOW_NS, bout_id="b", space=space, vector=vector_D, quality=quality,
        )
        for i, vector_D in enumerate(vector_ND)
    ]  # fmt: skip


class Plane:
    """The process, its settings, and the topics as a test sees them."""

    def __init__(self, settings: Settings, folder: Path, *arguments: str, **environment: str) -> None:
        self.settings = settings.model_copy(update={"api_port": free_port()})
        self._arguments, self._log = arguments, folder / "control.log"
        self._environment = os.environ | {
            "GAITSTREAM_BOOTSTRAP": settings.bootstrap,
            "GAITSTREAM_GROUP_PREFIX": settings.group_prefix,
            "GAITSTREAM_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
            "GAITSTREAM_DATA_DIR": str(folder),
            "GAITSTREAM_API_PORT": str(self.settings.api_port),
            "GAITSTREAM_LOG_LEVEL": "warning",
            "OMP_NUM_THREADS": "1",
        } | environment  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self.settings.api_port}"

    # --- life

    def start(self, *, wait: bool = True) -> None:
        """Start; wait until /readyz says so."""
        command = [sys.executable, "-m", "workers.control", *self._arguments]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while wait and not self.ready():
            assert self.process.poll() is None, f"the control plane ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"the control plane is not ready:\n{self.log()}"
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def log(self) -> str:
        """The end of what it has logged."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""

    def ready(self) -> bool:
        """Whether /readyz says so."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(40)

    # --- topics

    def publish(self, topic: topics.Topic, rows: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Put messages on a topic, in order."""

        async def send() -> None:
            producer = producer_of(self.settings)
            await producer.start()
            try:
                futures = [await producer.send(topic.name, value, key=key) for key, value in rows]
                await asyncio.gather(*futures)
            finally:
                await producer.stop()

        run(send())

    def walk(self, device: str, vector_ND: NDArray[np.float32], start_ns: int, **more: Any) -> None:
        """A device's walk has gone through the pipeline."""
        self.publish(topics.EMBEDDINGS, [(device.encode(), r.to_bytes()) for r in records(device, vector_ND, start_ns, **more)])

    def command(self, commands: Iterable[Command]) -> None:
        """Publish commands and do not wait."""
        self.publish(topics.COMMANDS, [(c.subject.encode(), c.to_bytes()) for c in commands])

    def records(self, topic: str) -> list[Any]:
        """What lies in a topic."""

        async def read() -> list[Any]:
            return [record async for record in read_partitions(self.settings, topic)]

        return run(read())

    def replies(self, ids: Iterable[str]) -> list[Reply]:
        """Every reply to these commands."""
        wanted = set(ids)
        found = [Reply.from_bytes(record.value) for record in self.records(topics.REPLIES.name)]
        return [reply for reply in found if reply.command_id in wanted]

    def audited(self, ids: Iterable[str]) -> list[AuditEntry]:
        """Every audit entry of these commands."""
        wanted = set(ids)
        return [entry for entry in self.audit() if entry.details.get("command_id") in wanted]

    def audit(self) -> list[AuditEntry]:
        """The audit trail, without what tests put there that is none."""
        entries = []
        for record in self.records(topics.AUDIT.name):
            with contextlib.suppress(BadMessage):
                entries.append(AuditEntry.from_bytes(record.value))
        return entries

    def gallery(self, *subjects: str) -> list[Template]:
        """Templates of these subjects as they stand."""
        return [template for template in run(read_gallery(self.settings)) if template.subject in subjects]

    def until(self, condition: Any, what: str, timeout_s: float = 60.0) -> None:
        """Wait until `condition()` is true."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}:\n{self.log()}"
            time.sleep(0.1)
