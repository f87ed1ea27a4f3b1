"""Bytes to messages and back: msgpack maps, size limits, schema versions.

Unknown fields are ignored, so that a newer publisher can talk to an older worker; a missing or ill-typed field is a
`SchemaMismatch` that names the field's path.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import msgpack
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from streams.arrays import pack_array
from streams.errors import SchemaMismatch, Undecodable

MAX_MESSAGE_BYTES = 1_000_000
"""Above this a message is refused unread.  Kafka's own default limit is about 1 MB; one second of 500 Hz samples is 24 kB."""


class Message(BaseModel):
    """One message family.  `v` is the schema version: a reader refuses versions above the one it knows."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, arbitrary_types_allowed=True)

    VERSION: ClassVar[int] = 1
    v: int = 1

    def to_bytes(self) -> bytes:
        """Wire form."""
        return msgpack.packb(self.__dict__, default=_pack_unknown)

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self:
        """Message from its wire form.  Raises Undecodable or SchemaMismatch."""
        fields = unpack_map(data)
        version = fields.get("v", 1)
        if type(version) is not int or not 1 <= version <= cls.VERSION:
            raise Undecodable(f"{cls.__name__} version {version!r} is not known here (1..{cls.VERSION})", reason="version", path="v")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(str(part) for part in first["loc"]) or "(message)"
            raise SchemaMismatch(f"{cls.__name__}.{path}: {first['msg']}", path=path) from None


def unpack_map(data: bytes | None) -> dict[str, Any]:
    """The msgpack map in `data`.  Raises Undecodable."""
    if data is None:
        raise Undecodable("the message has no value", reason="empty")
    if len(data) > MAX_MESSAGE_BYTES:
        raise Undecodable(f"{len(data)} bytes are more than the limit of {MAX_MESSAGE_BYTES}", reason="oversized")
    try:
        fields = msgpack.unpackb(data)
    except (ValueError, TypeError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise Undecodable(f"not msgpack: {type(error).__name__} {error}"[:300]) from None
    if not isinstance(fields, dict):
        raise Undecodable(f"expected a msgpack map, got {type(fields).__name__}")
    return fields


def _pack_unknown(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return pack_array(value)
    if isinstance(value, BaseModel):
        return value.__dict__
    if isinstance(value, np.floating | np.integer):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot travel")
