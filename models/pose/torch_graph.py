"""TFLite graphs as batched torch modules, for GPUs: an importer for the operations that the detector and pose files use.

Weights and order come from the file (its flatbuffer schema ships with the LiteRT package), so both runtimes compute the same function.
Activations are (B, C, H, W).  Integer graphs run in floating point with every activation rounded to its scale, as the integers are.
TFLite's SAME padding, half-pixel resizing and fused activations follow its operator definitions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.pose.litert import GraphError

_DTYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 9: np.int8}
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {0: lambda x: x, 1: torch.relu, 3: lambda x: x.clamp(0.0, 6.0)}
_SAME = 0


class TorchGraph(nn.Module):
    """A graph of one input.  Raises GraphError for a file that is no TFLite graph, or uses an operation that is not known here.

    content: what was made of the file (`models.pose.trimmed`)."""

    def __init__(self, path: Path, device: str = "cpu", content: bytes | None = None) -> None:
        super().__init__()
        self.path, self.device = path, device
        if content is None:
            content = path.read_bytes() if path.is_file() else b""
        if content[4:8] != b"TFL3":
            raise GraphError(f"{path.name} is not a TFLite graph")
        try:
            model = schema.Model.GetRootAs(content, 0)
            graph = model.Subgraphs(0)
            self._tensors = [_Tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength())]
        except (struct.error, TypeError, ValueError, AttributeError, IndexError) as error:
            raise GraphError(f"{path.name} is a damaged TFLite graph: {error}") from None
        self._inputs, self._outputs = list(graph.InputsAsNumpy()), list(graph.OutputsAsNumpy())
        if len(self._inputs) != 1:
            raise GraphError(f"{path.name} has {len(self._inputs)} inputs, expected one")
        first = self._tensors[self._inputs[0]]
        self.input_shape, self.input_dtype = tuple(first.shape), np.dtype(first.dtype)
        self.output_shapes = tuple(tuple(self._tensors[o].shape) for o in self._outputs)
        self._known: dict[int, NDArray[Any]] = {i: t.values for i, t in enumerate(self._tensors) if t.values is not None}
        self._steps = [step for i in range(graph.OperatorsLength()) if (step := self._step(model, graph.Operators(i))) is not None]
        self._last_use = {name: n for n, (_, inputs, _) in enumerate(self._steps) for name in inputs}
        self.to(device).eval()

    @torch.inference_mode()
    def forward(self, x_BHWC: NDArray[Any], wanted: Sequence[int] | None = None) -> list[NDArray[Any]]:
        """Outputs `wanted` (all by default) for a batch of inputs, each (B, ...) as the file shapes them for B = 1.  Raises GraphError."""
        if x_BHWC.shape[1:] != self.input_shape[1:] or x_BHWC.dtype != self.input_dtype:
            raise GraphError(f"{self.path.name} wants (B, {self.input_shape[1:]}) {self.input_dtype}, got {x_BHWC.shape} {x_BHWC.dtype}")
        x = torch.from_numpy(np.ascontiguousarray(x_BHWC)).to(self.device).float()
        x = self._tensors[self._inputs[0]].real(x)
        values: dict[int, Tensor] = {self._inputs[0]: x.permute(0, 3, 1, 2)}
        for n, (function, inputs, output) in enumerate(self._steps):
            values[output] = self._tensors[output].rounded(function(*(values[i] for i in inputs)))
            for i in inputs:
                if self._last_use[i] == n and i not in self._outputs:
                    values.pop(i, None)
        chosen = self._outputs if wanted is None else [self._outputs[w] for w in wanted]
        return [self._shown(values[o], o) for o in chosen]

    def _shown(self, x: Tensor, tensor: int) -> NDArray[Any]:
        if x.ndim == 4:
            x = x.permute(0, 2, 3, 1)
        return x.reshape(len(x), *self._tensors[tensor].shape[1:]).float().cpu().numpy()

    # ---- operations --------------------------------------------------------------------------------------------------------------

    def _step(self, model: Any, operator: Any) -> tuple[Callable[..., Tensor], list[int], int] | None:
        """One operation as function, inputs that are computed, output.  None for what is known before anything is computed."""
        code = model.OperatorCodes(operator.OpcodeIndex())
        name = _NAMES.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "CUSTOM")
        inputs, output = [int(i) for i in operator.InputsAsNumpy() if i >= 0], int(operator.Outputs(0))
        if name == "DEQUANTIZE" and inputs[0] in self._known:
            self._known[output] = self._known[inputs[0]].astype(np.float32)
            return None
        build = getattr(self, f"_{name.lower()}", None)
        if build is None:
            raise GraphError(f"{self.path.name} uses {name}, which is not known here")
        return build(operator, inputs, output), [i for i in inputs if i not in self._known], output

    def _options(self, operator: Any, kind: Any) -> Any:
        options = kind()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _parameter(self, values: NDArray[Any], tensor: int) -> Tensor:
        """Constant as float, registered so that it moves with the module."""
        real = self._tensors[tensor].real_values(values)
        name = f"constant_{tensor}"
        if not hasattr(self, name):
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(real, np.float32)))
        return torch.as_tensor(real, dtype=torch.float32)

    def _convolution(self, operator: Any, inputs: list[int], kind: Any, *, depthwise: bool) -> Callable[[Tensor], Tensor]:
        options = self._options(operator, kind)
        weight = self._tensors[inputs[1]].real_values(self._known[inputs[1]])
        # TFLite: (out, h, w, in), depthwise (1, h, w, out).
        weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
        groups = len(weight) if depthwise else 1
        bias = None if len(inputs) < 3 else self._tensors[inputs[2]].real_values(self._known[inputs[2]])
        place = len(list(self.children()))
        layer = nn.Conv2d(weight.shape[1] * groups, len(weight), weight.shape[2:], bias=bias is not None, groups=groups)
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight, np.float32))
        if bias is not None:
            layer.bias.data = torch.from_numpy(np.ascontiguousarray(bias, np.float32))  # type: ignore[union-attr]
        layer.requires_grad_(False)
        layer.stride = (options.StrideH(), options.StrideW())
        layer.dilation = (options.DilationHFactor(), options.DilationWFactor())
        self.add_module(f"layer_{place}", layer)
        activation, same = _activation(options, self.path), options.Padding() == _SAME
        extent = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], layer.dilation, strict=True)]
        return lambda x: activation(layer(_same(x, extent, layer.stride) if same else x))

    def _conv_2d(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        return self._convolution(operator, inputs, schema.Conv2DOptions, depthwise=False)

    def _depthwise_conv_2d(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        return self._convolution(operator, inputs, schema.DepthwiseConv2DOptions, depthwise=True)

    def _add(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        activation = _activation(self._options(operator, schema.AddOptions), self.path)
        constants = [i for i in inputs if i in self._known]
        if not constants:
            return lambda a, b: activation(a + b)
        values = self._known[constants[0]]
        self._parameter(np.moveaxis(values, -1, -3) if values.ndim == 4 else values.reshape(-1, 1, 1), constants[0])
        name = f"constant_{constants[0]}"
        return lambda x: activation(x + getattr(self, name))

    def _max_pool_2d(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        options = self._options(operator, schema.Pool2DOptions)
        size, stride = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
        activation, same = _activation(options, self.path), options.Padding() == _SAME

        def pool(x: Tensor) -> Tensor:
            padded = _same(x, size, stride, float("-inf")) if same else x
            return activation(F.max_pool2d(padded, size, stride))

        return pool

    def _pad(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        batch, height, width, channel = self._known[inputs[1]].tolist()
        if any(batch):
            raise GraphError(f"{self.path.name} pads the batch, which is not known here")
        return lambda x: F.pad(x, (*width, *height, *channel))

    def _resize_bilinear(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        options = self._options(operator, schema.ResizeBilinearOptions)
        size = tuple(self._known[inputs[1]].tolist())
        if not (options.AlignCorners() or options.HalfPixelCenters()):
            raise GraphError(f"{self.path.name} resizes from corner to corner without alignment, which is not known here")
        aligned = bool(options.AlignCorners())
        return lambda x: F.interpolate(x, size, mode="bilinear", align_corners=aligned)

    def _resize_nearest_neighbor(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        options = self._options(operator, schema.ResizeNearestNeighborOptions)
        size = tuple(self._known[inputs[1]].tolist())
        if options.AlignCorners():
            raise GraphError(f"{self.path.name} aligns corners of nearest neighbours, which is not known here")
        mode = "nearest-exact" if options.HalfPixelCenters() else "nearest"
        return lambda x: F.interpolate(x, size, mode=mode)

    def _concatenation(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        options = self._options(operator, schema.ConcatenationOptions)
        rank = len(self._tensors[output].shape)
        axis, activation = options.Axis() % rank, _activation(options, self.path)
        axis = {0: 0, 1: 2, 2: 3, 3: 1}[axis] if rank == 4 else axis
        return lambda *x: activation(torch.cat(x, dim=axis))

    def _reshape(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        shape = self._tensors[output].shape

        def reshape(x: Tensor) -> Tensor:
            rows = (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).reshape(len(x), *shape[1:])
            return rows.permute(0, 3, 1, 2) if rows.ndim == 4 else rows

        return reshape

    def _logistic(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        return torch.sigmoid

    def _quantize(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        return lambda x: x  # rounding to the output's scale is what every integer output gets

    def _dequantize(self, operator: Any, inputs: list[int], output: int) -> Callable[..., Tensor]:
        return lambda x: x


class _Tensor:
    """Shape, type, constant values and scale of a tensor of the file."""

    def __init__(self, model: Any, tensor: Any) -> None:
        self.shape: list[int] = [int(n) for n in tensor.ShapeAsNumpy()] if tensor.ShapeLength() else []
        if tensor.Type() not in _DTYPES:
            raise GraphError(f"tensor type {tensor.Type()} is not known here")
        self.dtype = _DTYPES[tensor.Type()]
        quantisation = tensor.Quantization()
        self.scale: NDArray[np.float32] | None = None
        self.zero: NDArray[np.int64] = np.zeros(1, np.int64)
        self.axis = 0
        if quantisation is not None and quantisation.ScaleLength():
            self.scale, self.zero, self.axis = (
                quantisation.ScaleAsNumpy(), quantisation.ZeroPointAsNumpy(), quantisation.QuantizedDimension(),
            )  # fmt: skip
        buffer = model.Buffers(tensor.Buffer())
        self.values: NDArray[Any] | None = None
        if buffer.DataLength():
            self.values = buffer.DataAsNumpy().view(self.dtype).reshape(self.shape)

    def real_values(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What constant integers stand for."""
        if self.scale is None or values.dtype.kind == "f":
            return values.astype(np.float32)
        shape = [1] * values.ndim
        if len(self.scale) > 1:
            shape[self.axis] = -1
        return ((values.astype(np.float32) - self.zero.reshape(shape)) * self.scale.reshape(shape)).astype(np.float32)

    def real(self, x: Tensor) -> Tensor:
        """What input integers stand for."""
        return x if self.scale is None or self.dtype == np.float32 else (x - float(self.zero[0])) * float(self.scale[0])

    def rounded(self, x: Tensor) -> Tensor:
        """The nearest value that the tensor's integers can hold; a floating one holds everything."""
        if self.scale is None or self.dtype not in (np.int8, np.uint8):
            return x
        lowest, highest = (-128, 127) if self.dtype == np.int8 else (0, 255)
        scale, zero = float(self.scale[0]), float(self.zero[0])
        return (torch.clamp(torch.round(x / scale) + zero, lowest, highest) - zero) * scale


def _activation(options: Any, path: Path) -> Callable[[Tensor], Tensor]:
    number = options.FusedActivationFunction()
    if number not in _ACTIVATIONS:
        raise GraphError(f"{path.name} uses activation {number}, which is not known here")
    return _ACTIVATIONS[number]


def _same(x: Tensor, extent: Sequence[int], stride: Sequence[int], value: float = 0.0) -> Tensor:
    """TensorFlow's SAME padding: as little as gives ceil(size / stride) outputs, the odd one at the end."""
    sides: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(extent), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value) if any(sides) else x
