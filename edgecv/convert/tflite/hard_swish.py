"""int8 HARD_SWISH as additions and products, which have integer kernels where HARD_SWISH has none.

XNNPACK computes HARD_SWISH in float only: in an int8 file the interpreter's own kernel runs it, one value at a time,
and each one breaks the graph that XNNPACK runs in one piece. An Edge TPU does not take it at all. Here it becomes

    x * relu6(x + 3) / 6

as ADD with a fused RELU6, MUL and MUL. relu6(x + 3) has 255 steps in 0..6. The last product changes the scale only,
since every integer stays as it is: it has no error of its own. Each operator reads the one before it and nothing but x
and constants beside it: XNNPACK makes one table of 256 results of such a row, and looks every value up.

Sources: Howard et al. 2019, "Searching for MobileNetV3", section 5.2; TFLite's XNNPACK delegate, README, operators;
XNNPACK, src/subgraph.c, xnn_subgraph_fuse_unary_quantized_into_lut.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer

SIX, THREE = 6.0, 3.0
_LOWEST, _HIGHEST = -128, 127
_INT8_VERSION = 2
"""Of ADD and MUL: the first with int8."""


def without_hard_swish(data: bytes) -> bytes:
    """Return a .tflite in which no HARD_SWISH has int8 input and output; a file without one as it is."""
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    graph, operators = model.subgraphs[0], []
    for op in model.subgraphs[0].operators:
        code = model.operatorCodes[op.opcodeIndex]
        is_one = flatbuffer.builtin(code) == generated.BuiltinOperator.HARD_SWISH
        kinds = {graph.tensors[index].type for index in (*op.inputs, *op.outputs)} if is_one else set()
        operators += _parts(model, op) if kinds == {generated.TensorType.INT8} else [op]
    if len(operators) == len(graph.operators):
        return data
    graph.operators = operators
    return flatbuffer.pack(model)


def _parts(model: Any, op: Any) -> list[Any]:
    """Return what computes a HARD_SWISH in its place."""
    graph, generated = model.subgraphs[0], flatbuffer.schema()
    source, result = int(op.inputs[0]), int(op.outputs[0])
    made = graph.tensors[result]
    scale, zero = float(made.quantization.scale[0]), int(made.quantization.zeroPoint[0])
    gate = _activation(graph, made, b"/gate", SIX / (_HIGHEST - _LOWEST), _LOWEST)
    sixfold = _activation(graph, made, b"/sixfold", scale * SIX, zero)
    relu6 = generated.ActivationFunctionType.RELU6
    return [
        _operator(model, "ADD", (source, _constant(model, b"three", THREE)), gate, activation=relu6),
        _operator(model, "MUL", (gate, source), sixfold),
        _operator(model, "MUL", (sixfold, _constant(model, b"sixth", 1.0 / SIX)), result),
    ]


def _activation(graph: Any, like: Any, suffix: bytes, scale: float, zero: int) -> int:
    """Add a tensor of the shape of another one and named after it, with a scale of its own; returns its index."""
    tensor, name = copy.copy(like), like.name
    tensor.name = bytes(name) + suffix if not isinstance(name, str) else name + suffix.decode()
    tensor.buffer = 0
    tensor.quantization = _quantisation(scale, zero)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _constant(model: Any, name: bytes, value: float) -> int:
    """Return the index of a scalar int8 constant, added where it is not there yet."""
    graph, generated = model.subgraphs[0], flatbuffer.schema()
    called = b"hard_swish/" + name
    for index, tensor in enumerate(graph.tensors):
        if tensor.name == called:
            return index
    tensor = generated.TensorT()
    tensor.name, tensor.shape, tensor.type = called, np.array([1], np.int32), generated.TensorType.INT8
    tensor.buffer = flatbuffer.add_buffer(model, np.array([_HIGHEST], np.uint8))
    tensor.quantization = _quantisation(value / _HIGHEST, 0)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _quantisation(scale: float, zero: int) -> Any:
    found = flatbuffer.schema().QuantizationParametersT()
    found.scale, found.zeroPoint = np.array([scale], np.float32), np.array([zero], np.int64)
    return found


def _operator(model: Any, kind: str, inputs: tuple[int, int], output: int, *, activation: int = 0) -> Any:
    op = flatbuffer.operator(model, kind, _INT8_VERSION, inputs, output)
    op.builtinOptions.fusedActivationFunction = activation
    if kind == "ADD":
        op.builtinOptions.potScaleInt16 = False
    return op
