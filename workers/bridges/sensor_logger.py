"""The JSON of the Sensor Logger app, the same for its HTTP push and its MQTT publish (its pages PUSHING.md, UNITS.md).

    {"messageId": 7, "sessionId": "...", "deviceId": "...",
     "payload": [{"name": "totalacceleration", "time": 1698501144401773000, "values": {"x": 0.1, "y": 9.7, "z": 0.3}}, ...]}

Times are ns since the epoch, accelerations m/s², angular rates rad/s.  `totalacceleration` is with gravity (Android); `accelerometer`
is without, so it is used only together with `gravity`, whose sum is the same thing.  `gyroscope` is needed in either case.  Readings of
other sensors are passed over.  On an iPhone the app's axes are reversed unless "Standardise Units & Frames" is switched on: it must be.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from streams.errors import BadClock, SchemaMismatch
from streams.messages import ImuChunk
from workers.bridges.align import Series, bring_together, series_of

PIECE_NS = 2_000_000_000
"""A message that carries more becomes several chunks of at most this length."""

PIECE_SAMPLES = 1024
MOST_PIECES = 1000
"""Chunks of one message; also what its sequence numbers are multiplied with, so that a message sent again gives the same numbers."""

EARLIEST_NS = 10**17
"""1973: a smaller number is a time in seconds, ms or µs."""

SENSORS = ("totalacceleration", "accelerometer", "gravity", "gyroscope")


def chunks_of_readings(fields: dict[str, Any]) -> tuple[list[ImuChunk], int]:
    """Chunks of a message, and the number of accelerometer samples that had to be left out because no gyroscope reading is near.

    A message without inertial readings (the app's test message, a location only) gives none.  Raises SchemaMismatch, BadClock.
    """
    series = {name: series_of(times, values) for name, (times, values) in _readings(fields.get("payload")).items()}
    acc, left_out = _acceleration(series)
    if acc is None:
        return [], 0
    if "gyroscope" not in series:
        raise SchemaMismatch("the message has no gyroscope readings: switch the Gyroscope sensor on", path="payload")
    given = len(acc.time_ns_N)
    acc, (gyro_N3,) = bring_together(acc, series["gyroscope"])
    return _pieces(fields, acc, gyro_N3), left_out + given - len(acc.time_ns_N)


def _readings(payload: Any) -> dict[str, tuple[list[int], list[list[float]]]]:
    """Times and values of each sensor that is used.  Raises SchemaMismatch, BadClock."""
    if not isinstance(payload, list):
        raise SchemaMismatch("a list of readings is needed", path="payload")
    found: dict[str, tuple[list[int], list[list[float]]]] = {}
    for i, reading in enumerate(payload):
        if not isinstance(reading, dict) or not isinstance(reading.get("name"), str):
            raise SchemaMismatch("a reading is an object with a name", path=f"payload.{i}")
        name = reading["name"].lower()
        if name not in SENSORS:
            continue
        times, values = found.setdefault(name, ([], []))
        times.append(_time_ns(reading.get("time"), f"payload.{i}.time"))
        values.append(_xyz(reading.get("values"), f"payload.{i}.values"))
    return found


def _time_ns(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SchemaMismatch(f"a number of ns since the epoch is needed, got {str(value)[:40]}", path=path)
    if not EARLIEST_NS <= value < 2**63:
        raise BadClock(f"{value} is no time in ns since the epoch", reason="clock_unit", path=path)
    return int(value)


def _xyz(value: Any, path: str) -> list[float]:
    axes: list[Any] = [value.get(axis) for axis in "xyz"] if isinstance(value, dict) else []
    try:
        if axes and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in axes):
            return [float(v) for v in axes]
    except OverflowError:  # an integer of hundreds of digits
        pass
    raise SchemaMismatch("an object with the numbers x, y and z is needed", path=path)


def _acceleration(series: dict[str, Series]) -> tuple[Series | None, int]:
    """Acceleration with gravity, or None when the message has no inertial readings; and how many samples were left out."""
    if "totalacceleration" in series:
        return series["totalacceleration"], 0
    if "accelerometer" in series:
        if "gravity" not in series:
            text = "accelerometer is without gravity: switch on the TotalAcceleration sensor, or Gravity on an iPhone"
            raise SchemaMismatch(text, path="payload")
        kept, (gravity_N3,) = bring_together(series["accelerometer"], series["gravity"])
        return Series(kept.time_ns_N, kept.value_N3 + gravity_N3), len(series["accelerometer"].time_ns_N) - len(kept.time_ns_N)
    if "gyroscope" in series:
        raise SchemaMismatch("the message has no acceleration: switch on the TotalAcceleration sensor", path="payload")
    return None, 0


def _pieces(fields: dict[str, Any], acc: Series, gyro_N3: np.ndarray) -> list[ImuChunk]:
    number = fields.get("messageId")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**63 // MOST_PIECES:
        raise SchemaMismatch("a whole number from 0 on is needed", path="messageId")
    time_ns_N = acc.time_ns_N
    chunks: list[ImuChunk] = []
    a = 0
    while a < len(time_ns_N):
        b = min(int(np.searchsorted(time_ns_N, time_ns_N[a] + PIECE_NS)), a + PIECE_SAMPLES)
        if len(chunks) == MOST_PIECES:
            raise SchemaMismatch(f"the readings spread over more than {MOST_PIECES} chunks: send them more often", path="payload")
        chunks.append(
            ImuChunk(
                device_id=fields.get("deviceId"),  # type: ignore[arg-type]  # checked by the message
                session=fields.get("sessionId", ""),
                seq=number * MOST_PIECES + len(chunks),
                start_ns=int(time_ns_N[a]),
                offsets_ns=time_ns_N[a:b] - time_ns_N[a],
                acc=acc.value_N3[a:b].astype(np.float32),
                gyro=gyro_N3[a:b].astype(np.float32),
            )
        )
        a = b
    return chunks
