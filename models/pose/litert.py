"""TFLite graphs on LiteRT: one interpreter per thread, because an interpreter may be used by one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Graph(Protocol):
    """A network file that can be called with one input, from any thread."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one input."""

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """For one input."""

    def __call__(self, x: NDArray[Any], wanted: Sequence[int] | None = None) -> list[NDArray[Any]]:
        """Outputs `wanted` (all by default) for one input.  Raises GraphError."""


class GraphError(ValueError):
    """A file is not a graph that can be run here, or an input has not its shape; the text says which."""


class LiteRtGraph:
    """A graph with one input, called from any thread.  `num_threads` are those of a single call; `content` is what was made of the file."""

    def __init__(self, path: Path, num_threads: int = 1, content: bytes | None = None) -> None:
        self.path, self._num_threads, self._content = path, num_threads, content
        self._local = threading.local()
        details = self._interpreter().get_input_details()
        if len(details) != 1:
            raise GraphError(f"{path.name} has {len(details)} inputs, expected one")
        self.input_shape: tuple[int, ...] = tuple(int(n) for n in details[0]["shape"])
        self.input_dtype: np.dtype[Any] = np.dtype(details[0]["dtype"])
        outputs = self._interpreter().get_output_details()
        self.output_names: tuple[str, ...] = tuple(o["name"] for o in outputs)
        self.output_shapes: tuple[tuple[int, ...], ...] = tuple(tuple(int(n) for n in o["shape"]) for o in outputs)

    def _interpreter(self) -> Any:
        if not hasattr(self._local, "interpreter"):
            from ai_edge_litert.interpreter import Interpreter

            try:
                source = {"model_path": str(self.path)} if self._content is None else {"model_content": self._content}
                interpreter = Interpreter(**source, num_threads=self._num_threads)
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise GraphError(f"{self.path.name} cannot be loaded: {error}") from error
            self._local.interpreter = interpreter
            self._local.input = interpreter.get_input_details()[0]["index"]
            self._local.outputs = [o["index"] for o in interpreter.get_output_details()]
        return self._local.interpreter

    def __call__(self, x: NDArray[Any], wanted: Sequence[int] | None = None) -> list[NDArray[Any]]:
        """Outputs `wanted` (all by default), as copies, for one input of `input_shape` and `input_dtype`.  Raises GraphError."""
        if x.shape != self.input_shape or x.dtype != self.input_dtype:
            raise GraphError(f"{self.path.name} wants {self.input_shape} {self.input_dtype}, got {x.shape} {x.dtype}")
        interpreter = self._interpreter()
        interpreter.set_tensor(self._local.input, x)
        interpreter.invoke()
        indices = self._local.outputs if wanted is None else [self._local.outputs[n] for n in wanted]
        return [interpreter.get_tensor(index) for index in indices]
