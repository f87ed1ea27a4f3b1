"""`gaitstream up`: what dies is started again with back-off, Ctrl-C leaves nothing behind, and nothing is refused silently."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog

from streams.errors import GaitstreamError, Unavailable
from streams.settings import Settings
from streams.topics import ALL
from tests.support.brokers import BrokerProcess, free_port
from tests.support.pipeline import until
from workers.supervisor import FIRST_BACKOFF_S, Supervisor


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """An embedded broker that the supervisors use from outside."""
    with BrokerProcess("embedded", tmp_path_factory.mktemp("supervisor") / "broker") as process:
        yield process


class Up:
    """`gaitstream up` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "up.log"
        self._log.touch()
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "workers.cli", "up", "--data", str(folder), *arguments]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
        self._children: dict[int, psutil.Process] = {}

    def said(self, pattern: str) -> bool:
        """Whether its log has a line that matches.  Fails when it has ended without."""
        found = re.search(pattern, self.log()) is not None
        assert found or self._process.poll() is None, f"it ended:\n{self.log()[-3000:]}"
        return found

    def log(self) -> str:
        """Its log and that of its children."""
        return self._log.read_text(errors="replace")

    def workers(self) -> list[psutil.Process]:
        """Its children now; every child ever seen is remembered."""
        try:
            now = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            now = []
        self._children |= {child.pid: child for child in now}
        return now

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C (or another signal); its exit code."""
        self.workers()
        self._process.send_signal(number)
        return self._process.wait(40)

    def left(self) -> list[psutil.Process]:
        """Children that still run."""
        return [child for child in self._children.values() if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *exception: object) -> None:
        self.workers()
        for process in (self._process, *self._children.values()):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait()


def served(port: int, path: str) -> int:
    """Status of a page; 0 when nothing listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


async def test_a_killed_role_comes_back_and_ctrl_c_leaves_nothing(broker: BrokerProcess, tmp_path: Path) -> None:
    port = free_port()
    with Up(tmp_path, "--bootstrap", broker.bootstrap, "--roles", "inertial", "--metrics-port", str(port)) as up:
        await until(lambda: up.said(rf"ready: inertial on {broker.bootstrap}"), what="ready")
        assert {path: served(port, path) for path in ("/metrics", "/healthz", "/readyz")} == {
            "/metrics": 200,
            "/healthz": 200,
            "/readyz": 200,
        }

        (worker,) = up.workers()
        worker.send_signal(signal.SIGKILL)
        await until(lambda: up.said("a role died; restarting"), what="the death is told")
        line = next(line for line in up.log().splitlines() if "a role died" in line)
        assert "SIGKILL" in line and "inertial" in line and "backoff_s" in line
        await until(lambda: served(port, "/readyz") == 200, what="ready again, at the same port")
        assert [process.pid for process in up.workers()] != [worker.pid]

        assert up.interrupt() == 0
        assert up.left() == []
        assert served(port, "/healthz") == 0
        assert "Traceback" not in up.log()
        assert "did not stop in time" not in up.log()


async def test_ctrl_c_while_it_still_waits_for_a_broker(tmp_path: Path) -> None:
    """Nobody waits half a minute for a stop because the broker is not there."""
    with Up(tmp_path, "--bootstrap", "127.0.0.1:1", "--roles", "inertial") as up:
        handles_signals = re.compile(r"SigCgt:\s*([0-9a-f]+)")

        def listening() -> bool:
            found = handles_signals.search(Path(f"/proc/{up._process.pid}/status").read_text())
            return bool(found and int(found[1], 16) & 1 << signal.SIGTERM - 1)

        await until(listening, what="its signal handlers are set")
        with pytest.raises(subprocess.TimeoutExpired):
            up._process.wait(0.5)
        up.interrupt(signal.SIGTERM)
        assert up.left() == []
        assert "Traceback" not in up.log()
        assert "no broker answers" not in up.log(), "it waited to the end of its patience before it stopped"


async def test_a_role_that_cannot_start_is_tried_with_longer_and_longer_pauses(broker: BrokerProcess, tmp_path: Path) -> None:
    """A role that ends at once must not be started in a tight loop; who waits for it is told which it is.

    The role gets every setting of the supervisor, also those that came from a file: here a network that does not exist.
    """
    settings = Settings(bootstrap=broker.bootstrap, data_dir=tmp_path, extractor="no-such-network")
    supervisor = Supervisor(settings, roles=["inertial"], logs=tmp_path / "children.log")
    pauses = []
    await supervisor.start()
    try:
        with pytest.raises(Unavailable, match="inertial is not ready"):
            await supervisor.ready(timeout_s=0.2)
        child = supervisor.children["inertial"]
        for restarts in (1, 2):
            await until(lambda wanted=restarts: child.restarts >= wanted, what=f"restart {restarts}")  # type: ignore[misc]
            pauses.append(child.backoff_s)
        assert pauses[0] >= FIRST_BACKOFF_S
        assert pauses[1] > pauses[0]
    finally:
        await supervisor.stop()
    assert child.process is not None and child.process.returncode is not None
    assert "no-such-network" in (tmp_path / "children.log").read_text()


async def test_a_role_started_again_has_the_new_settings_and_is_watched_on(broker: BrokerProcess, tmp_path: Path) -> None:
    """Stopping it for that is no death, and if it dies later it comes back with what it was given."""
    supervisor = Supervisor(Settings(bootstrap=broker.bootstrap, data_dir=tmp_path), roles=["inertial"], logs=tmp_path / "children.log")
    pids = []

    def given() -> str | None:
        process = supervisor.children["inertial"].process
        assert process is not None
        pids.append(process.pid)
        return psutil.Process(process.pid).environ().get("GAITSTREAM_TARGET_FPIR")

    await supervisor.start()
    try:
        await supervisor.ready()
        assert given() is None
        with structlog.testing.capture_logs() as logs:
            await supervisor.restart("inertial", {"GAITSTREAM_TARGET_FPIR": "0.02"})
            await supervisor.ready()
        assert [line["event"] for line in logs] == ["started"]
        child = supervisor.children["inertial"]
        assert child.restarts == 0
        assert given() == "0.02"
        psutil.Process(pids[-1]).kill()
        await until(lambda: child.restarts == 1, what="it is started again")
        assert given() == "0.02"
        assert len(set(pids)) == 3
    finally:
        await supervisor.stop()
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


async def test_it_brings_its_own_broker_and_the_topics(tmp_path: Path) -> None:
    settings = Settings(bootstrap=f"127.0.0.1:{free_port()}", data_dir=tmp_path)
    supervisor = Supervisor(settings, roles=["inertial"], broker_dir=tmp_path / "broker", logs=tmp_path / "children.log")
    try:
        await supervisor.start()
        await supervisor.ready()
        assert {topic.name for topic in ALL} <= {path.name.rsplit("-", 1)[0] for path in (tmp_path / "broker").rglob("gait.*")}
        pids = [child.process.pid for child in supervisor.children.values() if child.process]
        assert len(pids) == 2
    finally:
        await supervisor.stop()
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    log = (tmp_path / "children.log").read_text()
    assert "Traceback" not in log, "the broker stops last, so no worker misses it"


@pytest.mark.parametrize("taken", ["broker", "metrics"])
async def test_a_port_that_is_taken_is_told(taken: str, broker: BrokerProcess, tmp_path: Path) -> None:
    """Joining whatever listens there, silently, would mix two installations."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        if taken == "broker":
            settings = Settings(bootstrap=f"127.0.0.1:{port}", data_dir=tmp_path)
            supervisor = Supervisor(settings, roles=["inertial"], broker_dir=tmp_path / "broker", logs=tmp_path / "log")
        else:
            settings = Settings(bootstrap=broker.bootstrap, data_dir=tmp_path)
            supervisor = Supervisor(settings, roles=["inertial"], metrics_port=port, logs=tmp_path / "log")
        try:
            async with asyncio.timeout(20):
                with pytest.raises(GaitstreamError, match=str(port)):
                    await supervisor.start()
        finally:
            await supervisor.stop()
    assert [child.process.pid for child in supervisor.children.values() if child.process and child.process.returncode is None] == []
