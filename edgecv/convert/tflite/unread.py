"""Splits of which not all parts are read, as slices of those that are.

A recurrent cell's first step has no use for its forget gate. TensorFlow Lite's quantiser gives a part that nothing
reads no scale, and then makes the split int8 in one run and leaves it in float in the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer
from edgecv.graphs import Graph, Op, constant, read_tflite

Part = tuple[list[int], list[int]]
"""Begin and end of a part, along all axes."""


def without_unread_parts(data: bytes) -> bytes:
    """Return a float .tflite in which every part of a SPLIT, SPLIT_V or UNPACK is read; a file without one as it is."""
    graph = read_tflite(data)
    read = {index for op in graph.ops for index in op.inputs} | set(graph.outputs)
    places = {op.index for op in graph.ops if op.op in _PARTS and not set(op.outputs) <= read}
    if not places:
        return data
    model = flatbuffer.unpack(data)
    operators: list[Any] = []
    for place, op in enumerate(model.subgraphs[0].operators):
        operators += _slices(model, graph, graph.ops[place], read) if place in places else [op]
    model.subgraphs[0].operators = operators
    return flatbuffer.pack(model)


def _slices(model: Any, graph: Graph, op: Op, read: set[int]) -> list[Any]:
    source, axis, sizes = _PARTS[op.op](graph, op)
    shape, begins = graph.tensors[source].shape, np.cumsum([0, *sizes])
    made = []
    for number, result in enumerate(op.outputs):
        if result not in read:
            continue
        begin, end = [0] * len(shape), list(shape)
        begin[axis], end[axis] = int(begins[number]), int(begins[number + 1])
        fresh = _slice(model, source, (begin, end), result)
        fresh.builtinOptions.shrinkAxisMask = 1 << axis if op.op == "UNPACK" else 0
        made.append(fresh)
    return made


def _slice(model: Any, source: int, part: Part, result: int) -> Any:
    name = model.subgraphs[0].tensors[result].name
    pairs = ((b"/begin", part[0]), (b"/end", part[1]), (b"/strides", [1] * len(part[0])))
    arguments = [_constant(model, name + suffix, values) for suffix, values in pairs]
    return flatbuffer.operator(model, "STRIDED_SLICE", 1, (source, *arguments), result)


def _constant(model: Any, name: bytes, values: list[int]) -> int:
    tensor, generated = flatbuffer.schema().TensorT(), flatbuffer.schema()
    tensor.name, tensor.type, tensor.shape = name, generated.TensorType.INT32, np.array([len(values)], np.int32)
    tensor.buffer = flatbuffer.add_buffer(model, np.array(values, np.int32))
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _split(graph: Graph, op: Op) -> tuple[int, int, list[int]]:
    """Return the tensor that is split, along which axis, and the size of each part."""
    source = op.inputs[1]
    axis = int(constant(graph, op.inputs[0])) % len(graph.tensors[source].shape)
    return source, axis, [graph.tensors[source].shape[axis] // len(op.outputs)] * len(op.outputs)


def _split_v(graph: Graph, op: Op) -> tuple[int, int, list[int]]:
    source = op.inputs[0]
    axis = int(constant(graph, op.inputs[2])) % len(graph.tensors[source].shape)
    return source, axis, [graph.tensors[result].shape[axis] for result in op.outputs]


def _unpack(graph: Graph, op: Op) -> tuple[int, int, list[int]]:
    source = op.inputs[0]
    return source, int(op.options["axis"]) % len(graph.tensors[source].shape), [1] * len(op.outputs)


_PARTS = {"SPLIT": _split, "SPLIT_V": _split_v, "UNPACK": _unpack}
