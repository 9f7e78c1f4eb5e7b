"""Reading TFLite flatbuffers: structure at once, weights only when asked for.

Source: TensorFlow's tensorflow/compiler/mlir/lite/schema/schema.fbs, through the generated accessors that
ai-edge-litert ships.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from edgecv.core import files
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.graphs import reduced_precision
from edgecv.graphs.ir import Graph, Op, Tensor
from edgecv.graphs.sparsity import Dimension, dense

_IDENTIFIER = b"TFL3"
_BITS = {"complex64": 64, "complex128": 128, "bfloat16": 16, "int4": 4, "uint4": 4, "int2": 2, "bool": 8}
_NO_SIZE = ("string", "resource", "variant")
# What generated accessors raise on offsets and lengths that make no sense.
CORRUPT = (struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, MemoryError)


def read_tflite(source: files.PathLike | bytes) -> Graph:
    """Read the first subgraph of a TFLite model.

    Args:
        source: Path of a `.tflite` file, or its bytes.

    Raises:
        ConfigError: The path is missing or unreadable.
        UnsupportedModelError: The content is not a TFLite model, or it is truncated or corrupt.
    """
    data = source if isinstance(source, bytes) else files.read_bytes(source, what="model")
    where = "TFLite model" if isinstance(source, bytes) else str(source)
    if len(data) < 8 or data[4:8] != _IDENTIFIER:
        raise UnsupportedModelError(
            f"{where} is not a TFLite model: its bytes 4 to 7 are {data[4:8]!r}, expected {_IDENTIFIER!r}",
            hint="give a .tflite file as a converter wrote it",
        )
    try:
        return _Reader(data, where).graph()
    except CORRUPT as error:
        raise UnsupportedModelError(
            f"{where} is truncated or corrupt: its {len(data)} bytes do not hold a whole TFLite model",
            hint="copy or download the file again, or convert it anew",
        ) from error


@cache
def schema() -> Any:
    """Return the generated accessors of the TFLite schema."""
    return require("ai_edge_litert.schema_py_generated", why="to read TFLite files")


@cache
def _enum_names(enum: str) -> Mapping[int, str]:
    members = vars(getattr(schema(), enum)).items()
    return {value: name for name, value in members if not name.startswith("_")}


# Option field -> the enum that names its values.
_OPTION_ENUMS = {
    "padding": "Padding",
    "fused_activation_function": "ActivationFunctionType",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
    "in_data_type": "TensorType",
    "out_data_type": "TensorType",
    "mode": "MirrorPadMode",
    "kernel_type": "LSTMKernelType",
    "quantized_bias_type": "TensorType",
}


class _Reader:
    """Walks one file; every index and every byte range is checked before it is used."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self.where = where
        self.model = schema().Model.GetRootAs(data)

    def graph(self) -> Graph:
        model = self.model
        _check(self._count(model.SubgraphsLength()) > 0, "no subgraph")
        subgraph = model.Subgraphs(0)
        buffers = [self._buffer(i) for i in range(self._count(model.BuffersLength()))]
        half = self._half(buffers)
        tensors = tuple(
            self._tensor(subgraph.Tensors(i), i, buffers) for i in range(self._count(subgraph.TensorsLength()))
        )
        codes = [_op_code(model.OperatorCodes(i)) for i in range(self._count(model.OperatorCodesLength()))]
        n_ops = self._count(subgraph.OperatorsLength())
        return Graph(
            format="tflite",
            ops=tuple(_op(subgraph.Operators(i), i, codes, len(tensors)) for i in range(n_ops)),
            tensors=tensors,
            inputs=_indices(subgraph.InputsAsNumpy(), len(tensors), optional=False),
            outputs=_indices(subgraph.OutputsAsNumpy(), len(tensors), optional=False),
            n_subgraphs=model.SubgraphsLength(),
            where=self.where,
            size_bytes=len(self.data),
            half=half,
            load_constant=_Constants(
                self.data, self.where, tensors, tuple(self._tensor_ranges(subgraph, buffers)), self._sparse(subgraph)
            ),
        )

    def _count(self, length: int) -> int:
        # Each element takes at least four bytes: a larger count is a corrupt one, and would loop for minutes.
        _check(0 <= length * 4 <= len(self.data), "vector length")
        return length

    def _buffer(self, index: int) -> tuple[int, int]:
        buffer = self.model.Buffers(index)
        start, size = int(buffer.Offset()), int(buffer.Size())
        if size <= 1:  # 0 and 1 mean "inside the flatbuffer"; larger: appended after it, for files above 2 GB
            start, size = _vector_range(buffer._tab, 4)
        _check(start >= 0 and start + size <= len(self.data), "buffer range")
        return start, size

    def _half(self, buffers: Sequence[tuple[int, int]]) -> bool:
        """Check the metadata; return whether it lets CPUs compute in float16."""
        half = False
        for i in range(self._count(self.model.MetadataLength())):
            entry = self.model.Metadata(i)
            name = entry.Name()
            _check(entry.Buffer() < self.model.BuffersLength(), "metadata buffer")
            if name == reduced_precision.KEY.encode():
                start, size = buffers[entry.Buffer()]
                half = reduced_precision.is_half(self.data[start : start + size])
        for i in range(self._count(self.model.SignatureDefsLength())):
            schema().SignatureDefT.InitFromObj(self.model.SignatureDefs(i))
        return half

    def _tensor_ranges(self, subgraph: Any, buffers: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        return [buffers[subgraph.Tensors(i).Buffer()] for i in range(subgraph.TensorsLength())]

    def _sparse(self, subgraph: Any) -> dict[int, Any]:
        found = {i: subgraph.Tensors(i).Sparsity() for i in range(subgraph.TensorsLength())}
        return {i: schema().SparsityParametersT.InitFromObj(one) for i, one in found.items() if one is not None}

    def _tensor(self, tensor: Any, index: int, buffers: Sequence[tuple[int, int]]) -> Tensor:
        shape = _ints(tensor.ShapeAsNumpy())
        signature = _ints(tensor.ShapeSignatureAsNumpy()) or shape
        _check(all(size >= 0 for size in shape) and len(signature) == len(shape), "tensor shape")
        dtype = _enum_names("TensorType")[tensor.Type()].lower()
        stored = buffers[tensor.Buffer()][1]
        scales, zero_points, dimension = _quantization(tensor.Quantization())
        return Tensor(
            index=index,
            name=(tensor.Name() or b"").decode("utf-8", "replace"),
            shape=shape,
            shape_signature=signature,
            dtype=dtype,
            is_constant=stored > 0,
            size_bytes=stored if stored else _size_bytes(dtype, shape),
            scales=scales,
            zero_points=zero_points,
            quantized_dimension=dimension,
            is_variable=bool(tensor.IsVariable()),
        )


@dataclass(frozen=True, slots=True)
class _Constants:
    """Views of the weights inside the file's bytes."""

    data: bytes
    where: str
    tensors: tuple[Tensor, ...]
    ranges: tuple[tuple[int, int], ...]
    sparse: Mapping[int, Any]

    def __call__(self, index: int) -> np.ndarray[Any, Any]:
        tensor, (start, size) = self.tensors[index], self.ranges[index]
        try:
            if index in self.sparse:
                return _dense(memoryview(self.data)[start : start + size], tensor, self.sparse[index])
            return _array(memoryview(self.data)[start : start + size], tensor)
        except (ValueError, TypeError, IndexError) as error:
            raise UnsupportedModelError(
                f"{self.where}: the {size} bytes of tensor '{tensor.name}' are not {tensor.dtype} {tensor.shape}"
            ) from error


def _dense(raw: memoryview, tensor: Tensor, sparsity: Any) -> np.ndarray[Any, Any]:
    """Return the values of a sparse tensor. Raises ValueError for blocks, which edgecv does not read."""
    order, compressed = _ints(sparsity.traversalOrder), schema().DimensionType.SPARSE_CSR
    _check(len(order) == len(tensor.shape), "sparse tensor without blocks")
    dimensions = [
        Dimension(one.denseSize, *(_numbers(part) for part in (one.arraySegments, one.arrayIndices)))
        if one.format == compressed
        else Dimension(one.denseSize)
        for one in sparsity.dimMetadata
    ]
    return dense(np.frombuffer(raw, np.dtype(tensor.dtype).newbyteorder("<")), tensor.shape, order, dimensions)


def _numbers(vector: Any) -> np.ndarray[Any, Any]:
    values = None if vector is None else vector.values
    return np.zeros(0, np.int64) if values is None else np.asarray(values)


def _array(raw: memoryview, tensor: Tensor) -> np.ndarray[Any, Any]:
    if tensor.dtype in ("int4", "uint4"):
        return _unpack_nibbles(raw, tensor)
    if tensor.dtype == "bfloat16":
        wide = np.frombuffer(raw, np.dtype("<u2")).astype(np.uint32) << 16
        return wide.view(np.float32).reshape(tensor.shape)
    return np.frombuffer(raw, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)


def _unpack_nibbles(raw: memoryview, tensor: Tensor) -> np.ndarray[Any, Any]:
    # The first element is in the low half of the first byte. Source: tflite::tensor_utils::UnpackDenseInt4IntoInt8.
    packed = np.frombuffer(raw, np.uint8)
    halves = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[: tensor.elements].astype(np.int8)
    signed = np.where(halves > 7, halves - 16, halves).astype(np.int8) if tensor.dtype == "int4" else halves
    return signed.reshape(tensor.shape)


def _op_code(code: Any) -> tuple[str, int, bool]:
    # Files before schema v3a hold the code in the deprecated int8 field, newer ones may hold it in either.
    # Source: tensorflow/compiler/mlir/lite/schema/schema_utils.cc, GetBuiltinCode.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _enum_names("BuiltinOperator")[number]
    custom = code.CustomCode()
    if name == "CUSTOM" and custom:
        return custom.decode("utf-8", "replace"), code.Version(), True
    return name, code.Version(), name == "CUSTOM"


def _op(operator: Any, index: int, codes: Sequence[tuple[str, int, bool]], n_tensors: int) -> Op:
    name, version, is_custom = codes[operator.OpcodeIndex()]
    return Op(
        index=index,
        op=name,
        version=version,
        inputs=_indices(operator.InputsAsNumpy(), n_tensors, optional=True),
        outputs=_indices(operator.OutputsAsNumpy(), n_tensors, optional=True),
        options=_options(operator),
        is_custom=is_custom,
    )


def _options(operator: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    create: Callable[[int, Any], Any] = schema().BuiltinOptionsCreator
    sources = [(create, operator.BuiltinOptionsType(), operator.BuiltinOptions())]
    if hasattr(operator, "BuiltinOptions2"):
        second = (schema().BuiltinOptions2Creator, operator.BuiltinOptions2Type(), operator.BuiltinOptions2())
        sources.append(second)
    for creator, kind, table in sources:
        options = creator(kind, table) if kind and table is not None else None
        if options is not None:
            found.update({_snake(key): _plain(_snake(key), value) for key, value in vars(options).items()})
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _plain(key: str, value: Any) -> Any:
    if key in _OPTION_ENUMS and isinstance(value, int):
        return _enum_names(_OPTION_ENUMS[key]).get(value, str(value))
    if isinstance(value, (np.ndarray, list)):
        return tuple(v.item() if isinstance(v, np.generic) else v for v in value)
    return value


def _quantization(parameters: Any) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    if parameters is None or parameters.ScaleLength() == 0:
        return (), (), 0
    scales = tuple(float(s) for s in parameters.ScaleAsNumpy())
    zero_points = _ints(parameters.ZeroPointAsNumpy()) or (0,) * len(scales)
    _check(len(zero_points) in (1, len(scales)), "zero points")
    if len(zero_points) < len(scales):
        zero_points *= len(scales)
    return scales, zero_points, int(parameters.QuantizedDimension())


def _vector_range(table: Any, field: int) -> tuple[int, int]:
    offset = table.Offset(field)
    return (table.Vector(offset), table.VectorLen(offset)) if offset else (0, 0)


def _ints(vector: Any) -> tuple[int, ...]:
    # The accessors return 0 for a field that is absent.
    return () if isinstance(vector, int) else tuple(int(v) for v in vector)


def _indices(vector: Any, n_tensors: int, *, optional: bool) -> tuple[int, ...]:
    indices = _ints(vector)
    lowest = -1 if optional else 0
    _check(all(lowest <= i < n_tensors for i in indices), "tensor index")
    return indices


def _size_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    if dtype in _NO_SIZE:
        return 0
    bits = 8 if dtype.startswith("float8") else _BITS.get(dtype) or np.dtype(dtype).itemsize * 8
    return (math.prod(shape) * bits + 7) // 8


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)
