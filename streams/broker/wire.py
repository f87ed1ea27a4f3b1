"""Requests and responses on the wire, after the typed schemas of ``kio``.

A request of any advertised version is decoded into the *newest* advertised class of its kind, absent fields taking the
schema's default, so a handler is written once. The answer is built as the newest response class too, and kio writes of it
only the fields that the requested version knows.

Requests are decoded here and not by kio's native reader: that one reserves memory for whatever array length it is told, and
aborts the process on a length of 2**31 - 1. Every length is checked against the bytes that are really there.
"""

import dataclasses
import datetime
import io
import struct
import types
import typing
import uuid
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from kio.serial import entity_writer

Decoder = Callable[[bytes, int], tuple[Any, int]]

NO_THROTTLE = datetime.timedelta(0)


class MalformedRequest(Exception):
    """The bytes are not the request they claim to be; the connection is closed."""


def _fixed(fmt: str) -> Decoder:
    layout = struct.Struct(fmt)
    unpack, size = layout.unpack_from, layout.size
    return lambda buffer, at: (unpack(buffer, at)[0], at + size)


_int16, _int32 = _fixed(">h"), _fixed(">i")


def _milliseconds(inner: Decoder) -> Decoder:
    def decode(buffer: bytes, at: int) -> tuple[datetime.timedelta, int]:
        value, at = inner(buffer, at)
        try:
            return datetime.timedelta(milliseconds=value), at
        except OverflowError as error:
            raise MalformedRequest(f"a duration of {value} ms") from error

    return decode


def _uvarint(buffer: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MalformedRequest("a variable-length integer of more than five bytes")


def _compact_length(buffer: bytes, at: int) -> tuple[int, int]:
    value, at = _uvarint(buffer, at)
    return value - 1, at


def _uuid(buffer: bytes, at: int) -> tuple[uuid.UUID, int]:
    return uuid.UUID(bytes=bytes(buffer[at : at + 16])), at + 16


def _sized(length: Decoder, text: bool, optional: bool) -> Decoder:
    def decode(buffer: bytes, at: int) -> tuple[str | bytes | None, int]:
        size, at = length(buffer, at)
        if size < 0:
            if optional and size == -1:
                return None, at
            raise MalformedRequest(f"a length of {size}")
        end = at + size
        if end > len(buffer):
            raise MalformedRequest(f"a length of {size} with {len(buffer) - at} bytes left")
        piece = buffer[at:end]
        return (str(piece, "utf-8") if text else piece), end

    return decode


def _array(length: Decoder, item: Decoder) -> Decoder:
    def decode(buffer: bytes, at: int) -> tuple[tuple[Any, ...] | None, int]:
        count, at = length(buffer, at)
        if count < 0:
            return None, at
        if count > len(buffer) - at:  # every item takes at least one byte
            raise MalformedRequest(f"an array of {count} items with {len(buffer) - at} bytes left")
        items = []
        for _ in range(count):
            value, at = item(buffer, at)
            items.append(value)
        return tuple(items), at

    return decode


def _skip_tags(buffer: bytes, at: int) -> int:
    count, at = _uvarint(buffer, at)
    for _ in range(min(count, len(buffer))):
        _, at = _uvarint(buffer, at)
        size, at = _uvarint(buffer, at)
        at += size
        if at > len(buffer):
            raise MalformedRequest(f"a tagged field of {size} bytes")
    return at


_FIXED: dict[str, Decoder] = {
    "int8": _fixed(">b"),
    "int16": _int16,
    "int32": _int32,
    "int64": _fixed(">q"),
    "bool": _fixed(">?"),
    "timedelta_i32": _milliseconds(_int32),
    "timedelta_i64": _milliseconds(_fixed(">q")),
    "uuid": _uuid,
}
_ABSENT: dict[str, Any] = {"string": "", "bytes": b"", "records": None, "bool": False, "timedelta_i32": NO_THROTTLE}


def _element(annotation: Any) -> tuple[Any, bool, bool]:
    """Of a field's annotation: the innermost type, whether it is an array, whether it may be null."""
    optional = False
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        annotation = next(arm for arm in typing.get_args(annotation) if arm is not types.NoneType)
        optional = True
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0], True, optional
    return annotation, False, optional


def _field_decoder(field: dataclasses.Field[Any], newest: type, flexible: bool, legacy_text: bool) -> Decoder:
    element, is_array, optional = _element(field.type)
    array_length = _compact_length if flexible else _int32
    if dataclasses.is_dataclass(element):
        target = next((_element(other.type)[0] for other in dataclasses.fields(newest) if other.name == field.name), element)
        inner = decoder(cast(Any, element), cast(Any, target))
    else:
        kind = field.metadata["kafka_type"]
        if kind in _FIXED:
            inner = _FIXED[kind]
        elif kind in ("string", "bytes", "records"):
            short = _int16 if kind == "string" else _int32
            inner = _sized(short if legacy_text or not flexible else _compact_length, kind == "string", optional and not is_array)
        else:
            raise TypeError(f"no request that the broker answers has the Kafka type {kind}, found in {field.name}")
    return _array(array_length, inner) if is_array else inner


def _default(field: dataclasses.Field[Any]) -> Any:
    """Value of a field that the requested version does not have."""
    if field.default is not dataclasses.MISSING:
        return field.default
    _, is_array, optional = _element(field.type)
    if optional:
        return None
    return () if is_array else _ABSENT.get(field.metadata.get("kafka_type", ""), 0)


@cache
def decoder(schema: Any, newest: Any) -> Decoder:
    """A function ``(buffer, offset) -> (instance of newest, offset behind it)`` for bytes in the version of ``schema``.

    It raises MalformedRequest, or struct.error, IndexError and UnicodeDecodeError where the bytes end early or are no text.
    """
    flexible: bool = schema.__flexible__
    is_header = schema.__name__ == "RequestHeader"
    known = {field.name for field in dataclasses.fields(newest)}
    steps = [
        (field.name if field.name in known else None, _field_decoder(field, newest, flexible, is_header))
        for field in dataclasses.fields(schema)
        if "tag" not in field.metadata  # tagged fields are optional hints between brokers; none concerns a single node
    ]
    present = {name for name, _ in steps}
    absent = {field.name: _default(field) for field in dataclasses.fields(newest) if field.name not in present}

    def decode(buffer: bytes, at: int) -> tuple[Any, int]:
        values = dict(absent)
        for name, read in steps:
            value, at = read(buffer, at)
            if name is not None:
                values[name] = value
        if flexible:
            at = _skip_tags(buffer, at)
        return newest(**values), at

    return decode


def decode(schema: Any, newest: Any, buffer: bytes, at: int) -> tuple[Any, int]:
    """Decode one entity.

    Raises:
        MalformedRequest: whatever is wrong with the bytes.
    """
    try:
        return decoder(schema, newest)(buffer, at)
    except (struct.error, IndexError, ValueError) as error:
        raise MalformedRequest(f"{schema.__name__} v{schema.__version__}: {error}") from error


def encode(schema: Any, correlation_id: int, response: Any) -> bytes:
    """A whole response frame, length included: header and ``response`` written in the version of ``schema``."""
    buffer = io.BytesIO()
    buffer.write(b"\0\0\0\0")
    header = schema.__header_schema__
    entity_writer(header)(buffer, header(correlation_id=correlation_id))
    entity_writer(schema)(buffer, response)
    view = buffer.getbuffer()
    struct.pack_into(">i", view, 0, len(view) - 4)
    view.release()
    return buffer.getvalue()
