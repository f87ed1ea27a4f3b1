"""Arrays on the wire: little-endian bytes with an explicit type and shape, `{"dtype": "<f4", "shape": [50, 3], "data": bytes}`."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic_core import CoreSchema

_DTYPES: dict[str, np.dtype[Any]] = {
    "<f2": np.dtype("<f2"),
    "<f4": np.dtype("<f4"),
    "<f8": np.dtype("<f8"),
    "<i4": np.dtype("<i4"),
    "<i8": np.dtype("<i8"),
}

_MOST_SIZE = 2**31
"""Beyond it numpy cannot count; a size of 0 beside it would hide it from the comparison with the number of bytes."""

ARRAY_JSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "array: little-endian bytes in C order",
    "properties": {
        "dtype": {"enum": list(_DTYPES)},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "data": {"type": "string", "format": "binary"},
    },
    "required": ["dtype", "shape", "data"],
}


def pack_array(array: NDArray[Any]) -> dict[str, Any]:
    """The wire form of an array; the type must be one of the five that the wire knows."""
    array = np.ascontiguousarray(array)
    dtype = array.dtype.newbyteorder("<")
    if dtype.str not in _DTYPES:
        raise TypeError(f"an array of {array.dtype} cannot travel; use one of {', '.join(_DTYPES)}")
    return {"dtype": dtype.str, "shape": list(array.shape), "data": array.astype(dtype, copy=False).tobytes()}


def unpack_array(value: Any) -> NDArray[Any]:
    """An array from its wire form (or an array as it is).  Raises ValueError that says what is wrong."""
    if isinstance(value, np.ndarray):
        return value
    try:
        dtype, shape, data = value["dtype"], value["shape"], value["data"]
    except (TypeError, KeyError):
        raise ValueError("expected a map with dtype, shape and data") from None
    known = _DTYPES.get(dtype) if type(dtype) is str else None
    if known is None:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    if type(data) is not bytes:
        raise ValueError(f"data must be binary, got {type(data).__name__}")
    if type(shape) is not list or len(shape) > 4:
        raise ValueError("shape must be a list of at most 4 sizes")
    needed = known.itemsize
    for size in shape:
        if type(size) is not int or not 0 <= size < _MOST_SIZE:
            raise ValueError(f"shape must hold sizes, got {shape!r}")
        needed *= size
    if needed != len(data):
        raise ValueError(f"shape {shape} of {dtype} needs {needed} bytes, got {len(data)}")
    return np.ndarray(tuple(shape), known, data)


class WireArray:
    """Annotation of a message field: `acc: Annotated[NDArray, WireArray(ndim=2, last=3, dtypes="f")]`."""

    def __init__(self, *, ndim: int, last: int | None = None, kind: str = "f", most: int = 4096) -> None:
        self.ndim, self.last, self.kind, self.most = ndim, last, kind, most

    def validate(self, value: Any) -> NDArray[Any]:
        """Checked array.  Raises ValueError with the shape that was expected and the one that came."""
        array = unpack_array(value)
        shape = array.shape
        if array.dtype.kind != self.kind:
            raise ValueError(f"dtype must be of kind {self.kind!r}, got {array.dtype.str}")
        if len(shape) != self.ndim or (self.last is not None and shape[-1] != self.last):
            wanted = "(N," + (f" {self.last})" if self.ndim == 2 else ")")
            raise ValueError(f"shape must be {wanted}, got {shape}")
        if not 1 <= shape[0] <= self.most:
            raise ValueError(f"length must be 1..{self.most}, got {shape[0]}")
        return array

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        annotated = Annotated[Any, PlainValidator(self.validate), WithJsonSchema(ARRAY_JSON_SCHEMA)]
        return handler.generate_schema(annotated)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return ARRAY_JSON_SCHEMA
