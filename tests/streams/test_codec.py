"""Messages to bytes and back; and no bytes whatever raise anything but BadMessage."""

import copy
import random
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.codec import MAX_MESSAGE_BYTES, Message
from streams.errors import BadMessage, SchemaMismatch, Undecodable
from streams.messages import (
    ALL,
    AuditEntry,
    CameraFrame,
    CameraSample,
    Candidate,
    Command,
    EmbeddingRecord,
    GaitSample,
    IdentityEvent,
    ImuChunk,
    PeopleSeen,
    PersonSeen,
    Reply,
    Template,
    WalkingEvent,
)
from streams.messages.fields import stable_id
from streams.messages.gallery import split_template_key

T_NS = 1_790_000_000_000_000_000
VECTOR = (np.arange(8, dtype=np.float32) + 1) / np.linalg.norm(np.arange(8) + 1)
CHUNK = ImuChunk(
    device_id="phone-1", session="s", seq=3, start_ns=T_NS, rate_hz=50.0,
    acc=np.full((50, 3), 5.7, np.float32), gyro=np.zeros((50, 3), np.float32), placement="pocket", claimed_subject="ada",
)  # fmt: skip
EXAMPLES: list[Message] = [
    CHUNK,
    CHUNK.model_copy(update={"rate_hz": None, "offsets_ns": np.arange(50, dtype=np.int64) * 20_000_000}),
    GaitSample(
        id="a", stream_key="phone-1", session="s", start_ns=T_NS, end_ns=T_NS + 1, cut="fixed-128", samples=np.ones((128, 6), np.float32),
        walking=0.9, step_rate_hz=1.9, regularity=0.8, bout_id="b", bout_start_ns=T_NS, bout_steps=4.0, received_ns=T_NS,
    ),
    CameraFrame(camera_id="hall", seq=3, time_ns=T_NS, width=640, height=360, jpeg=b"\xff\xd8\xff\xd9"),
    CameraFrame(camera_id="hall", seq=4, time_ns=T_NS, width=640, height=360, claim="camera-hall/1-4.jpg"),
    PeopleSeen(
        id="a", camera_id="hall", time_ns=T_NS, width=640, height=360, received_ns=T_NS,
        people=[PersonSeen(track="hall:1-0", box=np.ones(4, np.float32), keypoints=np.ones((17, 3), np.float32), score=0.9)],
    ),
    CameraSample(
        id="a", stream_key="hall:1-0", start_ns=T_NS, end_ns=T_NS + 1, cut="camera-32", step_rate_hz=1.9, bout_id="b", bout_start_ns=T_NS,
        bout_steps=4.0, received_ns=T_NS, camera_id="hall", keypoints=np.ones((32, 17, 3), np.float32), silhouettes=bytes(32 * 352),
        box=np.ones(4, np.float32), quality=0.5,
    ),
    EmbeddingRecord(
        id="a", stream_key="phone-1", sample_id="s", start_ns=T_NS, end_ns=T_NS + 1, bout_id="b", space="x", vector=VECTOR, quality=0.5
    ),
    Template(
        subject="ada", template_id="t", space="x", vector=VECTOR, quality=1.0, windows=4, stream_key="phone-1", from_ns=1, to_ns=2,
        enrolled_ns=3, expires_ns=4,
    ),
    IdentityEvent(
        id="a", stream_key="phone-1", bout_id="b", start_ns=1, end_ns=2, decision="known", subject="ada", score=0.7, confidence=0.9,
        margin=0.1, candidates=[Candidate(subject="ada", score=0.7)], windows=3, effective_windows=2.1, target_fpir=0.01, enrolled=2,
        gallery_version=5, space="x", quality=0.5, claimed_subject="ada", verification="accepted", verification_score=0.7,
        received_ns=3, decided_ns=4,
    ),
    WalkingEvent(id="a", kind="ended", stream_key="phone-1", bout_id="b", start_ns=1, end_ns=2, steps=3.5, step_rate_hz=1.8),
    Command(id="a", kind="enrol", subject="ada", actor="op", sent_ns=1, arguments={"device": "phone-1", "last_s": 30.0}),
    Reply(command_id="a", kind="enrol", subject="ada", ok=False, error="too few windows", result={"windows": 1}, finished_ns=2),
    AuditEntry(actor="op", action="erase", subject="ada", outcome="done", at_ns=1, details={"templates": 2}),
]  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equality that looks into arrays, and into lists of messages."""
    if isinstance(a, list) and a and isinstance(a[0], Message):
        return len(a) == len(b) and all(same(x.__dict__[name], y.__dict__[name]) for x, y in zip(a, b, strict=True) for name in x.__dict__)
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_there_and_back(message: Message) -> None:
    back = type(message).from_bytes(message.to_bytes())
    assert back.__dict__.keys() == message.__dict__.keys()
    assert all(same(value, back.__dict__[name]) for name, value in message.__dict__.items())


def test_every_family_has_an_example() -> None:
    assert {type(message) for message in EXAMPLES} == set(ALL)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_newer_publisher_is_understood_and_missing_fields_are_named(message: Message) -> None:
    family, wire = type(message), msgpack.unpackb(message.to_bytes())
    assert family.from_bytes(msgpack.packb(wire | {"field_of_tomorrow": {"deep": [1]}}))
    for name, field in family.model_fields.items():
        if field.is_required():
            with pytest.raises(SchemaMismatch) as caught:
                family.from_bytes(msgpack.packb({key: value for key, value in wire.items() if key != name}))
            assert caught.value.path == name
    with pytest.raises(Undecodable) as refused:
        family.from_bytes(msgpack.packb(wire | {"v": family.VERSION + 1}))
    assert refused.value.why == "version"


def test_the_size_limit_is_exact() -> None:
    with pytest.raises(Undecodable, match="not msgpack"):
        ImuChunk.from_bytes(b"\xc1" * MAX_MESSAGE_BYTES)
    with pytest.raises(Undecodable, match="limit"):
        ImuChunk.from_bytes(b"\xc1" * (MAX_MESSAGE_BYTES + 1))


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
def test_no_bytes_raise_anything_but_bad_message(data: bytes) -> None:
    for family in ALL:
        try:
            family.from_bytes(data)
        except BadMessage as error:
            assert error.why
            assert str(error)


WILD = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(example=st.sampled_from(EXAMPLES), seed=st.integers(0, 2**32), value=WILD)
def test_wild_values_in_any_field_raise_nothing_else(example: Message, seed: int, value: Any) -> None:
    """One field, at any depth, becomes something else."""
    chance = random.Random(seed)
    wire = copy.deepcopy(msgpack.unpackb(example.to_bytes()))
    place = wire
    while True:
        key = chance.choice(list(place))
        if isinstance(place[key], dict) and place[key] and chance.random() < 0.8:
            place = place[key]
            continue
        place[key] = value
        break
    try:
        type(example).from_bytes(msgpack.packb(wire))
    except BadMessage as error:
        assert error.why


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_flipped_cut_and_repeated_bytes_raise_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    example = chance.choice(EXAMPLES)
    data = bytearray(example.to_bytes())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 30)]
            case _:
                data[at:at] = data[at : at + chance.randint(1, 30)]
        if not data:
            break
    try:
        type(example).from_bytes(bytes(data))
    except BadMessage as error:
        assert error.why


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"ada/t1", ("ada", "t1")),
        (b"ada/t/1", ("ada", "t/1")),  # only the first slash separates
        (b"ada", None),
        (b"/t1", None),
        (b"ada/", None),
        (b"", None),
        (None, None),
    ],
)
def test_gallery_keys(key: bytes | None, expected: tuple[str, str] | None) -> None:
    if expected is None:
        with pytest.raises(SchemaMismatch):
            split_template_key(key)
    else:
        assert split_template_key(key) == expected


def test_ids_depend_on_every_part_and_on_nothing_else() -> None:
    assert stable_id("a", "b", 1) == stable_id("a", "b", "1") == stable_id("a", "b", 1)
    assert len({stable_id("a", "b"), stable_id("ab", ""), stable_id("", "ab"), stable_id("b", "a"), stable_id("a", "b", "")}) == 5
