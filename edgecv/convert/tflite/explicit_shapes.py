"""Shapes in a .tflite as tf2onnx wants them, where TFLite's operators see another shape by themselves.

FULLY_CONNECTED flattens what it is given. tf2onnx puts a Reshape before it where the rank is not 2, and then forgets
the bias (1.17, `TflFullyConnectedOp` in tflite_handlers/tfl_math.py: `replace_inputs` with two of the three).

A vector that is added to or multiplied with a map, as the gate of squeeze and excitation is, becomes a map of one pixel
by way of NCHW. tf2onnx moves transpositions between NHWC and NCHW through an operator only when all its inputs have the
same one, and else transposes the whole map before and after.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer

_NCHW_TO_NHWC = (0, 2, 3, 1)
_BROADCASTS = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM")


def with_explicit_shapes(data: bytes) -> bytes:
    """Return the file with these shapes made by operators of their own; a file that needs none as it is."""
    model = flatbuffer.unpack(data)
    kinds = flatbuffer.schema().BuiltinOperator
    broadcasts = {getattr(kinds, name) for name in _BROADCASTS}
    graph, operators = model.subgraphs[0], []
    for op in model.subgraphs[0].operators:
        code = model.operatorCodes[op.opcodeIndex]
        builtin = flatbuffer.builtin(code)
        if builtin == kinds.FULLY_CONNECTED:
            operators += _flattened(model, op)
        elif builtin in broadcasts:
            operators += _as_maps(model, op)
        operators.append(op)
    if len(operators) == len(graph.operators):
        return data
    graph.operators = operators
    return flatbuffer.pack(model)


def _shape(model: Any, index: int) -> tuple[int, ...]:
    return tuple(int(size) for size in model.subgraphs[0].tensors[int(index)].shape)


def _flattened(model: Any, op: Any) -> list[Any]:
    """Return what flattens the input of a dense layer, which reads that from now on."""
    shape, features = _shape(model, op.inputs[0]), _shape(model, op.inputs[1])[-1]
    if len(shape) == 2 or op.builtinOptions.keepNumDims:
        return []
    return [_put_before(model, op, 0, "RESHAPE", (math.prod(shape) // features, features))]


def _as_maps(model: Any, op: Any) -> list[Any]:
    """Return what makes a map of one pixel of a computed vector that an operator takes beside a map."""
    shapes = [_shape(model, index) for index in op.inputs]
    if 4 not in map(len, shapes):
        return []
    added = []
    for place, shape in enumerate(shapes):
        if 0 < len(shape) < 4 and math.prod(shape) == shape[-1] and not _is_constant(model, int(op.inputs[place])):
            added.append(_put_before(model, op, place, "RESHAPE", (1, shape[-1], 1, 1)))
            added.append(_put_before(model, op, place, "TRANSPOSE", (1, 1, 1, shape[-1]), argument=_NCHW_TO_NHWC))
    return added


def _is_constant(model: Any, index: int) -> bool:
    data = model.buffers[model.subgraphs[0].tensors[index].buffer].data
    return data is not None and len(data) > 0


def _put_before(
    model: Any, op: Any, place: int, kind: str, shape: tuple[int, ...], argument: tuple[int, ...] | None = None
) -> Any:
    """Return an operator on an input of another one, which reads its result, of a shape, from now on.

    `argument`: its second input; None: the shape.
    """
    graph, generated = model.subgraphs[0], flatbuffer.schema()
    source, name = int(op.inputs[place]), graph.tensors[int(op.outputs[0])].name
    values = np.array(shape if argument is None else argument, np.int32)
    result, second = copy.copy(graph.tensors[source]), generated.TensorT()
    result.shape, result.shapeSignature, result.buffer = np.array(shape, np.int32), None, 0
    result.name = name + b"/" + kind.lower().encode()
    second.name, second.type = result.name + b"/argument", generated.TensorType.INT32
    second.shape, second.buffer = np.array([len(values)], np.int32), flatbuffer.add_buffer(model, values)
    graph.tensors += [result, second]
    made = len(graph.tensors) - 2
    fresh = flatbuffer.operator(model, kind, 1, (source, made + 1), made)
    if kind == "RESHAPE":
        fresh.builtinOptions.newShape = result.shape
    op.inputs = np.array([*op.inputs[:place], made, *op.inputs[place + 1 :]], np.int32)
    return fresh
