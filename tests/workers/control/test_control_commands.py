"""Commands against a control plane in a process of its own: what each does, what is refused and why, what is a dead letter."""

import time
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
from aiokafka.errors import KafkaError

from streams import topics
from streams.deadletter import list_letters
from streams.messages import Command, Reply
from streams.settings import Settings
from tests.support.brokers import free_port
from tests.workers.control.plane import DIM, HOP_NS, SPACE, Plane, person, run
from workers.control.client import ask, command_of
from workers.control.enrol import enrol
from workers.control.gallery import GalleryView
from workers.control.refusal import Refusal

Walked = Callable[..., tuple[str, str, dict[str, Any]]]


def asked(plane: Plane, kind: Any, subject: str, arguments: dict[str, Any] | None = None) -> Reply:
    return run(ask(plane.settings, kind, subject, "tester", arguments))


def test_enrol_writes_templates_that_lie_where_the_person_walks(plane: Plane, walked: Walked) -> None:
    subject, device, arguments = walked(24)
    expires_ns = time.time_ns() + 3600 * 10**9
    reply = asked(plane, "enrol", subject, arguments | {"consent": "gate 3, one year", "expires_ns": expires_ns})
    assert reply.ok, reply.error
    (template,) = plane.gallery(subject)
    seed = 1000 + int(device.split("-")[1])
    mean_D = person(seed, 24).mean(axis=0)
    assert template.vector @ mean_D / np.linalg.norm(mean_D) > 0.999
    assert (template.space, template.windows, template.stream_key) == (SPACE, 24, device)
    assert (template.consent, template.expires_ns, template.enrolled_by) == ("gate 3, one year", expires_ns, "tester")
    assert reply.result["templates"] == 1 and reply.result["windows"] == 24
    (entry,) = plane.audited([reply.command_id])
    assert (entry.actor, entry.action, entry.subject, entry.outcome) == ("tester", "enrol", subject, "done")


def test_last_seconds_count_back_from_the_newest_walking(plane: Plane, walked: Walked) -> None:
    subject, device, arguments = walked(40)
    reply = asked(plane, "enrol", subject, {"stream_key": device, "last_s": 20 * HOP_NS / 1e9})
    assert reply.ok, reply.error
    assert 15 <= reply.result["windows"] <= 20
    assert reply.result["to_ns"] == arguments["from_ns"] + 41 * HOP_NS


def test_replace_leaves_only_the_new_templates(plane: Plane, walked: Walked) -> None:
    subject, _, first = walked(20)
    assert asked(plane, "enrol", subject, first).ok
    before = {t.template_id for t in plane.gallery(subject)}
    _, _, second = walked(30)
    assert asked(plane, "enrol", subject, second).ok
    assert {t.template_id for t in plane.gallery(subject)} > before
    _, _, third = walked(16)
    reply = asked(plane, "enrol", subject, third | {"replace": True})
    assert reply.ok and reply.result["replaced"] == 2
    assert [t.windows for t in plane.gallery(subject)] == [16]


REFUSED_WALKS = [
    # what has walked: (windows of each person in turn, space, quality); the word, and a piece of the sentence
    ("too little", [(5, SPACE, 0.9)], "too_little_walking", "10 are needed"),
    ("poor signal", [(20, SPACE, 0.1)], "too_little_walking", "0 of 20 windows are usable"),
    ("nobody walked", [], "too_little_walking", "no walking"),
    ("two people took turns", [(12, SPACE, 0.9), (12, SPACE, 0.9)], "two_people", "two people"),
    ("an older network began", [(12, "old@1", 0.9), (12, SPACE, 0.9)], "mixed_spaces", "2 spaces"),
    ("an older network only", [(12, "old@1", 0.9)], "other_space", "walk again"),
]


@pytest.mark.parametrize(("what", "walks", "why", "sentence"), REFUSED_WALKS, ids=[row[0] for row in REFUSED_WALKS])
def test_a_walk_that_cannot_enrol_is_refused_in_words(
    plane: Plane, fresh: tuple[str, str, int], what: str, walks: list[tuple[int, str, float]], why: str, sentence: str
) -> None:
    subject, device, seed = fresh
    start_ns = at_ns = time.time_ns() - 600 * 10**9
    for turn, (windows, space, quality) in enumerate(walks):
        plane.walk(device, person(seed * 10 + turn, windows), at_ns, space=space, quality=quality)
        at_ns += windows * HOP_NS
    reply = asked(plane, "enrol", subject, {"stream_key": device, "from_ns": start_ns, "to_ns": at_ns + 2 * HOP_NS})
    assert not reply.ok and reply.result == {"reason": why} and sentence in reply.error
    assert not plane.gallery(subject)
    assert [entry.outcome for entry in plane.audited([reply.command_id])] == [reply.error]


def test_a_person_is_not_enrolled_under_two_names(plane: Plane, walked: Walked) -> None:
    first, _, arguments = walked(20, seed=77)
    second, _, again = walked(30, seed=77)
    assert asked(plane, "enrol", first, arguments).ok
    reply = asked(plane, "enrol", second, again)
    assert not reply.ok and reply.result["reason"] == "already_enrolled" and f"enrolled as {first}" in reply.error
    assert asked(plane, "enrol", first, again).ok, "more walking of the same person under the same name is welcome"


REFUSED_ARGUMENTS = [
    # kind, arguments, what the sentence names
    ("enrol", {}, "stream_key"),  # whose stream
    ("enrol", {"stream_key": "a/b"}, "stream_key"),  # no name
    ("enrol", {"stream_key": "a", "last_s": -1.0}, "last_s"),  # the future
    ("enrol", {"stream_key": "a", "last_s": float("nan")}, "last_s"),  # no number
    ("enrol", {"stream_key": "a", "last_s": 5.0, "from_ns": 1}, "not both"),  # two stretches
    ("enrol", {"stream_key": "a", "from_ns": 2, "to_ns": 1}, "before"),  # backwards
    ("enrol", {"stream_key": "a", "from_ns": "yesterday"}, "from_ns"),  # ill-typed
    ("enrol", {"stream_key": "a", "expires": 5}, "expires"),  # misspelt: must not mean for ever
    ("rename", {}, "to"),
    ("rename", {"to": "a/b"}, "to"),
    ("merge", {"to": ""}, "to"),
    ("consent", {}, "give consent"),
    ("consent", {"consent": "x" * 1000}, "consent"),
    ("consent", {"consent": " "}, "erase"),  # taken back: then the templates go
    ("erase", {"scan_s": 0.0}, "scan_s"),
    ("erase", {"everything": True}, "everything"),
]


def test_wrong_arguments_are_refused_and_name_the_field(plane: Plane) -> None:
    commands = [command_of(kind, "Nobody", "tester", arguments) for kind, arguments, _ in REFUSED_ARGUMENTS]  # type: ignore[arg-type]
    plane.command(commands)
    plane.until(lambda: len(plane.replies(c.id for c in commands)) == len(commands), "replies")
    replies = {reply.command_id: reply for reply in plane.replies(c.id for c in commands)}
    for command, (_, _, named) in zip(commands, REFUSED_ARGUMENTS, strict=True):
        reply = replies[command.id]
        assert not reply.ok and reply.result == {"reason": "arguments"} and named in reply.error, (command, reply)


def test_who_is_not_enrolled_cannot_be_changed(plane: Plane) -> None:
    for kind, arguments in (("rename", {"to": "B"}), ("merge", {"to": "B"}), ("consent", {"consent": "yes"}), ("erase", {})):
        reply = asked(plane, kind, "Nobody at all", arguments)
        assert not reply.ok and reply.result["reason"] == "unknown_subject", kind


def test_rename_merge_and_consent(plane: Plane, walked: Walked) -> None:
    (ada, _, one), (bela, _, two) = walked(20), walked(20)
    assert asked(plane, "enrol", ada, one | {"consent": "old"}).ok
    assert asked(plane, "enrol", bela, two).ok
    reply = asked(plane, "rename", ada, {"to": bela})
    assert not reply.ok and reply.result["reason"] == "exists"
    before = plane.gallery(ada)
    assert asked(plane, "rename", ada, {"to": f"{ada} Smith"}).ok
    assert not plane.gallery(ada)
    (after,) = plane.gallery(f"{ada} Smith")
    assert after.template_id == before[0].template_id and np.array_equal(after.vector, before[0].vector) and after.consent == "old"
    assert asked(plane, "merge", f"{ada} Smith", {"to": bela}).ok
    assert not plane.gallery(f"{ada} Smith") and len(plane.gallery(bela)) == 2
    assert asked(plane, "consent", bela, {"consent": "until the end of the year", "expires_ns": 2**62}).ok
    assert {(t.consent, t.expires_ns) for t in plane.gallery(bela)} == {("until the end of the year", 2**62)}
    assert asked(plane, "consent", bela, {"expires_ns": None}).ok
    assert {(t.consent, t.expires_ns) for t in plane.gallery(bela)} == {("until the end of the year", None)}
    assert not asked(plane, "merge", bela, {"to": bela}).ok


def test_templates_leave_when_consent_ends(plane: Plane, walked: Walked) -> None:
    (short, _, one), (long, _, two) = walked(20), walked(20)
    assert asked(plane, "enrol", long, two | {"expires_ns": time.time_ns() + 3600 * 10**9}).ok
    assert asked(plane, "enrol", short, one | {"expires_ns": time.time_ns() + 10**9}).ok
    plane.until(lambda: not plane.gallery(short), "expiry")
    assert plane.gallery(long)
    plane.until(lambda: [e for e in plane.audit() if e.subject == short and e.actor == "expiry"], "the audit entry")
    assert [(e.action, e.outcome) for e in plane.audit() if e.subject == short and e.actor == "expiry"] == [("erase", "done")]


def poison() -> list[tuple[str, bytes | None]]:
    good = command_of("erase", "Somebody", "tester").__dict__
    return [
        ("empty", None),  # a tombstone where none belongs
        ("undecodable", b"\xc1 not msgpack"),
        ("undecodable", b""),
        ("undecodable", msgpack.packb([1, 2, 3])),  # no map
        ("schema", msgpack.packb(good | {"kind": "destroy"})),
        ("schema", msgpack.packb(good | {"subject": "a/b"})),  # a slash separates subject and template in keys
        ("schema", msgpack.packb(good | {"arguments": "all"})),
        ("schema", msgpack.packb({k: v for k, v in good.items() if k != "id"})),
        ("version", msgpack.packb(good | {"v": 99})),
    ]


def test_what_is_no_command_is_a_dead_letter_and_the_next_command_is_carried_out(plane: Plane, walked: Walked) -> None:
    def letters() -> list[Any]:
        return [letter for letter in run(list_letters(plane.settings, limit=1000)) if letter.topic == topics.COMMANDS.name]

    before = len(letters())
    subject, _, arguments = walked(20)
    rows = poison()
    plane.publish(topics.COMMANDS, [(subject.encode(), value) for _, value in rows])
    assert asked(plane, "enrol", subject, arguments).ok, "in the same partition, behind the poison"
    plane.until(lambda: len(letters()) >= before + len(rows), "letters")
    newest = sorted(letters(), key=lambda letter: (letter.at_ms, letter.offset))[before:]
    assert sorted((letter.reason, letter.value) for letter in newest if letter.value) == sorted(row for row in rows if row[1])
    assert [letter.reason for letter in newest if not letter.value].count("empty") == 1
    assert {letter.key for letter in newest} == {subject.encode()} and all(letter.worker.startswith("control/") for letter in newest)


def test_the_same_command_twice_has_one_effect_and_two_answers(plane: Plane, walked: Walked) -> None:
    subject, _, arguments = walked(20)
    enrol = command_of("enrol", subject, "tester", arguments)
    erase = command_of("erase", subject, "tester")
    plane.command([enrol, erase, enrol])
    plane.until(lambda: len(plane.replies([enrol.id])) == 2, "two replies")
    first, second = plane.replies([enrol.id])
    assert first == second and first.ok
    assert not plane.gallery(subject), "the repeated enrolment brought back an erased person"
    assert len(plane.audited([enrol.id])) == 1


def test_vectors_do_not_travel_in_commands_replies_or_tables(plane: Plane, walked: Walked) -> None:
    subject, _, arguments = walked(20)
    assert asked(plane, "enrol", subject, arguments).ok
    vector = np.asarray(plane.gallery(subject)[0].vector, "<f4").tobytes()
    assert len(vector) == 4 * DIM
    changelog = f"{plane.settings.group('control')}-commands-done-changelog"
    held = {name: sum(vector in (r.value or b"") for r in plane.records(name)) for name in (*(t.name for t in topics.ALL), changelog)}
    assert plane.records(changelog), "the table has a changelog"
    assert {name for name, count in held.items() if count} == {topics.GALLERY.name}


def test_a_command_of_a_kafka_client_needs_no_known_fields_only(plane: Plane) -> None:
    fields = command_of("erase", "Nobody", "tester").__dict__ | {"newer": "field"}
    plane.publish(topics.COMMANDS, [(b"Nobody", msgpack.packb(fields))])
    plane.until(lambda: plane.replies([fields["id"]]), "a reply")
    assert Command.from_bytes(msgpack.packb(fields)).id == fields["id"]


@pytest.mark.parametrize(
    ("consent", "required", "refused"),
    [
        ("", True, True),  # nothing agreed to
        (" \t", True, True),  # looks like something
        ("gate 3, one year", True, False),
        ("", False, False),  # kept on paper, as the default allows
    ],
)
async def test_consent_can_be_required(consent: str, required: bool, refused: bool) -> None:
    settings = Settings(bootstrap=f"127.0.0.1:{free_port()}", require_consent=required)
    command = command_of("enrol", "Ada", "tester", {"stream_key": "phone", "consent": consent})
    with pytest.raises(Refusal if refused else KafkaError) as refusal:  # who is not refused goes on to the broker, which is not there
        await enrol(settings, command, GalleryView(settings), {})
    assert not refused or (isinstance(refusal.value, Refusal) and refusal.value.why == "no_consent" and "consent" in str(refusal.value))
