"""Bad messages for `gait.imu.raw`: what can be wrong with one, and how it must be answered.

Each row says what was published and which reason and path its dead letter names.  `UNITS`, `CLOCK`, ... are the reasons that
operators meet in `gaitstream deadletter list`, so this table is also their documentation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np

from streams.messages import ImuChunk

Fields = dict[str, Any]
DEVICE = "poisoned"
RATE_HZ = 50.0
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Poison:
    """One bad message; `before` are good ones of the same device that make it bad.  `reason` None: counted as repeated, no letter."""

    name: str
    key: bytes | None
    value: bytes | None
    reason: str | None
    path: str = ""
    before: tuple[ImuChunk, ...] = ()
    cut: bool = False
    """The letter carries only the beginning of the message."""


def walking_chunk(device_id: str, seq: int, start_ns: int, *, session: str = "s", samples: int = 50) -> ImuChunk:
    """One second as a walking phone measures it: a vertical swing on top of gravity."""
    t_N = np.arange(samples) / RATE_HZ
    swing_N = 2.0 * np.sin(2 * np.pi * 1.9 * t_N)
    acc_N3 = np.stack([0.3 * swing_N, 9.81 + swing_N, 0.2 * swing_N], 1).astype(np.float32)
    gyro_N3 = np.stack([swing_N, 0.5 * swing_N, 0.1 * swing_N], 1).astype(np.float32)
    return ImuChunk(device_id=device_id, session=session, seq=seq, start_ns=start_ns, rate_hz=RATE_HZ, acc=acc_N3, gyro=gyro_N3)


def poisons(start_ns: int) -> list[Poison]:
    """Every row, built on good chunks that begin at `start_ns`."""
    good = walking_chunk(DEVICE, 0, start_ns)
    return [*_bytes(good), *_fields(good), *_values(good), *_clocks(start_ns), *_keys(good)]


def _bytes(good: ImuChunk) -> list[Poison]:
    """Values that are not a message at all."""
    whole = good.to_bytes()
    noise = np.random.default_rng(7).bytes(500)
    rows: Sequence[tuple[str, bytes | None, str, str]] = [
        ("no value", None, "empty", ""),  # a tombstone on a topic that has none
        ("zero bytes", b"", "undecodable", ""),
        ("noise", b"\xc1" + noise, "undecodable", ""),  # 0xc1 is the one byte that msgpack never uses
        ("text", b"hello, world", "undecodable", ""),
        ("json", b'{"device_id": "poisoned", "seq": 0}', "undecodable", ""),  # the wrong serialiser
        ("half a message", whole[: len(whole) // 2], "undecodable", ""),
        ("last byte missing", whole[:-1], "undecodable", ""),
        ("one byte too many", whole + b"\x00", "undecodable", ""),
        ("two messages in one", whole + whole, "undecodable", ""),
        ("a list", msgpack.packb([1, 2, 3]), "undecodable", ""),
        ("a number", msgpack.packb(42), "undecodable", ""),
        ("nil", msgpack.packb(None), "undecodable", ""),
        ("deep nesting", b"\x91" * 100_000 + b"\x90", "undecodable", ""),  # a recursive decoder would overflow its stack
        ("a map that claims 4 G entries", b"\xdf\xff\xff\xff\xff" + whole, "undecodable", ""),  # must not allocate
        ("a list that claims 4 G entries", b"\xdd\xff\xff\xff\xff", "undecodable", ""),
        ("a map with numbers as keys", msgpack.packb({1: 2}), "undecodable", ""),
        ("a string that is not UTF-8", b"\x81\xa9device_id\xa2\xff\xfe", "undecodable", ""),
        ("an empty map", msgpack.packb({}), "schema", "device_id"),
        ("over our limit", b"\x00" * 1_000_001, "oversized", ""),
    ]
    return [Poison(name, DEVICE.encode(), value, reason, path) for name, value, reason, path in rows]


def _fields(good: ImuChunk) -> list[Poison]:
    """Maps with one field missing or ill-typed."""
    wire: Fields = msgpack.unpackb(good.to_bytes())
    acc = wire["acc"]
    offsets = {"dtype": "<i8", "shape": [50], "data": (np.arange(50) * 20_000_000).astype("<i8").tobytes()}
    own_times = {"rate_hz": None, "offsets_ns": offsets}
    rows: Sequence[tuple[str, Fields, str]] = [
        ("device id missing", {"device_id": ...}, "device_id"),
        ("device id a number", {"device_id": 7}, "device_id"),
        ("device id empty", {"device_id": ""}, "device_id"),
        ("device id with a slash", {"device_id": "a/b"}, "device_id"),  # a slash separates subject and template in keys
        ("device id with a control character", {"device_id": "a\x00b"}, "device_id"),
        ("device id of 129 characters", {"device_id": "d" * 129}, "device_id"),
        ("device id as bytes", {"device_id": b"poisoned"}, "device_id"),
        ("session a number", {"session": 1}, "session"),
        ("session of 300 characters", {"session": "s" * 300}, "session"),
        ("sequence number missing", {"seq": ...}, "seq"),
        ("sequence number negative", {"seq": -1}, "seq"),
        ("sequence number beyond 63 bits", {"seq": 2**64 - 1}, "seq"),
        ("sequence number with a fraction", {"seq": 0.5}, "seq"),
        ("sequence number as text", {"seq": "0"}, "seq"),
        ("sequence number a truth value", {"seq": True}, "seq"),
        ("start missing", {"start_ns": ...}, "start_ns"),
        ("start before the epoch", {"start_ns": -5}, "start_ns"),
        ("start beyond 63 bits", {"start_ns": 2**63}, "start_ns"),
        ("start in seconds, with a fraction", {"start_ns": 1.79e9}, "start_ns"),
        ("rate zero", {"rate_hz": 0.0}, "rate_hz"),
        ("rate negative", {"rate_hz": -50.0}, "rate_hz"),
        ("rate not a number", {"rate_hz": float("nan")}, "rate_hz"),
        ("rate infinite", {"rate_hz": float("inf")}, "rate_hz"),
        ("rate of a radio", {"rate_hz": 1e9}, "rate_hz"),
        ("rate as text", {"rate_hz": "50"}, "rate_hz"),
        ("neither rate nor times", {"rate_hz": None}, "(message)"),
        ("both rate and times", {"offsets_ns": offsets}, "(message)"),
        ("times of another type", own_times | {"offsets_ns": acc}, "offsets_ns"),
        ("times of another length", own_times | {"offsets_ns": offsets | {"shape": [49], "data": offsets["data"][:-8]}}, "(message)"),
        ("acceleration missing", {"acc": ...}, "acc"),
        ("acceleration a list", {"acc": [[0.0, 9.8, 0.0]] * 50}, "acc"),
        ("acceleration as bytes alone", {"acc": acc["data"]}, "acc"),
        ("acceleration nil", {"acc": None}, "acc"),
        ("acceleration of two axes", {"acc": acc | {"shape": [75, 2]}}, "acc"),
        ("acceleration of one dimension", {"acc": acc | {"shape": [150]}}, "acc"),
        ("acceleration of five dimensions", {"acc": acc | {"shape": [1, 1, 1, 50, 3]}}, "acc"),
        ("no samples", {"acc": acc | {"shape": [0, 3], "data": b""}}, "acc"),
        ("no samples, absurd shape", {"acc": acc | {"shape": [0, 2**63], "data": b""}}, "acc"),
        ("more samples than a chunk may have", {"acc": acc | {"shape": [2049, 3], "data": b"\x00" * (2049 * 12)}}, "acc"),
        ("shape larger than the data", {"acc": acc | {"shape": [51, 3]}}, "acc"),
        ("shape negative", {"acc": acc | {"shape": [-50, -3]}}, "acc"),
        ("shape of truth values", {"acc": acc | {"shape": [True, 3]}}, "acc"),
        ("shape of 2^60 samples", {"acc": acc | {"shape": [2**60, 3]}}, "acc"),
        ("shape a number", {"acc": acc | {"shape": 50}}, "acc"),
        ("big-endian values", {"acc": acc | {"dtype": ">f4"}}, "acc"),
        ("a dtype that runs code", {"acc": acc | {"dtype": "|O"}}, "acc"),
        ("integers for acceleration", {"acc": acc | {"dtype": "<i4"}}, "acc"),
        ("data as text", {"acc": acc | {"data": "0" * 600}}, "acc"),
        ("rates missing", {"gyro": ...}, "gyro"),
        ("rates shorter than acceleration", {"gyro": acc | {"shape": [49, 3], "data": acc["data"][:-12]}}, "(message)"),
        ("placement a number", {"placement": 3}, "placement"),
        ("placement a novel", {"placement": "p" * 257}, "placement"),
        ("claim empty", {"claimed_subject": ""}, "claimed_subject"),
        ("claim with a slash", {"claimed_subject": "ms01/t1"}, "claimed_subject"),
        ("claim an extension type", {"claimed_subject": msgpack.ExtType(5, b"x")}, "claimed_subject"),
    ]
    poisoned = [Poison(name, DEVICE.encode(), _changed(wire, change), "schema", path) for name, change, path in rows]
    versions = [("version 2", 2), ("version 0", 0), ("version as text", "1"), ("version a truth value", True), ("version nil", None)]
    return poisoned + [Poison(name, DEVICE.encode(), _changed(wire, {"v": v}), "version", "v") for name, v in versions]


def _values(good: ImuChunk) -> list[Poison]:
    """Well-formed chunks with values that no sensor gives."""

    def one(array: np.ndarray, value: float) -> np.ndarray:
        changed = array.copy()
        changed[17, 1] = value
        return changed

    rows: Sequence[tuple[str, dict[str, np.ndarray], str, str]] = [
        ("one acceleration NaN", {"acc": one(good.acc, np.nan)}, "not_finite", "acc"),
        ("one acceleration infinite", {"acc": one(good.acc, -np.inf)}, "not_finite", "acc"),
        ("one rate NaN", {"gyro": one(good.gyro, np.nan)}, "not_finite", "gyro"),
        ("all rates infinite", {"gyro": np.full((50, 3), np.inf, np.float32)}, "not_finite", "gyro"),
        ("acceleration of 1000 g", {"acc": one(good.acc, 9810.0)}, "range", "acc"),
        ("acceleration of 1e300", {"acc": one(good.acc.astype(np.float64), 1e300)}, "range", "acc"),
        ("acceleration in milli-g", {"acc": good.acc * np.float32(1000 / 9.81)}, "range", "acc"),
        ("acceleration in g", {"acc": good.acc / np.float32(9.81)}, "units", "acc"),
        ("acceleration in g, half floats", {"acc": (good.acc / np.float32(9.81)).astype(np.float16)}, "units", "acc"),
        ("acceleration without gravity", {"acc": good.acc - np.float32([0, 9.81, 0])}, "units", "acc"),
        ("acceleration all zero", {"acc": np.zeros((50, 3), np.float32)}, "units", "acc"),  # a sensor that is off
        ("rates in degrees", {"gyro": good.gyro * np.float32(180 / np.pi)}, "units", "gyro"),
    ]
    return [Poison(name, DEVICE.encode(), good.model_copy(update=change).to_bytes(), reason, path) for name, change, reason, path in rows]


def _clocks(start_ns: int) -> list[Poison]:
    """Times that cannot be, alone or after what came before."""
    hour_ns = 3600 * SECOND_NS
    now = walking_chunk(DEVICE, 0, start_ns)

    def own_times(offsets: Callable[[np.ndarray], np.ndarray], dtype: type = np.int64) -> bytes:
        offsets_ns = offsets(np.arange(50, dtype=np.int64) * 20_000_000).astype(dtype)
        return now.model_copy(update={"rate_hz": None, "offsets_ns": offsets_ns}).to_bytes()

    def put(t: np.ndarray, values: dict[int, int]) -> np.ndarray:
        for i, value in values.items():
            t[i] = value
        return t

    def follows(name: str, *chunks: ImuChunk, reason: str | None, path: str = "") -> Poison:
        *before, last = chunks
        return Poison(name, last.device_id.encode(), last.to_bytes(), reason, path, tuple(before))

    def chunk(device: str, seq: int, after_s: float, session: str = "s") -> ImuChunk:
        return walking_chunk(device, seq, start_ns + round(after_s * SECOND_NS), session=session)

    rows = [
        ("times run backwards", own_times(lambda t: t[::-1]), "clock_order"),
        ("two samples at one time", own_times(lambda t: put(t, {9: 160_000_000})), "clock_order"),
        ("times begin before the start", own_times(lambda t: t - 1), "clock_order"),
        ("times of two minutes", own_times(lambda t: t * 150), "clock_order"),
        # Differences of 64-bit integers wrap: each step of these looks positive.
        ("times that wrap around 64 bits", own_times(lambda t: put(t, {1: 2**63 - 1, 2: -(2**63), 3: -1})), "clock_order"),
    ]
    year_2200_ns = 7_258_118_400 * SECOND_NS
    ahead = walking_chunk(DEVICE, 0, year_2200_ns)
    late = [chunk("late", seq, seq) for seq in range(6)]
    sessions = [chunk("sessions", 0, 0, "a"), chunk("sessions", 0, 1, "b"), chunk("sessions", 1, 1, "a")]
    return [
        *(Poison(name, DEVICE.encode(), value, reason, "offsets_ns") for name, value, reason in rows),
        Poison("clock far ahead", DEVICE.encode(), ahead.to_bytes(), "clock_ahead", "start_ns"),
        Poison("last moment of 63 bits", DEVICE.encode(), walking_chunk(DEVICE, 0, 2**63 - 1).to_bytes(), "clock_ahead", "start_ns"),
        follows("an hour late", *late, chunk("late", 99, -hour_ns / SECOND_NS), reason="late", path="start_ns"),
        follows("behind what was decided", *(chunk("behind", i, i) for i in range(6)), chunk("behind", 99, 2.5), reason="late", path="start_ns"),
        follows("repeated", *(chunk("repeated", i, i) for i in range(3)), chunk("repeated", 1, 1), reason=None),
        follows("of a former session", *sessions, reason="old_session", path="session"),
    ]  # fmt: skip


def _keys(good: ImuChunk) -> list[Poison]:
    """Keys that would scatter a device over partitions."""
    value = good.to_bytes()
    rows: Sequence[tuple[str, bytes | None]] = [
        ("no key", None),
        ("empty key", b""),
        ("key of another device", b"someone-else"),
        ("key with a byte more", b"poisoned "),
        ("key that is not text", b"\xff\xfe\x00"),
    ]
    return [Poison(name, key, value, "schema", "(key)") for name, key in rows]


def unsendable_by_aiokafka(start_ns: int) -> list[Poison]:
    """Rows that need another client: neither key nor value; close to the broker's own limit; larger than it once decompressed."""
    del start_ns
    return [
        Poison("neither key nor value", None, None, "empty"),
        # With the letter's headers this one is larger than what a topic takes by default.
        Poison("at the broker's limit", DEVICE.encode(), b"\x00" * 1_048_400, "oversized"),
        # Five megabytes of zeros travel as a few hundred compressed bytes.
        Poison("decompresses to five megabytes", DEVICE.encode(), b"\x00" * 5_000_000, "oversized", cut=True),
    ]


def _changed(wire: Fields, change: Fields) -> bytes:
    """The message with fields replaced, or removed where the replacement is `...`."""
    fields = wire | change
    return msgpack.packb({name: value for name, value in fields.items() if value is not ...})
