"""What a push means, and what each thing that can be wrong with it is answered with."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import BadMessage
from tests.workers.bridges.pushes import NOW_NS, START_NS, message, plain, readings, samples_of, walk
from workers.bridges.align import MAX_GAP_NS
from workers.bridges.payload import MOST_BYTES, Push, read_push
from workers.bridges.sensor_logger import MOST_PIECES, PIECE_NS, PIECE_SAMPLES


def read(body: bytes | dict[str, Any]) -> Push:
    """A push as it is read an hour after its samples."""
    return read_push(body if isinstance(body, bytes) else json.dumps(body).encode(), clock_ahead_s=300.0, now_ns=NOW_NS)


def test_plain_form_is_the_chunk() -> None:
    _, acc, gyro = walk()
    [chunk], left_out = read(plain(placement="pocket", claimed_subject="Ada"))
    assert (chunk.device_id, chunk.session, chunk.seq, chunk.start_ns, chunk.rate_hz) == ("phone", "s", 3, START_NS, 50)
    assert (chunk.placement, chunk.claimed_subject, left_out) == ("pocket", "Ada", 0)
    assert np.array_equal(chunk.acc, acc) and np.array_equal(chunk.gyro, gyro) and chunk.acc.dtype == np.float32


def test_stated_units_are_converted() -> None:
    _, acc, gyro = walk()
    fields = plain(acc=(acc / 9.80665).tolist(), acc_unit="g", gyro=np.rad2deg(gyro).tolist(), gyro_unit="deg/s")
    [chunk], _ = read(fields)
    np.testing.assert_allclose(chunk.acc, acc, rtol=1e-5)
    np.testing.assert_allclose(chunk.gyro, gyro, rtol=1e-5, atol=1e-6)


def test_app_message_with_shuffled_readings() -> None:
    time_ns, acc, gyro = walk()
    rows = readings("TotalAcceleration", time_ns, acc) + readings("gyroscope", time_ns, gyro)
    np.random.default_rng(0).shuffle(rows)  # type: ignore[arg-type]
    [chunk], left_out = read(message(rows, number=7))
    got_ns, values = samples_of([chunk])
    assert np.array_equal(got_ns, time_ns) and np.array_equal(values, np.hstack([acc, gyro])) and left_out == 0
    assert chunk.seq == 7 * MOST_PIECES and chunk.device_id == "phone" and chunk.session == "s"


def test_gravity_is_added_on_an_iphone() -> None:
    time_ns, acc, gyro = walk()
    gravity = np.tile([0.0, 9.5, 0.5], (50, 1))
    rows = readings("accelerometer", time_ns, acc - gravity) + readings("gravity", time_ns, gravity) + readings("gyroscope", time_ns, gyro)
    [chunk], _ = read(message(rows))
    np.testing.assert_allclose(chunk.acc, acc, atol=1e-5)


def test_a_message_without_inertial_readings_is_fine() -> None:
    assert read(message([{"name": "location", "time": START_NS, "values": {"latitude": 1.0}}])) == Push([], 0)
    assert read(message([])) == Push([], 0)


TIME_NS, ACC, GYRO = walk()
A, G = readings("totalacceleration", TIME_NS, ACC), readings("gyroscope", TIME_NS, GYRO)
BAD: list[tuple[bytes | dict[str, Any], str, str]] = [
    (b"", "undecodable", ""),
    (b"\xff\xfe", "undecodable", ""),
    (b"[1, 2]", "undecodable", ""),  # not an object
    (b"[" * 100_000, "undecodable", ""),  # deeper than the parser goes
    (b'{"seq": ' + b"9" * 5000 + b"}", "undecodable", ""),  # more digits than Python converts
    (json.dumps(plain(seq=float("nan"))).encode(), "undecodable", ""),  # NaN is no JSON
    (b" " * (MOST_BYTES + 1), "too_large", ""),
    (plain(gyro=None), "schema", "gyro"),
    (plain(extra=1), "schema", "extra"),  # a misspelt optional field must not pass unseen
    (plain(device_id="a/b"), "schema", "device_id"),  # slashes separate keys
    (plain(device_id=7), "schema", "device_id"),
    (plain(acc=[[1, 2], [3]]), "schema", "acc"),  # ragged
    (plain(acc=[["1", "2", "3"]] * 50), "schema", "acc"),  # numbers as text
    (plain(acc=[[None, 1, 2]] * 50), "schema", "acc"),
    (plain(acc=[[1, 2]] * 50), "schema", "acc"),  # two axes
    (plain(acc=[[10**400, 0, 0]] * 50), "schema", "acc"),
    (plain(acc=[[1e300, 0, 0]] * 50), "not_finite", "acc"),  # no float32
    (plain(acc=ACC[:20].tolist()), "schema", ""),  # 20 against 50
    (plain(rate_hz=None), "schema", ""),  # neither rate nor offsets
    (plain(rate_hz=None, offsets_ns=[0.5] * 50), "schema", "offsets_ns"),  # a fraction of a ns: seconds are meant
    (plain(rate_hz=None, offsets_ns=[5] * 50), "clock_order", "offsets_ns"),
    (plain(rate_hz=1), "schema", "rate_hz"),
    (plain(start_ns=-1), "schema", "start_ns"),
    (plain(start_ns=NOW_NS + 400 * 10**9), "clock_ahead", "start_ns"),
    (plain(acc_unit="mg"), "schema", "acc_unit"),
    (plain(acc=(ACC / 9.81).tolist()), "units", "acc"),  # g that nobody stated
    (plain(gyro=np.full((50, 3), 300.0).tolist()), "units", "gyro"),  # degrees that nobody stated
    (message([*A, *G, {"time": 1}]), "schema", "payload.100"),
    ({"payload": {}, "deviceId": "p"}, "schema", "payload"),
    (message(A), "schema", "payload"),  # no gyroscope
    (message(G), "schema", "payload"),  # no accelerometer
    (message(readings("accelerometer", TIME_NS, ACC) + G), "schema", "payload"),  # without gravity
    (message([A[0] | {"time": TIME_NS[0] / 1e9}]), "clock_unit", "payload.0.time"),  # seconds
    (message([A[0] | {"time": None}]), "schema", "payload.0.time"),
    (message([A[0] | {"time": True}]), "schema", "payload.0.time"),
    (message([A[0] | {"values": {"x": 1, "y": 2}}]), "schema", "payload.0.values"),
    (message([A[0] | {"values": {"x": 1, "y": 2, "z": 10**400}}]), "schema", "payload.0.values"),
    (message(A + G, device="a/b"), "schema", "device_id"),
    (message(A + G, device=""), "schema", "device_id"),
    (message(A + G, number=-1), "schema", "messageId"),
    (message(A + G, number=2**63), "schema", "messageId"),
]


@pytest.mark.parametrize(("body", "why", "path"), BAD, ids=[f"{i}-{why}-{path}" for i, (_, why, path) in enumerate(BAD)])
def test_bad_pushes_are_answered_with_a_reason(body: bytes | dict[str, Any], why: str, path: str) -> None:
    with pytest.raises(BadMessage) as raised:
        read(body)
    assert (raised.value.why, raised.value.path) == (why, path), raised.value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
READING = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["totalacceleration", "accelerometer", "gravity", "gyroscope", "x"]) | JSON,
        "time": st.integers(START_NS, NOW_NS) | JSON,
        "values": st.fixed_dictionaries({axis: st.floats(-30, 30) for axis in "xyz"}) | JSON,
    },
)
APP = st.fixed_dictionaries(
    {"payload": st.lists(READING, max_size=12) | JSON}, optional={"deviceId": JSON, "sessionId": JSON, "messageId": st.integers() | JSON}
)
PLAIN = st.fixed_dictionaries(
    {}, optional={name: st.just(value) | JSON for name, value in plain(offsets_ns=list(range(50)), acc_unit="g", placement="").items()}
)


@given(st.binary(max_size=200) | (APP | PLAIN | JSON).map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_read_or_answered(body: bytes) -> None:
    try:
        chunks, _ = read(body)
    except BadMessage:
        return
    assert all(np.isfinite(chunk.acc).all() and np.isfinite(chunk.gyro).all() for chunk in chunks)


@given(
    acc_ms=st.lists(st.integers(0, 5000), min_size=1, max_size=60, unique=True),
    gyro_ms=st.lists(st.integers(0, 5000), min_size=1, max_size=60, unique=True),
)
def test_each_sample_is_interpolated_from_near_readings_or_left_out(acc_ms: list[int], gyro_ms: list[int]) -> None:
    """The angular rate is a straight line here, so that what is right between two readings is known."""
    acc_ns, gyro_ns = (START_NS + np.array(ms, np.int64) * 10**6 for ms in (acc_ms, gyro_ms))
    acc = np.tile([0.0, 9.81, 0.0], (len(acc_ns), 1))
    line = (gyro_ns - START_NS)[:, None] / 1e9 * [1.0, -2.0, 3.0]
    chunks, left_out = read(message(readings("totalacceleration", acc_ns, acc) + readings("gyroscope", gyro_ns, line)))
    kept = {int(t): values[3:] for t, values in zip(*samples_of(chunks), strict=True)} if chunks else {}
    assert len(kept) + left_out == len(acc_ns)
    known = sorted(gyro_ns.tolist())
    for t in acc_ns.tolist():
        before, after = max((k for k in known if k <= t), default=None), min((k for k in known if k >= t), default=None)
        if before is None or after is None:
            nearest = before if after is None else after
            near, at = abs(nearest - t) <= MAX_GAP_NS, nearest  # type: ignore[operator]
        else:
            near, at = after - before <= MAX_GAP_NS, t
        assert (t in kept) == near
        if near:
            np.testing.assert_allclose(kept[t], (at - START_NS) / 1e9 * np.array([1.0, -2.0, 3.0]), rtol=1e-5, atol=1e-5)


@given(seconds=st.integers(1, 40), number=st.integers(0, 2**40))
def test_long_messages_become_short_chunks_with_repeatable_numbers(seconds: int, number: int) -> None:
    time_ns, acc, gyro = walk(seconds * 20, rate_hz=20.0)
    body = message(readings("totalacceleration", time_ns, acc) + readings("gyroscope", time_ns, gyro), number=number)
    chunks, _ = read(body)
    assert [chunk.seq for chunk in chunks] == [number * MOST_PIECES + i for i in range(len(chunks))]
    assert all(len(chunk.acc) <= PIECE_SAMPLES and chunk.offsets_ns[-1] < PIECE_NS for chunk in chunks)  # type: ignore[index]
    got_ns, values = samples_of(chunks)
    assert np.array_equal(got_ns, time_ns) and np.array_equal(values, np.hstack([acc, gyro]))
    assert [c.to_bytes() for c in read(body).chunks] == [c.to_bytes() for c in chunks]
