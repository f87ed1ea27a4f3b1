"""ONNX graphs on OpenCV's DNN module, behind the same call as TFLite graphs; one network per thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.litert import GraphError, LiteRtGraph


class Graph(Protocol):
    """A network file with one input."""

    def __call__(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """All outputs for one input.  Raises GraphError."""


class OnnxGraph:
    """A graph with one float32 input, called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._network()

    def _network(self) -> Any:
        if not hasattr(self._local, "network"):
            try:
                self._local.network = cv2.dnn.readNetFromONNX(str(self.path))
            except cv2.error as error:
                raise GraphError(f"{self.path.name} cannot be loaded: {error}") from error
            self._local.outputs = self._local.network.getUnconnectedOutLayersNames()
        return self._local.network

    def __call__(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """All outputs for one float32 input.  Raises GraphError."""
        network = self._network()
        try:
            network.setInput(np.ascontiguousarray(x, np.float32))
            return [np.array(output) for output in network.forward(self._local.outputs)]
        except cv2.error as error:
            raise GraphError(f"{self.path.name} refuses an input of shape {x.shape}: {error}") from error


def graph_of(path: Path, num_threads: int = 1) -> Graph:
    """The graph in a .onnx or .tflite file.  Raises GraphError."""
    if not path.is_file():
        raise GraphError(f"there is no file {path}")
    if path.suffix == ".onnx":
        return OnnxGraph(path)
    if path.suffix == ".tflite":
        return LiteRtGraph(path, num_threads)
    raise GraphError(f"{path.name} is neither .onnx nor .tflite")
