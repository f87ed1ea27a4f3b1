"""Reads pickles of plain values and numeric arrays, Python 2's included, without running anything that a file says.

The four names that numpy arrays need are read into types of our own, which check what they are given; any other name is refused.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError

KINDS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
"""Types of numbers; text of a fixed length (S, U) is read as well."""


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary of a pickle; arrays are numpy arrays. Raises RecordingError naming the file and what is wrong with it."""
    try:
        content = _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None
    except Exception as error:  # whatever bytes make of a pickle
        raise RecordingError(f"{path}: not a readable pickle ({type(error).__name__}: {error})") from error
    if not isinstance(content, dict):
        raise RecordingError(f"{path}: holds a {type(content).__name__}, not a dictionary")
    return {str(name): value.values() if isinstance(value, _Array) else value for name, value in content.items()}


class _Dtype:
    """A type of numbers, for example f4; its byte order comes with the state."""

    def __init__(self, name: Any, *flags: Any) -> None:
        name = name.lstrip("<>|=") if isinstance(name, str) else repr(name)
        if name not in KINDS and not (name[:1] in ("S", "U") and name[1:].isdigit()):
            raise RecordingError(f"the pickle holds values of type {name!r}; only numbers and text are read")
        self.name, self.order = name, "|"

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise RecordingError("the pickle describes a type of numbers in an unknown way")
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        """As numpy knows it."""
        return np.dtype(self.order + self.name)


class _Array:
    """An array: made empty, filled by its state (version, shape, type, whether columns come first, bytes)."""

    def __init__(self, *arguments: Any) -> None:
        self.content: NDArray | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise RecordingError("the pickle describes an array in an unknown way")
        _, shape, kind, columns_first, raw = state
        if not isinstance(kind, _Dtype) or not isinstance(raw, str | bytes):
            raise RecordingError("the pickle holds an array of objects; only numbers and text are read")
        flat = np.frombuffer(_raw(raw), kind.dtype())
        self.content = flat.reshape(shape, order="F" if columns_first else "C")

    def values(self) -> NDArray:
        """The array. Raises RecordingError where the pickle never filled it."""
        if self.content is None:
            raise RecordingError("the pickle holds an array without content")
        return self.content


def _scalar(kind: Any, raw: Any) -> Any:
    if not isinstance(kind, _Dtype) or not isinstance(raw, str | bytes):
        raise RecordingError("the pickle holds a scalar that is no number")
    return np.frombuffer(_raw(raw), kind.dtype(), count=1)[0].item()


def _raw(content: str | bytes) -> bytes:
    return content.encode("latin1") if isinstance(content, str) else content


def _latin1(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes in the old protocols."""
    if not isinstance(text, str) or encoding != "latin1":
        raise RecordingError(f"the pickle decodes by {encoding!r}; only latin1 is read")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _latin1,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise RecordingError(f"the pickle asks for {module}.{name}, which is not read")
        return found
