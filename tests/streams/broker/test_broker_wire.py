"""The decoder of requests: the inverse of kio's writer for every advertised version, and safe against any bytes."""

import contextlib
import dataclasses
import datetime
import io
import random
import struct
import tracemalloc
import types
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.serial import entity_writer

from streams.broker.api import APIS, BY_VERSION
from streams.broker.wire import MalformedRequest, decode

VERSIONS = [pytest.param(api, version, id=f"{api.name}-v{version}") for (_, version), api in sorted(BY_VERSION.items())]


def build(schema: typing.Any, rng: random.Random) -> typing.Any:
    """An instance with random content in every field."""
    return schema(**{field.name: _value(field.type, field.metadata, rng) for field in dataclasses.fields(schema)})


def _value(annotation: typing.Any, metadata: typing.Any, rng: random.Random) -> typing.Any:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        inner = next(arm for arm in typing.get_args(annotation) if arm is not types.NoneType)
        return None if rng.random() < 0.3 and typing.get_origin(inner) is not tuple else _value(inner, metadata, rng)
    if typing.get_origin(annotation) is tuple:
        return tuple(_value(typing.get_args(annotation)[0], metadata, rng) for _ in range(rng.randrange(4)))
    if dataclasses.is_dataclass(annotation):
        return build(annotation, rng)
    if "tag" in metadata:
        return None
    kind = metadata["kafka_type"]
    if kind == "string":
        return "".join(rng.choice("aé-☃") for _ in range(rng.randrange(200)))
    if kind in ("bytes", "records"):
        return rng.randbytes(rng.randrange(300))
    if kind == "bool":
        return rng.random() < 0.5
    if kind.startswith("timedelta"):
        return datetime.timedelta(milliseconds=rng.randrange(-1, 2**31))
    bits = int(kind.removeprefix("int"))
    return rng.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))


def encoded(schema: typing.Any, entity: typing.Any) -> bytes:
    buffer = io.BytesIO()
    entity_writer(schema)(buffer, entity)
    return buffer.getvalue()


@pytest.mark.parametrize(("api", "version"), VERSIONS)
def test_decoding_reverses_kios_writer(api: typing.Any, version: int) -> None:
    rng = random.Random(version)
    schema = api.request(version)
    for _ in range(20):
        entity = build(schema, rng)
        data = encoded(schema, entity)
        assert decode(schema, schema, data, 0) == (entity, len(data))


@pytest.mark.parametrize(("api", "version"), VERSIONS)
def test_older_versions_become_the_newest_with_defaults(api: typing.Any, version: int) -> None:
    schema, newest = api.request(version), api.request(api.newest)
    entity = build(schema, random.Random(7))
    request, _ = decode(schema, newest, encoded(schema, entity), 0)
    assert type(request) is newest
    for field in dataclasses.fields(newest):
        if field.name in {known.name for known in dataclasses.fields(schema)} and isinstance(getattr(entity, field.name), (int, str)):
            assert getattr(request, field.name) == getattr(entity, field.name)


@pytest.mark.parametrize(("api", "version"), VERSIONS)
def test_every_truncation_is_malformed(api: typing.Any, version: int) -> None:
    schema = api.request(version)
    data = encoded(schema, build(schema, random.Random(3)))
    for end in range(len(data)):
        with pytest.raises(MalformedRequest):
            decode(schema, schema, data[:end], 0)


@given(st.sampled_from(APIS), st.binary(max_size=200))
def test_random_bytes_decode_or_are_malformed(api: typing.Any, data: bytes) -> None:
    schema = api.request(api.newest)
    with contextlib.suppress(MalformedRequest):
        decode(schema, schema, data, 0)


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (4, struct.pack(">i", 2**31 - 1) + b"\0\1a"),  # an array of two thousand million topics
        (4, struct.pack(">ih", 1, 32767) + b"a"),  # a name longer than the request
        (4, struct.pack(">ih", 1, -7) + b"a"),  # a negative length that is not null
        (9, b"\xff\xff\xff\xff\x0f"),  # the same array length, compact
        (9, b"\xff" * 11),  # a length that never ends
        (9, b"\x02\x03\xc3\x28\0\0\0\0"),  # text that is not UTF-8
        (9, b"\x01\0\0\0\xff\xff\xff\xff\x0f"),  # four thousand million tagged fields
    ],
)
def test_absurd_lengths_allocate_nothing(version: int, data: bytes) -> None:
    schema = BY_VERSION[3, version].request(version)
    tracemalloc.start()
    try:
        with pytest.raises(MalformedRequest):
            decode(schema, schema, data, 0)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
