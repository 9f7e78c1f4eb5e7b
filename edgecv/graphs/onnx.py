"""Reading ONNX graphs: structure and embedded constants; external data files are never opened."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from edgecv.core import files
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.graphs.ir import Graph, Op, Tensor

_STANDARD_DOMAINS = ("", "ai.onnx")
_DTYPES = {"float": "float32", "double": "float64"}
# What onnx's own helpers raise on types, attributes and sizes that make no sense.
_CORRUPT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError)


def read_onnx(path: files.PathLike) -> Graph:
    """Read the main graph of an ONNX model.

    Tensors are its inputs, initializers and values in order of appearance; operator versions are the domain's opset.

    Raises:
        ConfigError: The path is missing or unreadable.
        UnsupportedModelError: The content is not an ONNX model, or it is truncated or corrupt.
    """
    data = files.read_bytes(path, what="model")
    onnx = require("onnx", why="to read ONNX files")
    decode_error = require("google.protobuf.message").DecodeError
    try:
        model = onnx.load_model_from_string(data)
    except (decode_error, ValueError, RuntimeError) as error:
        raise _unreadable(path, "it is not an ONNX model, or it is truncated") from error
    if model.ir_version <= 0 or not model.graph.node:
        raise _unreadable(path, "it has no ONNX graph")
    try:
        return _Reader(model, str(path), len(data)).graph()
    except _CORRUPT as error:
        raise _unreadable(path, f"it is corrupt ({error})") from error


def _unreadable(path: files.PathLike, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{path} cannot be read: {why}", hint="give an .onnx file as an exporter wrote it")


class _Reader:
    """Numbers the values of one model and turns its nodes into operators."""

    def __init__(self, model: Any, where: str, size_bytes: int) -> None:
        self.onnx = require("onnx")
        self.model = model
        self.where = where
        self.size_bytes = size_bytes
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.types = {v.name: v.type.tensor_type for v in self._values()}
        self.index: dict[str, int] = {}
        self.tensors: list[Tensor] = []

    def graph(self) -> Graph:
        graph = self.model.graph
        inputs = tuple(self._add(v.name) for v in graph.input if v.name not in self.initializers)
        opsets = {imported.domain: imported.version for imported in self.model.opset_import}
        ops = tuple(self._op(node, i, opsets) for i, node in enumerate(graph.node))
        return Graph(
            format="onnx",
            ops=ops,
            tensors=tuple(self.tensors),
            inputs=inputs,
            outputs=tuple(self._add(v.name) for v in graph.output),
            where=self.where,
            size_bytes=self.size_bytes,
            load_constant=self._constant,
        )

    def _values(self) -> Iterable[Any]:
        graph = self.model.graph
        yield from graph.value_info
        yield from graph.input
        yield from graph.output

    def _op(self, node: Any, index: int, opsets: dict[str, int]) -> Op:
        helper = self.onnx.helper
        graphs = (self.onnx.AttributeProto.GRAPH, self.onnx.AttributeProto.GRAPHS)
        return Op(
            index=index,
            op=node.op_type,
            version=opsets.get(node.domain, 0),
            inputs=tuple(self._add(name) if name else -1 for name in node.input),
            outputs=tuple(self._add(name) if name else -1 for name in node.output),
            options={a.name: _plain(helper.get_attribute_value(a)) for a in node.attribute if a.type not in graphs},
            is_custom=node.domain not in _STANDARD_DOMAINS,
        )

    def _add(self, name: str) -> int:
        if name not in self.index:
            self.index[name] = len(self.tensors)
            self.tensors.append(self._tensor(name, len(self.tensors)))
        return self.index[name]

    def _tensor(self, name: str, index: int) -> Tensor:
        stored = self.initializers.get(name)
        if stored is not None:
            shape, dtype = tuple(stored.dims), self._dtype(stored.data_type)
        else:
            shape, dtype = self._declared(name)
        known = all(size >= 0 for size in shape) and (stored is not None or name in self.types)
        return Tensor(
            index=index,
            name=name,
            shape=shape,
            shape_signature=shape,
            dtype=dtype,
            is_constant=stored is not None,
            size_bytes=math.prod(shape) * _item_bytes(dtype) if known else 0,
        )

    def _declared(self, name: str) -> tuple[tuple[int, ...], str]:
        kind = self.types.get(name)
        if kind is None:
            return (), "unknown"
        sizes = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)
        return sizes, self._dtype(kind.elem_type)

    def _dtype(self, code: int) -> str:
        name = str(self.onnx.TensorProto.DataType.Name(code)).lower() if code else "unknown"
        return _DTYPES.get(name, name)

    def _constant(self, index: int) -> np.ndarray[Any, Any]:
        stored = self.initializers[self.tensors[index].name]
        if stored.data_location == self.onnx.TensorProto.EXTERNAL:
            raise UnsupportedModelError(
                f"{self.where}: the values of '{stored.name}' are in another file", hint="embed external data first"
            )
        try:
            array: np.ndarray[Any, Any] = self.onnx.numpy_helper.to_array(stored)
        except _CORRUPT as error:
            raise _unreadable(self.where, f"the values of '{stored.name}' do not fit its type and shape") from error
        return array


def _item_bytes(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return {"bfloat16": 2}.get(dtype, 1 if dtype.startswith("float8") else 0)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(_plain(v) for v in value)
    return f"<{type(value).__name__}>"
