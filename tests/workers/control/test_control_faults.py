"""The control plane dies: every command has one effect, one reply and one entry in the audit trail all the same."""

import time
from collections.abc import Callable
from typing import Any

import aiohttp
import msgpack
import pytest

from streams import topics
from streams.clients import producer_of
from streams.messages import Command, Template
from tests.workers.control.plane import HOP_NS, SPACE, Plane, person, run
from workers.control.client import ask, command_of
from workers.control.gallery import COMMAND_HEADER, RESULT_HEADER, Change, GalleryView
from workers.control.health import ControlHealth
from workers.control.http import Api
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
    for answered in (3, 12):
        plane.until(lambda n=answered: len(plane.replies(ids)) >= n, f"{answered} replies")
        plane.kill()
        plane.start(wait=False)
    plane.until(lambda: len({r.command_id for r in plane.replies(ids)}) == len(ids), "every reply")
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


def write_in_part(plane: Plane, command: Command, change: Change) -> None:
    """Only the new name has reached the gallery, and no last record."""

    async def write() -> None:
        producer = producer_of(plane.settings)
        await producer.start()
        headers = [(COMMAND_HEADER, command.id.encode()), (RESULT_HEADER, msgpack.packb(change.result))]
        (template,) = change.written
        await producer.send_and_wait(topics.GALLERY.name, template.to_bytes(), key=template.key, headers=headers)
        await producer.stop()

    run(write())


def enrolled(plane: Plane, walked: Walked) -> tuple[str, Command]:
    """Somebody new, and the command that enrolled them."""
    subject, _, arguments = walked(20)
    command = command_of("enrol", subject, "tester", arguments)
    plane.command([command])
    plane.until(lambda: plane.replies([command.id]), "a reply")
    assert plane.replies([command.id])[0].ok
    return subject, command


def test_what_was_begun_before_the_crash_is_ended_after_it(plane: Plane, walked: Walked, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole, _), (part, _), (gone, enrol) = (enrolled(plane, walked) for _ in range(3))
    assert run(ask(plane.settings, "erase", gone, "tester")).ok
    late, _, arguments = walked(20)
    plane.kill()

    # One worker died when a renaming lay in the gallery and nobody had been told; another in the middle of its records.
    renames = {name: command_of("rename", name, "tester", {"to": f"{name}-new"}) for name in (whole, part)}
    write_as_the_dead_did(plane, renames[whole], renamed(plane.gallery(whole), f"{whole}-new"))
    write_in_part(plane, renames[part], renamed(plane.gallery(part), f"{part}-new"))
    plane.command(renames.values())
    # Somebody asks over HTTP meanwhile: the API of this process has no executor beside it.
    monkeypatch.setattr("workers.control.http.REPLY_WITHIN_S", 0.5)
    status, answer = run(post_enrol(plane, {"subject": late, **arguments}))
    assert status == 202 and answer["reason"] == "pending" and answer["command_id"] in answer["error"]
    # And a command comes again that was answered long ago; what it did has been undone since.
    plane.command([enrol])

    plane.start()
    wanted = [*(c.id for c in renames.values()), answer["command_id"], enrol.id]
    plane.until(lambda: len(plane.replies(wanted)) >= 5, "every reply")
    for name, command in renames.items():
        (reply,) = plane.replies([command.id])
        assert reply.ok and reply.result == {"templates": 1, "to": f"{name}-new"}, reply.error
        assert not plane.gallery(name) and len(plane.gallery(f"{name}-new")) == 1
        assert len(plane.audited([command.id])) == 1
    written = [r for r in plane.records(topics.GALLERY.name) if r.key.startswith(f"{whole}-new/".encode())]
    assert len(written) == 1, "what lay there was not written again"
    assert plane.gallery(late), "202 means: it will be done"
    first, second = plane.replies([enrol.id])
    assert first == second and not plane.gallery(gone), "answered from the recovered table, not carried out"


async def post_enrol(plane: Plane, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and answer of an API in this process."""
    view, writer = GalleryView(plane.settings), Writer(plane.settings)
    api = Api(plane.settings, view, writer, ControlHealth(view, None), SPACE)  # type: ignore[arg-type]
    await api.start()
    try:
        async with aiohttp.ClientSession() as http, http.post(f"{plane.url}/api/enrol", json=body) as answer:
            return answer.status, await answer.json()
    finally:
        await api.stop()


def test_it_stops_on_sigterm(plane: Plane) -> None:
    assert plane.stop() == 0, plane.log()


def test_a_public_address_needs_a_token(plane: Plane) -> None:
    lone = Plane(plane.settings, plane._log.parent, GAITSTREAM_API_HOST="0.0.0.0", GAITSTREAM_GROUP_PREFIX="lone")
    lone.start(wait=False)
    assert lone.process is not None and lone.process.wait(60) != 0
    assert "set GAITSTREAM_API_TOKEN" in lone.log()
