"""The broker is away for longer than a session while commands wait: each has one effect, one reply and one audit entry all the same."""

import time
from pathlib import Path

import pytest

from streams.messages import Command
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess
from tests.workers.control.plane import Plane, person, run
from workers.control.client import ask, command_of

PEOPLE = 4
SESSION_TIMEOUT_S = 6.0


# Apache Kafka takes longer than a session to start again anyway: see test_control_broker.
@pytest.mark.parametrize("broker_kind", ["embedded"])
def test_commands_outlast_an_outage(broker: BrokerProcess, tmp_path: Path) -> None:
    settings = Settings(bootstrap=broker.bootstrap, group_prefix="test", session_timeout_s=SESSION_TIMEOUT_S)
    run(ensure_topics(settings))
    plane = Plane(settings, tmp_path)
    start_ns = time.time_ns() - 600 * 10**9
    commands: list[Command] = []
    for i in range(PEOPLE):
        plane.walk(f"phone-{i}", person(i, 14), start_ns)
        commands.append(command_of("enrol", f"P{i}", "tester", {"stream_key": f"phone-{i}"}))
        commands.append(command_of("rename", f"P{i}", "tester", {"to": f"Q{i}"}))
    ids = [c.id for c in commands]
    plane.start()
    try:
        plane.command(commands)
        plane.until(lambda: plane.replies(ids), "a first reply")
        broker.kill()
        time.sleep(SESSION_TIMEOUT_S + 2.0)  # how long it is away is what is tested
        broker.start()
        plane.until(lambda: answered(plane, ids), "every reply", 90)
        replies = plane.replies(ids)
        assert sorted(r.command_id for r in replies) == sorted(ids) and all(r.ok for r in replies), replies
        assert sorted(e.details["command_id"] for e in plane.audited(ids)) == sorted(ids)
        assert [len(plane.gallery(f"Q{i}")) for i in range(PEOPLE)] == [1] * PEOPLE
        assert not plane.gallery(*(f"P{i}" for i in range(PEOPLE)))
        assert run(ask(settings, "erase", "Q0", "tester", timeout_s=60)).ok, plane.log()
        plane.until(plane.ready, "readiness")
    finally:
        plane.kill()


def answered(plane: Plane, ids: list[str]) -> bool:
    """Whether every command is; a control plane that gives up must say so by its exit code, and is started again as the supervisor would."""
    assert plane.process is not None
    if (code := plane.process.poll()) is not None:
        assert code != 0, plane.log()
        plane.start(wait=False)
    return {r.command_id for r in plane.replies(ids)} == set(ids)
