"""The gallery topic as the control plane's own journal: whole changes, bad records, erased bytes that the broker may compact."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streams import topics
from streams.messages import Template
from tests.workers.control.plane import SPACE, Plane, person, run
from workers.control import retention
from workers.control.client import ask
from workers.control.export import import_templates
from workers.control.gallery import NUDGE_HEADER, Change, GalleryView
from workers.control.retention import Retention
from workers.control.writer import Writer

Walked = Callable[..., tuple[str, str, dict[str, Any]]]


def template(subject: str, template_id: str, vector: Any) -> Template:
    return Template(
        subject=subject, template_id=template_id, space=SPACE, vector=np.asarray(vector, np.float32), quality=0.5, windows=12,
        stream_key="phone", from_ns=1, to_ns=2, enrolled_ns=3,
    )  # fmt: skip


def test_more_than_one_batch_is_moved_whole(plane: Plane, fresh: tuple[str, str, int]) -> None:
    subject, _, seed = fresh
    own = [template(subject, f"t-{i}", vector) for i, vector in enumerate(person(seed, 3000))]
    assert sum(len(t.to_bytes()) for t in own) > 1_200_000, "more than a broker takes in one batch"
    run(import_templates(plane.settings, own, "tester"))
    reply = run(ask(plane.settings, "rename", subject, "tester", {"to": f"{subject} B"}))
    assert reply.ok and reply.result["templates"] == 3000, reply.error
    assert not plane.gallery(subject) and len(plane.gallery(f"{subject} B")) == 3000
    assert run(ask(plane.settings, "erase", f"{subject} B", "tester")).ok and not plane.gallery(f"{subject} B")


class DyingWriter(Writer):
    """Dies before its second batch."""

    sent = 0

    async def _send(self, batch: Any) -> None:
        self.sent += 1
        if self.sent == 2:
            raise ConnectionError("died")
        await super()._send(batch)


def test_a_change_is_complete_with_its_last_record_only(plane: Plane, fresh: tuple[str, str, int]) -> None:
    subject, _, seed = fresh
    command_id = f"c-{subject}"
    change = Change(written=[template(subject, f"t-{i}", v) for i, v in enumerate(person(seed, 3000))], result={"n": 3000})

    async def effect(writer: Writer) -> tuple[dict[str, Any], bool, int]:
        view = GalleryView(plane.settings)
        await asyncio.gather(view.start(), writer.start())
        with contextlib.suppress(ConnectionError):
            await writer.change_gallery(command_id, change)
        await view.caught_up()
        await asyncio.gather(view.stop(), writer.stop())
        return view.effects[command_id].result, view.effects[command_id].complete, len(view.of_subject(subject))

    result, complete, templates = run(effect(DyingWriter(plane.settings)))
    assert (result, complete) == ({"n": 3000}, False) and 0 < templates < 3000
    assert run(effect(Writer(plane.settings))) == ({"n": 3000}, True, 3000)


def test_bad_records_in_the_gallery_match_nobody_and_stop_nothing(plane: Plane, walked: Walked) -> None:
    subject, _, arguments = walked(20)
    assert run(ask(plane.settings, "enrol", subject, "tester", arguments)).ok
    (good,) = plane.gallery(subject)
    other = template("Somebody else", "t", good.vector)
    # Under a key of ours: nonsense, another person's template; under no key of ours: anything.
    rows = [(good.key, b"\xc1"), (good.key, other.to_bytes()), (b"no slash", other.to_bytes()), (b"/", b"x")]
    plane.publish(topics.GALLERY, rows)
    reply = run(ask(plane.settings, "rename", subject, "tester", {"to": f"{subject} B"}))
    assert not reply.ok and reply.result["reason"] == "unknown_subject", "what a bad record has overwritten is gone"
    assert run(ask(plane.settings, "enrol", subject, "tester", arguments)).ok


def test_where_nobody_enrols_after_an_erasure_its_tombstone_is_repeated_once(
    plane: Plane, walked: Walked, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, _, arguments = walked(20)
    assert run(ask(plane.settings, "enrol", subject, "tester", arguments)).ok
    assert run(ask(plane.settings, "erase", subject, "tester")).ok

    async def look(times: int) -> None:
        view, writer = GalleryView(plane.settings), Writer(plane.settings)
        await asyncio.gather(view.start(), writer.start())
        for _ in range(times):
            await Retention(view, writer).look()
            await view.caught_up()
        await asyncio.gather(view.stop(), writer.stop())

    def nudges() -> list[bytes]:
        return [r.key for r in plane.records(topics.GALLERY.name) if NUDGE_HEADER in dict(r.headers)]

    before = nudges()
    run(look(2))
    assert nudges() == before, "its segment is open for ten minutes anyway"
    monkeypatch.setattr(retention, "SEGMENT_MS", 1)
    time.sleep(0.01)
    run(look(3))
    new = nudges()[len(before) :]
    assert len(new) == 1 and new[0].startswith(f"{subject}/".encode())
