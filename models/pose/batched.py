"""One forward pass for everybody who waits: pictures of many cameras, asked for in as many threads, as one batch on the GPU.

Whoever comes while nothing runs goes at once, alone or with others who came meanwhile; whoever comes during a pass joins the next one.
So there is no timer: light load has the latency of a batch of one, heavy load has large batches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.pose.torch_graph import TorchGraph


@dataclass(slots=True, eq=False)
class _Request:
    x_1: NDArray[Any]
    wanted: tuple[int, ...] | None
    done: bool = False
    rows: list[NDArray[Any]] = field(default_factory=list)
    error: Exception | None = None


class BatchedGraph:
    """A `TorchGraph` that is called with one input from many threads, as `LiteRtGraph` is.

    most: largest batch, which bounds memory.  observe: called with the size of every batch and what it took is the caller's to measure.
    """

    def __init__(self, graph: TorchGraph, most: int = 256, observe: Callable[[int], None] = lambda size: None) -> None:
        self._graph, self._most, self._observe = graph, most, observe
        self._change = threading.Condition()
        self._waiting: list[_Request] = []
        self._busy = False

    @property
    def path(self) -> Any:
        """The file."""
        return self._graph.path

    @property
    def input_shape(self) -> tuple[int, ...]:
        """As the file says, for one input."""
        return self._graph.input_shape

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """As the file says, for one input."""
        return self._graph.output_shapes

    def __call__(self, x: NDArray[Any], wanted: Sequence[int] | None = None) -> list[NDArray[Any]]:
        """Outputs `wanted` for one input of `input_shape`.  Raises GraphError."""
        request = _Request(x, None if wanted is None else tuple(wanted))
        with self._change:
            self._waiting.append(request)
            while self._busy and not request.done:
                self._change.wait()
            if request.done:
                return self._answer(request)
            self._busy = True
            # All of the first one's kind; they share shape and wanted outputs in practice.
            batch = [r for r in self._waiting if r.wanted == request.wanted and r.x_1.shape == x.shape][: self._most]
            if request not in batch:
                batch[-1:] = [request]
            self._waiting = [r for r in self._waiting if r not in batch]
        try:
            self._run(batch)
        finally:
            with self._change:
                self._busy = False
                self._change.notify_all()
        return self._answer(request)

    def _run(self, batch: list[_Request]) -> None:
        try:
            outputs = self._graph(np.concatenate([r.x_1 for r in batch]), batch[0].wanted)
            for n, request in enumerate(batch):
                request.rows = [output[n : n + 1] for output in outputs]
        except Exception as error:
            for request in batch:
                request.error = error
        for request in batch:
            request.done = True
        self._observe(len(batch))

    @staticmethod
    def _answer(request: _Request) -> list[NDArray[Any]]:
        if request.error is not None:
            raise request.error
        return request.rows
