"""BlazePose without the last stage of its mask, as a TFLite graph made from the published file when it is loaded.

The published network draws masks of 256 x 256 pixels, of which a silhouette of 64 rows needs a quarter at most. That last stage works on the
largest arrays of all and takes a quarter of the time on a CPU. Here the last convolution reads the stage before it, 128 x 128, with weights
that were fitted to what the whole network says (`models.training.mask_readout`); everything else is the published network, bit by bit.

Shape letters: H x W, C channels.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from models.pose.litert import GraphError

FULL_PX, MASK_PX = 256, 128
READOUT = Path(__file__).with_name("mask_readout.json")
"""weight_HWC (3, 3, 8) and bias, and how they were made."""

_READS, _WEIGHT, _BIAS = 0, 1, 2  # inputs of a convolution


@dataclass(frozen=True, slots=True)
class _Mask:
    """Places in the graph: the mask among the outputs, the convolution that draws it, the array before the last stage."""

    output: int
    convolution: int
    before: int


def trimmed(content: bytes) -> bytes:
    """The graph with masks of 128 x 128.  Raises GraphError for anything but BlazePose landmark full."""
    readout = json.loads(READOUT.read_text())
    model, graph, mask = _opened(content)
    convolution = graph.operators[mask.convolution]
    for place, values in ((_WEIGHT, readout["weight_HWC"]), (_BIAS, [readout["bias"]])):
        _store(model, graph, convolution.inputs[place], np.array(values, np.float32))
    convolution.inputs = np.array([mask.before, *convolution.inputs[1:]], np.int32)
    shape = np.array([1, MASK_PX, MASK_PX, 1], np.int32)
    graph.tensors[mask.output].shape = graph.tensors[mask.output].shapeSignature = shape
    return _closed(model, graph)


def with_features(content: bytes) -> bytes:
    """The whole graph with the (1, 128, 128, 8) array before the last stage as one more output, the last.  Raises GraphError."""
    model, graph, mask = _opened(content)
    graph.outputs = np.append(graph.outputs, np.int32(mask.before))
    return _closed(model, graph)


def _opened(content: bytes) -> tuple[Any, Any, _Mask]:
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        graph = model.subgraphs[0]
        masks = [t for t in graph.outputs if list(graph.tensors[t].shape) == [1, FULL_PX, FULL_PX, 1]]
        makers = {int(t): n for n, operator in enumerate(graph.operators) for t in operator.outputs}
        convolution = makers[int(masks[0])]
        at = convolution
        while list(graph.tensors[graph.operators[at].inputs[_READS]].shape) != [1, MASK_PX, MASK_PX, 8]:
            at = makers[int(graph.operators[at].inputs[_READS])]
    except (struct.error, TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        raise GraphError(f"not BlazePose landmark full: {type(error).__name__} where its mask should be") from None
    return model, graph, _Mask(int(masks[0]), convolution, int(graph.operators[at].inputs[_READS]))


def _store(model: Any, graph: Any, tensor: int, values: NDArray[np.float32]) -> None:
    """Puts values into a constant; the file keeps half-precision numbers that an operation of their own expands."""
    expands = [operator for operator in graph.operators if tensor in operator.outputs]
    constant = graph.tensors[expands[0].inputs[0] if expands else tensor]
    dtype = np.float16 if expands else np.float32
    if int(np.prod(constant.shape)) != values.size:
        raise GraphError(f"not BlazePose landmark full: its mask has weights of shape {list(constant.shape)}")
    model.buffers[constant.buffer].data = np.frombuffer(values.astype(dtype).tobytes(), np.uint8)


def _closed(model: Any, graph: Any) -> bytes:
    """The file, without operations that nothing needs."""
    makers = {int(t): n for n, operator in enumerate(graph.operators) for t in operator.outputs}
    needed: set[int] = set()
    open_tensors = [int(t) for t in graph.outputs]
    while open_tensors:
        n = makers.get(open_tensors.pop())
        if n is not None and n not in needed:
            needed.add(n)
            open_tensors += [int(t) for t in graph.operators[n].inputs]
    graph.operators = [operator for n, operator in enumerate(graph.operators) if n in needed]
    model.signatureDefs = None
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
