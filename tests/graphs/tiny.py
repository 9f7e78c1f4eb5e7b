"""Builds tiny .tflite files for tests, operator by operator, with the schema's object API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

DTYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9, "int4": 17}


@dataclass
class T:
    """A tensor; `data` makes it a constant, `scale` None leaves it unquantised, a tuple is per channel (axis 0)."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: Any = 0.5
    data: Any = None
    signature: tuple[int, ...] | None = None
    zero_point: int = 0


@dataclass
class N:
    """An operator: builtin (or custom) name, tensor names ("" leaves an optional input out), options, version."""

    op: str
    inputs: list[str]
    outputs: list[str]
    options: Any = None
    version: int = 1


@dataclass
class Net:
    """A model: tensors by name, operators in order."""

    tensors: dict[str, T]
    ops: list[N]
    inputs: list[str] = field(default_factory=lambda: ["x"])
    outputs: list[str] = field(default_factory=lambda: ["y"])
    deprecated_codes_only: bool = False


def options(kind: str, **values: Any) -> Any:
    """Return builtin options: options("Conv2DOptions", strideW=2)."""
    made = getattr(schema, kind + "T")()
    for name, value in values.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    made.kind = kind
    return made


def constant(values: Any, dtype: str = "int32", scale: Any = None) -> T:
    """Return a constant tensor."""
    array = np.asarray(values, dtype)
    return T(array.shape, dtype, scale, array)


def build(net: Net) -> bytes:
    """Return the bytes of a .tflite file."""
    names = list(net.tensors)
    model, subgraph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description, model.buffers, model.operatorCodes = 3, "tiny", [_buffer(None)], []
    subgraph.tensors = [_tensor(name, net.tensors[name], model.buffers) for name in names]
    subgraph.operators = [_operator(node, names, model.operatorCodes, net.deprecated_codes_only) for node in net.ops]
    subgraph.inputs = np.array([names.index(n) for n in net.inputs], np.int32)
    subgraph.outputs = np.array([names.index(n) for n in net.outputs], np.int32)
    model.subgraphs = [subgraph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer(data: Any) -> Any:
    buffer = schema.BufferT()
    if data is not None:
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    return buffer


def _tensor(name: str, spec: T, buffers: list[Any]) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, np.array(spec.shape, np.int32), DTYPES[spec.dtype]
    if spec.signature is not None:
        tensor.shapeSignature = np.array(spec.signature, np.int32)
    if spec.scale is not None:
        scales = np.atleast_1d(np.asarray(spec.scale, np.float32))
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = scales
        tensor.quantization.zeroPoint = np.full(len(scales), spec.zero_point, np.int64)
    if spec.data is not None:
        tensor.buffer = len(buffers)
        buffers.append(_buffer(spec.data))
    return tensor


def _operator(node: N, names: list[str], codes: list[Any], deprecated_only: bool) -> Any:
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    number = getattr(schema.BuiltinOperator, node.op, None)
    if number is None:
        number, code.customCode = schema.BuiltinOperator.CUSTOM, node.op
    code.deprecatedBuiltinCode = min(number, 127)
    code.builtinCode = 0 if deprecated_only else number
    code.version = node.version
    operator.opcodeIndex = len(codes)
    codes.append(code)
    operator.inputs = np.array([names.index(n) if n else -1 for n in node.inputs], np.int32)
    operator.outputs = np.array([names.index(n) for n in node.outputs], np.int32)
    if node.options is not None:
        operator.builtinOptions = node.options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, node.options.kind)
    return operator


def lenet() -> Net:
    """An int8 LeNet-5 as a converter writes it: per-channel weights, TANH apart, one layer without bias."""
    kernel = lambda *shape: T(shape, "int8", (0.1,) * shape[0], np.ones(shape, np.int8))  # noqa: E731
    bias = lambda n: T((n,), "int32", (0.01,) * n, np.zeros(n, np.int32))  # noqa: E731
    conv = options("Conv2DOptions", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    valid = options("Conv2DOptions", strideW=1, strideH=1, padding=1)
    pool = options("Pool2DOptions", strideW=2, strideH=2, filterWidth=2, filterHeight=2, padding=1)
    dense = options("FullyConnectedOptions")
    tensors = {
        "x": T((1, 28, 28, 1), signature=(-1, 28, 28, 1)),
        "k1": kernel(6, 5, 5, 1), "b1": bias(6), "model/c1/BiasAdd": T((1, 28, 28, 6)),
        "model/c1/Tanh": T((1, 28, 28, 6)),
        "model/s2/AvgPool": T((1, 14, 14, 6)),
        "k3": kernel(16, 5, 5, 6), "b3": bias(16), "model/c3/BiasAdd": T((1, 10, 10, 16)),
        "model/s4/AvgPool": T((1, 5, 5, 16)),
        "shape": constant([1, 400]), "model/flatten/Reshape": T((1, 400)),
        "k5": kernel(120, 400), "b5": bias(120), "model/f5/Relu;model/f5/BiasAdd": T((1, 120)),
        "k6": kernel(10, 120), "model/f6/MatMul": T((1, 10)), "y": T((1, 10), scale=1 / 256, zero_point=-128),
    }  # fmt: skip
    ops = [
        N("CONV_2D", ["x", "k1", "b1"], ["model/c1/BiasAdd"], conv, 3),
        N("TANH", ["model/c1/BiasAdd"], ["model/c1/Tanh"], None, 2),
        N("AVERAGE_POOL_2D", ["model/c1/Tanh"], ["model/s2/AvgPool"], pool, 2),
        N("CONV_2D", ["model/s2/AvgPool", "k3", "b3"], ["model/c3/BiasAdd"], valid, 3),
        N("AVERAGE_POOL_2D", ["model/c3/BiasAdd"], ["model/s4/AvgPool"], pool, 2),
        N("RESHAPE", ["model/s4/AvgPool", "shape"], ["model/flatten/Reshape"], options("ReshapeOptions")),
        N("FULLY_CONNECTED", ["model/flatten/Reshape", "k5", "b5"], ["model/f5/Relu;model/f5/BiasAdd"],
          options("FullyConnectedOptions", fusedActivationFunction=1), 4),
        N("FULLY_CONNECTED", ["model/f5/Relu;model/f5/BiasAdd", "k6", ""], ["model/f6/MatMul"], dense, 4),
        N("SOFTMAX", ["model/f6/MatMul"], ["y"], options("SoftmaxOptions", beta=1.0), 2),
    ]  # fmt: skip
    return Net(tensors, ops)
