"""Processes under measurement: started, frozen, thawed, and what they used (CPU time, peak memory, their metrics)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from streams.errors import Misconfigured, Unavailable
from workers.supervisor import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.settings import Settings

START_WITHIN_S = 120.0
READ_EVERY_S = 1.0
"""Reading the metrics costs the worker a few milliseconds: seldom enough not to count."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Samples = dict[tuple[str, str], float]
"""Metrics by name and one label's value (the empty string where there is none)."""


class Process:
    """A `gaitstream` command or a Python module in a process of its own, with one thread for its networks."""

    def __init__(self, arguments: list[str], settings: Settings, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._arguments, self._log = arguments, log
        self._environment = os.environ | {
            "GAITSTREAM_BOOTSTRAP": settings.bootstrap,
            "GAITSTREAM_GROUP_PREFIX": settings.group_prefix,
            "GAITSTREAM_EXTRACTOR": settings.extractor,
            "GAITSTREAM_EMBEDDER": settings.embedder,
            "OMP_NUM_THREADS": str(settings.threads),
            "OPENBLAS_NUM_THREADS": str(settings.threads),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; its output goes to the log."""
        with self._log.open("ab") as log:  # opening a local file once
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._arguments, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Its process id.  Raises Unavailable with the end of the log when it has ended."""
        if self._process is None or self._process.returncode is not None:
            raise Unavailable(f"{' '.join(self._arguments)} has ended:\n{self.output()[-2000:]}")
        return self._process.pid

    def output(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def freeze(self) -> None:
        """SIGSTOP: no CPU time until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def cpu_s(self) -> float:
        """CPU time of all its threads so far, user and system."""
        fields = _proc(self.pid, "stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def peak_rss_mb(self) -> float:
        """Largest resident memory so far."""
        lines = dict(line.split(":", 1) for line in _proc(self.pid, "status").splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024

    async def finish(self, timeout_s: float) -> int:
        """Wait until it ends by itself, and return its exit code.  Raises TimeoutError."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), timeout_s)

    async def stop(self) -> None:
        """End it: what it keeps is thrown away anyway."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class Worker(Process):
    """A worker of a role, with its metrics."""

    def __init__(self, role: str, settings: Settings, folder: Path, environment: Mapping[str, str]) -> None:
        self.role, self._port = role, free_port()
        arguments = ["-m", "workers.cli", "worker", role]
        super().__init__(arguments, settings, folder / f"{role}.log", {"GAITSTREAM_HTTP_PORT": str(self._port), **environment})

    async def ready(self) -> None:
        """Wait until it processes messages.  Raises Unavailable."""
        deadline = time.monotonic() + START_WITHIN_S
        while await self._get("/readyz") is None:
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.role} is not ready after {START_WITHIN_S:.0f} s:\n{self.output()[-2000:]}")
            await asyncio.sleep(0.1)

    async def metrics(self) -> Samples:
        """Counters and histogram sums as they are now."""
        text = await self._get("/metrics")
        if text is None:
            raise Unavailable(f"{self.role} does not answer on /metrics")
        found: Samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.endswith(("_total", "_sum", "_count")):
                    label = next((v for k, v in sample.labels.items() if k in ("topic", "network", "role", "modality", "stage")), "")
                    found[sample.name, label] = found.get((sample.name, label), 0.0) + sample.value
        return found

    async def until(self, name: str, label: str, value: float, timeout_s: float) -> Samples:
        """Wait until a metric has reached a value; all metrics then.  Raises Unavailable when it makes no progress for `timeout_s`."""
        before, deadline = -1.0, time.monotonic() + timeout_s
        while True:
            samples = await self.metrics()
            now = samples.get((name, label), 0.0)
            if now >= value:
                return samples
            if now > before:
                before, deadline = now, time.monotonic() + timeout_s
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.role} stays at {name}{{{label}}} = {now:.0f} of {value:.0f}:\n{self.output()[-2000:]}")
            await asyncio.sleep(READ_EVERY_S)

    async def _get(self, path: str) -> str | None:
        assert self.pid
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http,
                http.get(f"http://127.0.0.1:{self._port}{path}") as response,
            ):
                return await response.text() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except FileNotFoundError:
        raise Misconfigured("gaitstream bench reads CPU time and memory from /proc: it runs on Linux only") from None
