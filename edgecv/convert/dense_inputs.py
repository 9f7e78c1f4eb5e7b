"""Inputs of dense layers with rank 2, in a .tflite that tf2onnx reads.

TFLite's FULLY_CONNECTED flattens what it is given. tf2onnx puts a Reshape before it where the rank is not 2, and then
forgets the bias (1.17, `TflFullyConnectedOp` in tflite_handlers/tfl_math.py: `replace_inputs` with two of the three).
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from edgecv.convert import flatbuffer


def with_flat_dense_inputs(data: bytes) -> bytes:
    """Return the file with a RESHAPE before each FULLY_CONNECTED that flattens its input; without one as it is."""
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    graph, operators = model.subgraphs[0], []
    for op in model.subgraphs[0].operators:
        if _flattens(model, op):
            operators.append(_reshape(model, generated, op))
        operators.append(op)
    if len(operators) == len(graph.operators):
        return data
    graph.operators = operators
    return flatbuffer.pack(model)


def _flattens(model: Any, op: Any) -> bool:
    code = model.operatorCodes[op.opcodeIndex]
    dense = flatbuffer.schema().BuiltinOperator.FULLY_CONNECTED
    if max(code.builtinCode, code.deprecatedBuiltinCode) != dense or op.builtinOptions.keepNumDims:
        return False
    return len(model.subgraphs[0].tensors[int(op.inputs[0])].shape) != 2


def _reshape(model: Any, generated: Any, op: Any) -> Any:
    """Return a RESHAPE of the input of a dense layer, and let the layer read its result."""
    graph = model.subgraphs[0]
    source, features = int(op.inputs[0]), int(graph.tensors[int(op.inputs[1])].shape[-1])
    flat = copy.copy(graph.tensors[source])
    flat.shape = np.array([int(np.prod(flat.shape)) // features, features], np.int32)
    flat.shapeSignature, flat.buffer, flat.name = None, 0, graph.tensors[int(op.outputs[0])].name + b"/flat"
    options = generated.ReshapeOptionsT()
    options.newShape = flat.shape
    shape = generated.TensorT()
    shape.name, shape.shape, shape.type = flat.name + b"/shape", np.array([2], np.int32), generated.TensorType.INT32
    shape.buffer = len(model.buffers)
    stored = generated.BufferT()
    stored.data = np.frombuffer(flat.shape.tobytes(), np.uint8)
    model.buffers.append(stored)
    graph.tensors += [flat, shape]
    reshape = generated.OperatorT()
    reshape.opcodeIndex = flatbuffer.opcode(model, generated.BuiltinOperator.RESHAPE, 1)
    reshape.inputs = np.array([source, len(graph.tensors) - 1], np.int32)
    reshape.outputs = np.array([len(graph.tensors) - 2], np.int32)
    reshape.builtinOptionsType, reshape.builtinOptions = generated.BuiltinOptions.ReshapeOptions, options
    op.inputs = np.array([len(graph.tensors) - 2, *op.inputs[1:]], np.int32)
    return reshape
