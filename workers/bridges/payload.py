"""Bytes of a push -> chunks, or the reason why not."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from streams.errors import SchemaMismatch, Undecodable
from workers.bridges.plain import PlainPush
from workers.bridges.sensor_logger import chunks_of_readings
from workers.inertial.checks import check_times, check_values

if TYPE_CHECKING:
    from streams.messages import ImuChunk

MOST_BYTES = 1_000_000
"""About a minute of both sensors at 100 Hz in the longer form."""


class Push(NamedTuple):
    """What a push holds; `left_out` counts accelerometer samples without a gyroscope reading near enough."""

    chunks: list[ImuChunk]
    left_out: int


def read_push(body: bytes, *, clock_ahead_s: float, now_ns: int | None = None) -> Push:
    """The chunks of a push in either form.  Their values and times have passed the checks of the inertial worker.

    Raises BadMessage (Undecodable, SchemaMismatch, BadValues, BadClock), whose text may be shown to who sent it.
    """
    if len(body) > MOST_BYTES:
        raise Undecodable(f"a push has at most {MOST_BYTES} bytes, this one has {len(body)}", reason="too_large")
    fields = _object(body)
    try:
        push = Push(*chunks_of_readings(fields)) if "payload" in fields else Push([PlainPush.model_validate(fields).chunk()], 0)
    except ValidationError as error:
        raise _mismatch(error) from None
    received_ns = time.time_ns() if now_ns is None else now_ns
    for chunk, wrong in zip(push.chunks, check_values(push.chunks), strict=True):
        if found := wrong or check_times(chunk, received_ns, clock_ahead_s):
            raise found
    return push


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # JSONDecodeError, UnicodeDecodeError, too many digits, NaN
        raise Undecodable(f"the body is not JSON: {str(error)[:120]}") from None
    if not isinstance(fields, dict):
        raise Undecodable("the body must be a JSON object")
    return fields


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _mismatch(error: ValidationError) -> SchemaMismatch:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return SchemaMismatch(f"{path}: {first['msg']}" if path else first["msg"], path=path)
