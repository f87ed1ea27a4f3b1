"""The broker dies and comes back: the control plane goes on, in the same process."""

import time
from pathlib import Path

import pytest

from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, broker_kinds
from tests.workers.control.plane import HOP_NS, Plane, person, run
from workers.control.client import command_of


@pytest.mark.parametrize("broker_kind", broker_kinds(embedded=False))  # the embedded one: see test_control_outage
def test_commands_are_carried_out_when_the_broker_is_back(broker: BrokerProcess, tmp_path: Path) -> None:
    settings = Settings(bootstrap=broker.bootstrap, group_prefix="outage", session_timeout_s=6.0)
    run(ensure_topics(settings))
    plane = Plane(settings, tmp_path)
    start_ns = time.time_ns() - 600 * 10**9
    people = [f"P{i}" for i in range(4)]
    for i, name in enumerate(people):
        plane.walk(f"phone-{name}", person(i, 14), start_ns)
    commands = [
        command_of("enrol", n, "tester", {"stream_key": f"phone-{n}", "from_ns": start_ns, "to_ns": start_ns + 20 * HOP_NS}) for n in people
    ]
    plane.start()
    try:
        plane.command(commands[:2])
        plane.until(lambda: plane.replies([commands[0].id]), "the first reply")
        broker.kill()
        broker.start()
        plane.command(commands[2:])
        plane.until(lambda: len(plane.replies(c.id for c in commands)) == 4, "every reply")
        assert all(reply.ok for reply in plane.replies(c.id for c in commands))
        assert [len(plane.gallery(name)) for name in people] == [1, 1, 1, 1]
        assert plane.process is not None and plane.process.poll() is None, plane.log()
    finally:
        plane.kill()
