"""What phones send, made from samples."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import Recording
from streams.messages import ImuChunk

START_NS = 1_790_000_000_000_000_000
NOW_NS = START_NS + 3600 * 10**9


def readings(name: str, time_ns: NDArray[np.int64], values: NDArray[Any]) -> list[dict[str, Any]]:
    """Readings of one sensor as the Sensor Logger app sends them."""
    return [
        {"name": name, "time": int(t), "accuracy": 3, "values": dict(zip("xyz", map(float, v), strict=True))}
        for t, v in zip(time_ns, values, strict=True)
    ]


def message(payload: list[dict[str, Any]], device: str = "phone", number: int = 0, session: str = "s") -> bytes:
    """A message of the app."""
    return json.dumps({"messageId": number, "sessionId": session, "deviceId": device, "payload": payload}).encode()


def walk(samples: int = 50, rate_hz: float = 50.0, seed: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Times, acceleration and angular rate that pass the checks."""
    rng = np.random.default_rng(seed)
    time_ns = START_NS + np.round(np.arange(samples) * 1e9 / rate_hz).astype(np.int64)
    acc = rng.normal((0.0, 9.81, 0.0), 1.0, (samples, 3)).astype(np.float32)
    return time_ns, acc, rng.normal(0.0, 1.0, (samples, 3)).astype(np.float32)


def plain(**changes: Any) -> dict[str, Any]:
    """A push in the plain form, with changed fields; None removes one."""
    _, acc, gyro = walk()
    fields = {
        "device_id": "phone", "session": "s", "seq": 3, "start_ns": START_NS, "rate_hz": 50, "acc": acc.tolist(), "gyro": gyro.tolist()
    } | changes  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def app_messages(recording: Recording, device: str, start_ns: int) -> list[bytes]:
    """A recording as the app would send it, one message a second."""
    size = round(recording.rate_hz)
    time_ns = start_ns + np.round(np.arange(len(recording.acc_N3)) * 1e9 / recording.rate_hz).astype(np.int64)
    found = []
    for number, a in enumerate(range(0, len(time_ns), size)):
        part = slice(a, a + size)
        acc = readings("totalacceleration", time_ns[part], recording.acc_N3[part])
        gyro = readings("gyroscope", time_ns[part], recording.gyro_N3[part])
        found.append(message([*acc, *gyro, {"name": "battery", "time": int(time_ns[a]), "values": {}}], device, number))
    return found


def samples_of(chunks: list[ImuChunk]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Times and (N, 6) values of one device's chunks, in order of time."""
    times = []
    for chunk in chunks:
        n = len(chunk.acc)
        offsets = chunk.offsets_ns if chunk.offsets_ns is not None else np.round(np.arange(n) * 1e9 / chunk.rate_hz).astype(np.int64)  # type: ignore[operator]
        times.append(chunk.start_ns + offsets)
    time_ns = np.concatenate(times)
    order = np.argsort(time_ns)
    return time_ns[order], np.concatenate([np.hstack([c.acc, c.gyro]) for c in chunks])[order]
