"""Everything on this machine: the embedded broker (or a real cluster) and one process per role, restarted when they die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import structlog

from streams.errors import Misconfigured, Unavailable
from streams.provision import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streams.settings import Settings

log = structlog.get_logger()

ROLES = ("inertial", "camera", "identity", "control")

FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 30.0
STEADY_AFTER_S = 60.0
"""A role that ran this long before it died starts again with the first back-off."""
STOP_WITHIN_S = 30.0
"""A stop waits this long for the batch in progress and the last commit, then kills."""


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    port: int = 0
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    backoff_s: float = FIRST_BACKOFF_S / 2
    task: asyncio.Task[None] | None = field(default=None)


class Supervisor:
    """Starts, watches, restarts and stops the roles.  With `broker_dir` it starts the embedded broker first.

    `metrics_port` is the first role's, the next role has the next; 0 picks free ones.  `logs` is a file for the children's output.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        roles: Sequence[str] = ROLES,
        broker_dir: Path | None = None,
        metrics_port: int = 0,
        logs: Path | None = None,
    ) -> None:
        self.settings, self._roles, self._broker_dir, self._logs = settings, roles, broker_dir, logs
        self._metrics_port = metrics_port
        self.children: dict[str, Child] = {}
        self._stopping = False

    async def start(self) -> None:
        """Start the broker, create the topics, start the roles.  Raises Unavailable when no broker answers, Misconfigured when its port is taken."""
        for role, wanted in self._wanted_ports().items():
            if wanted and not is_free("127.0.0.1", wanted):
                raise Misconfigured(f"port {wanted} of {role} is taken: --metrics-port and GAITSTREAM_API_PORT choose others")
        if self._broker_dir is not None:
            host, port = self.settings.bootstrap.rsplit(":", 1)
            if not is_free(host, int(port)):
                raise Misconfigured(
                    f"port {port} is taken, by another broker perhaps: use it with --bootstrap, or set GAITSTREAM_BOOTSTRAP"
                )
            arguments = ["broker", "--data", str(self._broker_dir), "--host", host, "--port", port]
            await self._spawn(Child("broker", arguments, {}))
        await self._await_broker()
        await ensure_topics(self.settings)
        for role, wanted in self._wanted_ports().items():
            setting, child_port = "API_PORT" if role == "control" else "HTTP_PORT", wanted or free_port()
            await self._spawn(Child(role, ["worker", role], {f"GAITSTREAM_{setting}": str(child_port)}, child_port))

    def _wanted_ports(self) -> dict[str, int]:
        """Port of each role; 0 is any."""
        first = self._metrics_port
        return {role: self.settings.api_port if role == "control" else first and first + i for i, role in enumerate(self._roles)}

    async def ready(self, timeout_s: float = 120.0) -> None:
        """Wait until every role is ready.  Raises Unavailable that says which is not, and why."""
        deadline = time.monotonic() + timeout_s
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            for child in self.children.values():
                while child.port and (missing := await self._missing(http, child)):
                    if time.monotonic() > deadline:
                        raise Unavailable(f"{child.name} is not ready after {timeout_s:.0f} s: {missing}")
                    await asyncio.sleep(0.1)

    async def restart(self, role: str, environment: dict[str, str]) -> None:
        """Stop a role gracefully and start it with these settings on top of its own, which it keeps if it dies later."""
        child = self.children[role]
        if child.task:
            child.task.cancel()  # or its end would count as a death
        await self._end(child)
        child.environment |= environment
        await self._spawn(child)

    async def stop(self) -> None:
        """Stop the roles gracefully, the broker last."""
        self._stopping = True
        for children in (
            [c for c in self.children.values() if c.name != "broker"],
            [c for c in self.children.values() if c.name == "broker"],
        ):
            await asyncio.gather(*(self._end(child) for child in children))

    async def wait(self) -> None:
        """Until `stop`."""
        await asyncio.gather(*(child.task for child in self.children.values() if child.task))

    async def _end(self, child: Child) -> None:
        if child.process is not None and child.process.returncode is None:
            child.process.terminate()
            try:
                await asyncio.wait_for(child.process.wait(), STOP_WITHIN_S)
            except TimeoutError:
                log.warning("killed: it did not stop in time", child=child.name)
                child.process.kill()
        if child.task:
            child.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await child.task

    async def _spawn(self, child: Child) -> None:
        self.children[child.name] = child
        await self._run(child)
        child.task = asyncio.create_task(self._watch(child))

    async def _run(self, child: Child) -> None:
        settings = self.settings
        environment = os.environ | settings.environment() | {"GAITSTREAM_BOOTSTRAP": settings.bootstrap}
        environment |= {"OMP_NUM_THREADS": str(settings.threads)} | child.environment
        output = None if self._logs is None else await asyncio.to_thread(self._logs.open, "ab")
        child.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.cli", *child.arguments, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        if output:
            output.close()
        log.info("started", child=child.name, pid=child.process.pid, port=child.port or None)

    async def _watch(self, child: Child) -> None:
        while not self._stopping and child.process is not None:
            began = time.monotonic()
            code = await child.process.wait()
            if self._stopping:
                return
            child.backoff_s = FIRST_BACKOFF_S if time.monotonic() - began > STEADY_AFTER_S else min(child.backoff_s * 2, LONGEST_BACKOFF_S)
            died = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
            log.error("a role died; restarting", child=child.name, how=died, backoff_s=child.backoff_s)
            await asyncio.sleep(child.backoff_s)
            child.restarts += 1
            await self._run(child)

    async def _await_broker(self) -> None:
        host, port = self.settings.bootstrap.split(",")[0].rsplit(":", 1)
        deadline = time.monotonic() + 30
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"no broker answers at {self.settings.bootstrap}: {error}") from None
                await asyncio.sleep(0.1)

    async def _missing(self, http: aiohttp.ClientSession, child: Child) -> str | None:
        try:
            async with http.get(f"http://127.0.0.1:{child.port}/readyz") as response:
                return None if response.status == 200 else str((await response.json()).get("missing") or response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"it does not answer ({type(error).__name__})"


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether nothing listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
