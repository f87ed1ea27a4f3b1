"""The control plane dies: every command has one effect, one reply and one entry in the audit trail all the same."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from streams import topics
from streams.messages import Command, Template
from tests.workers.control.plane import HOP_NS, Plane, person, run
from workers.control.client import ask, command_of
from workers.control.gallery import Change
from workers.control.writer import Writer

Walked = Callable[..., tuple[str, str, dict[str, Any]]]
PEOPLE = 12


def test_killed_again_and_again_each_command_is_carried_out_once(plane: Plane, fresh: tuple[str, str, int]) -> None:
    name, device, seed = fresh
    start_ns = time.time_ns() - 600 * 10**9
    commands: list[Command] = []
    for i in range(PEOPLE):
        walker, phone = f"{name}-{i}", f"{device}-{i}"
        plane.walk(phone, person(seed * 100 + i, 14), start_ns)
        stretch = {"stream_key": phone, "from_ns": start_ns, "to_ns": start_ns + 20 * HOP_NS}
        commands.append(command_of("enrol", walker, "tester", stretch))
        # What follows depends on what was done before: to do any of it twice, or not at all, shows.
        commands.append(command_of("consent", walker, "tester", {"consent": "yes"}))
        if i % 3 == 0:
            commands.append(command_of("rename", walker, "tester", {"to": f"{walker}-renamed"}))
        if i % 3 == 1:
            commands.append(command_of("erase", walker, "tester"))
    ids = [c.id for c in commands]
    plane.command(commands)
    for answered in (3, 9, 16):
        plane.until(lambda n=answered: len(plane.replies(ids)) >= n, f"{answered} replies")
        plane.kill()
        plane.start(wait=False)
    try:
        plane.until(lambda: len({r.command_id for r in plane.replies(ids)}) == len(ids), "every reply", 30)
    except AssertionError:
        got = {r.command_id for r in plane.replies(ids)}

        for rec in plane.records("gait.commands"):
            c = Command.from_bytes(rec.value)
            print("DBG", rec.partition, rec.offset, c.kind, c.subject, c.id in got)
        input() if False else None
        raise
    replies = plane.replies(ids)
    assert sorted(r.command_id for r in replies) == sorted(ids), "one reply each"
    assert all(r.ok for r in replies), [r.error for r in replies if not r.ok]
    assert sorted(e.details["command_id"] for e in plane.audited(ids)) == sorted(ids), "one audit entry each"
    people = [f"{name}-{i}" + ("-renamed" if i % 3 == 0 else "") for i in range(PEOPLE)]
    wanted = {person: int(i % 3 != 1) for i, person in enumerate(people)}
    assert {p: len(plane.gallery(p)) for p in people} == wanted
    assert not any(plane.gallery(f"{name}-{i}") for i in range(0, PEOPLE, 3)), "nobody has two names"
    assert {t.consent for p in people for t in plane.gallery(p)} == {"yes"}


def write_as_the_dead_did(plane: Plane, command: Command, change: Change) -> None:
    """Leave in the gallery what a control worker leaves that dies right after step 1 of the executor."""

    async def write() -> None:
        writer = Writer(plane.settings)
        await writer.start()
        await writer.change_gallery(command.id, change)
        await writer.stop()

    run(write())


def renamed(own: list[Template], name: str) -> Change:
    written = [t.model_copy(update={"subject": name}) for t in own]
    return Change(written=written, erased=[t.key for t in own], result={"templates": len(own), "to": name})


@pytest.mark.parametrize("whole", [True, False], ids=["changed but not answered", "changed in part"])
def test_a_change_that_was_made_before_the_crash_is_answered_and_not_made_again(plane: Plane, walked: Walked, whole: bool) -> None:
    subject, _, arguments = walked(20)
    assert run(ask(plane.settings, "enrol", subject, "tester", arguments)).ok
    plane.kill()
    command = command_of("rename", subject, "tester", {"to": f"{subject}-new"})
    before = len(plane.records(topics.GALLERY.name))
    change = renamed(plane.gallery(subject), f"{subject}-new")
    if whole:
        write_as_the_dead_did(plane, command, change)
    else:
        write_in_part(plane, command, change)
    plane.command([command])
    plane.start()
    plane.until(lambda: plane.replies([command.id]), "a reply")
    (reply,) = plane.replies([command.id])
    assert reply.ok and reply.result == {"templates": 1, "to": f"{subject}-new"}, reply.error
    assert not plane.gallery(subject) and len(plane.gallery(f"{subject}-new")) == 1
    if whole:
        assert len(plane.records(topics.GALLERY.name)) == before + 2, "nothing was written again"


def write_in_part(plane: Plane, command: Command, change: Change) -> None:
    """Only the new name has reached the gallery, and no last record."""

    async def write() -> None:
        writer = Writer(plane.settings)
        await writer.start()
        headers = [
            ("gaitstream-command", command.id.encode()),
            ("gaitstream-result", b"\x82\xa9templates\x01\xa2to" + packed(change.result["to"])),
        ]
        (template,) = change.written
        await writer._producer.send_and_wait(topics.GALLERY.name, template.to_bytes(), key=template.key, headers=headers)
        await writer.stop()

    run(write())


def packed(text: str) -> bytes:
    """A short text as msgpack."""
    return bytes([0xA0 + len(text)]) + text.encode()


def test_answers_outlive_the_process(plane: Plane, walked: Walked) -> None:
    """The table is recovered from its changelog: a command that comes again is answered as it was, whatever has happened since."""
    subject, _, arguments = walked(20)
    enrol = command_of("enrol", subject, "tester", arguments)
    plane.command([enrol])
    plane.until(lambda: plane.replies([enrol.id]), "a reply")
    assert run(ask(plane.settings, "erase", subject, "tester")).ok
    plane.kill()
    plane.start()
    plane.command([enrol])
    plane.until(lambda: len(plane.replies([enrol.id])) == 2, "the answer again")
    first, second = plane.replies([enrol.id])
    assert first == second and not plane.gallery(subject)


def test_it_stops_on_sigterm(plane: Plane) -> None:
    assert plane.stop() == 0, plane.log()


def test_a_public_address_needs_a_token(plane: Plane) -> None:
    lone = Plane(plane.settings, plane._log.parent, GAITSTREAM_API_HOST="0.0.0.0", GAITSTREAM_GROUP_PREFIX="lone")
    lone.start(wait=False)
    assert lone.process is not None and lone.process.wait(60) != 0
    assert "set GAITSTREAM_API_TOKEN" in lone.log()
