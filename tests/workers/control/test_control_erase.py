"""Erased means gone: nobody reads a template any more, and the receipt says what else there was, what was removed and what remains."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streams import topics
from streams.messages import AuditEntry, Candidate, GaitSample, IdentityEvent, Reply
from tests.workers.control.plane import DIM, HOP_NS, WINDOW_NS, Plane, run
from workers.control.client import ask
from workers.control.receipt import former_names

Walked = Callable[..., tuple[str, str, dict[str, Any]]]


def asked(plane: Plane, kind: Any, subject: str, arguments: dict[str, Any] | None = None) -> Reply:
    return run(ask(plane.settings, kind, subject, "tester", arguments))


def event(device: str, start_ns: int, **more: Any) -> tuple[bytes, bytes]:
    fields: dict[str, Any] = {
        "id": f"{device}-{start_ns}", "stream_key": device, "bout_id": "b", "start_ns": start_ns, "end_ns": start_ns + WINDOW_NS,
        "decision": "unknown", "score": 0.1, "confidence": 0.5, "margin": 0.0, "candidates": [], "windows": 3, "effective_windows": 2.0,
        "target_fpir": 0.01, "enrolled": 1, "gallery_version": 1, "space": "s", "quality": 0.9, "received_ns": start_ns, "decided_ns": start_ns,
    }  # fmt: skip
    return device.encode(), IdentityEvent(**(fields | more)).to_bytes()


def sample(device: str, start_ns: int) -> tuple[bytes, bytes]:
    message = GaitSample(
        id=f"{device}-{start_ns}", stream_key=device, start_ns=start_ns, end_ns=start_ns + WINDOW_NS, cut="window-2.56s",
        samples=np.zeros((8, 6), np.float32), walking=1.0, step_rate_hz=2.0, regularity=0.5, bout_id="b", bout_start_ns=start_ns,
        bout_steps=3.0, received_ns=start_ns,
    )  # fmt: skip
    return device.encode(), message.to_bytes()


def test_the_receipt_counts_what_names_the_person_or_came_from_their_walk(plane: Plane, walked: Walked) -> None:
    subject, device, arguments = walked(20)
    start_ns = arguments["from_ns"]
    later_ns = arguments["to_ns"] + 3600 * 10**9
    assert asked(plane, "enrol", subject, arguments).ok
    plane.publish(topics.SAMPLES_INERTIAL, [sample(device, start_ns), sample(device, start_ns + HOP_NS), sample(device, later_ns)])
    plane.publish(
        topics.IDENTITY_EVENTS,
        [
            event("elsewhere", later_ns, decision="known", subject=subject),  # names them
            event("elsewhere", later_ns, candidates=[Candidate(subject=subject, score=0.4)]),  # they came second
            event("elsewhere", later_ns, claimed_subject=subject, verification="rejected"),  # somebody claimed to be them
            event("elsewhere", later_ns, contradicts=subject),
            event(device, start_ns),  # the walk that enrolled them
            event("elsewhere", later_ns, decision="known", subject=subject + "x"),  # somebody else
            event(device, later_ns),  # the device later, perhaps in another pocket
        ],
    )
    reply = asked(plane, "erase", subject)
    assert reply.ok, reply.error
    assert not plane.gallery(subject)
    rows = {row["topic"]: row for row in reply.result["receipt"]}
    found = {name: row["found"] for name, row in rows.items()}
    wanted = {
        "gait.gallery": 1, "gait.imu.raw": 0, "gait.samples.inertial": 2, "gait.embeddings": 20, "gait.walking.events": 0,
        "gait.identity.events": 5, "gait.commands": 2, "gait.replies": 1, "gait.audit": 1, "gait.deadletter": 0,
        "gait.camera.frames": 0, "gait.camera.people": 0, "gait.samples.camera": 0,
    }  # fmt: skip
    assert found == wanted
    assert all(row["complete"] for row in rows.values())
    assert rows["gait.gallery"]["removed"] == 1 and rows["gait.gallery"]["remains"] == 0
    for name, row in rows.items():
        assert row["found"] == row["removed"] + row["remains"]
        assert bool(row["remains"]) == (row["until_ms"] is not None) == (bool(row["why"]) and name != "gait.gallery"), row
    day_ms = 86_400_000
    assert abs(rows["gait.embeddings"]["until_ms"] - (time.time() * 1000 + day_ms)) < day_ms / 24
    again = asked(plane, "erase", subject)
    assert not again.ok and again.result["reason"] == "unknown_subject"


def test_former_names_are_searched_too(plane: Plane, walked: Walked) -> None:
    subject, _, arguments = walked(20)
    assert asked(plane, "enrol", subject, arguments).ok
    plane.publish(topics.IDENTITY_EVENTS, [event("elsewhere", 1, decision="known", subject=subject)])
    assert asked(plane, "rename", subject, {"to": f"{subject}-b"}).ok
    assert asked(plane, "rename", f"{subject}-b", {"to": f"{subject}-c"}).ok
    assert run(former_names(plane.settings, f"{subject}-c")) == {subject, f"{subject}-b", f"{subject}-c"}
    reply = asked(plane, "erase", f"{subject}-c")
    rows = {row["topic"]: row for row in reply.result["receipt"]}
    assert rows["gait.identity.events"]["found"] == 1 and rows["gait.gallery"]["found"] == 3


def test_a_search_that_takes_too_long_says_so(plane: Plane, walked: Walked) -> None:
    subject, _, arguments = walked(20)
    assert asked(plane, "enrol", subject, arguments).ok
    reply = asked(plane, "erase", subject, {"scan_s": 1e-6})
    assert reply.ok and not plane.gallery(subject), "templates go first, whatever the search takes"
    assert not all(row["complete"] for row in reply.result["receipt"])


def test_cut_removes_the_walk_itself(plane: Plane, walked: Walked) -> None:
    subject, device, arguments = walked(20)
    assert asked(plane, "enrol", subject, arguments).ok
    plane.publish(topics.SAMPLES_INERTIAL, [sample(device, arguments["from_ns"])])
    reply = asked(plane, "erase", subject, {"cut": True})
    rows = {row["topic"]: row for row in reply.result["receipt"]}
    assert (rows["gait.embeddings"]["found"], rows["gait.embeddings"]["removed"]) == (20, 20)
    assert not [r for r in plane.records("gait.embeddings") if r.key == device.encode()]
    # No identity worker has read the sample: to cut it would lose what lies before it, which may be anybody's.
    assert (rows["gait.samples.inertial"]["found"], rows["gait.samples.inertial"]["removed"]) == (1, 0)
    assert not asked(plane, "enrol", subject, arguments).ok, "there is nothing left to enrol from"


def test_a_person_comes_back_from_an_export_only(plane: Plane, walked: Walked) -> None:
    from workers.control.export import export_lines, import_templates, parse_lines

    subject, _, arguments = walked(20)
    assert asked(plane, "enrol", subject, arguments | {"consent": "door 2"}).ok
    before = plane.gallery(subject)
    lines = export_lines(before)
    assert asked(plane, "erase", subject).ok and not plane.gallery(subject)
    templates = parse_lines("\n".join(lines), {before[0].space})
    run(import_templates(plane.settings, templates, "tester"))
    after = plane.gallery(subject)
    assert [t.to_bytes() for t in after] == [t.to_bytes() for t in before] and len(after[0].vector) == DIM
    assert [(e.actor, e.action) for e in plane.audit() if e.subject == subject] == [
        ("tester", "enrol"),
        ("tester", "erase"),
        ("tester", "import"),
    ]
    assert asked(plane, "rename", subject, {"to": f"{subject}-back"}).ok, "the control plane knows them again"


@pytest.mark.parametrize("outcome", ["done", "somebody is enrolled"])
def test_only_moves_that_were_made_give_former_names(plane: Plane, fresh: tuple[str, str, int], outcome: str) -> None:
    name, _, _ = fresh
    entry = AuditEntry(actor="t", action="merge", subject=f"{name}-a", outcome=outcome, at_ns=1, details={"to": f"{name}-b"})
    plane.publish(topics.AUDIT, [(b"t", entry.to_bytes()), (b"t", b"\xc1"), (b"t", None)])
    names = run(former_names(plane.settings, f"{name}-b"))
    assert names == ({f"{name}-a", f"{name}-b"} if outcome == "done" else {f"{name}-b"})
