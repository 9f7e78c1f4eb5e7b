"""Integer kernels that TensorFlow Lite's interpreter has and its quantiser does not use.

The quantiser puts ELU and SQUARE into float between a DEQUANTIZE and a QUANTIZE. The interpreter computes ELU of int8
from a table of all 256 results, each rounded once, which is what the three operators give; and the square of x is the
product of x and x. Here one int8 operator takes the place of the three.

Source: TensorFlow Lite, kernels/activations.cc, EluPrepare and EluEval; kernels/mul.cc.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.compaction import compacted

_INT8 = {"ELU": ("ELU", 1), "SQUARE": ("MUL", 2)}
"""By the float operator: the int8 one, and its first version with int8."""


def with_integer_kernels(data: bytes, kept: Collection[int] = ()) -> bytes:
    """Return an int8 .tflite in which these operators compute in int8; a file without one as it is.

    Args:
        data: From the quantiser.
        kept: Places of operators that stay in float.
    """
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    graph, numbers = model.subgraphs[0], generated.BuiltinOperator
    kinds = {getattr(numbers, name): name for name in _INT8}
    made_by = {int(index): op for op in graph.operators for index in op.outputs}
    taken_by = _readers(graph)
    replaced: dict[int, Any] = {}
    for place, op in enumerate(graph.operators):
        kind = kinds.get(_kind(model, op))
        if kind is None or place in kept:
            continue
        before, behind = made_by.get(int(op.inputs[0])), taken_by.get(int(op.outputs[0]), [])
        ends = [one for one in (before, *behind) if one is not None]
        wanted = [numbers.DEQUANTIZE, numbers.QUANTIZE]
        if [_kind(model, one) for one in ends] == wanted and _is_int8(graph, int(ends[0].inputs[0]), generated):
            replaced[place] = _int8(model, kind, op, *ends)
    if not replaced:
        return data
    graph.operators = [replaced.get(place, op) for place, op in enumerate(graph.operators)]
    _drop_written_twice(graph, replaced.values())
    return flatbuffer.pack(compacted(model))


def _kind(model: Any, op: Any) -> int:
    return flatbuffer.builtin(model.operatorCodes[op.opcodeIndex])


def _readers(graph: Any) -> dict[int, list[Any]]:
    """Return the operators that read each tensor; None stands for the file's boundary."""
    found: dict[int, list[Any]] = {int(index): [None, None] for index in graph.outputs}
    for op in graph.operators:
        for index in op.inputs:
            found.setdefault(int(index), []).append(op)
    return found


def _is_int8(graph: Any, index: int, generated: Any) -> bool:
    return bool(graph.tensors[index].type == generated.TensorType.INT8)


def _int8(model: Any, kind: str, op: Any, before: Any, behind: Any) -> Any:
    """Return the int8 operator that reads what `before` reads and writes what `behind` writes."""
    graph, (integer, version) = model.subgraphs[0], _INT8[kind]
    source, result = int(before.inputs[0]), int(behind.outputs[0])
    # The quantiser calls what a conversion writes after the conversion; the operator's own name leads to its layer.
    graph.tensors[result].name = graph.tensors[int(op.outputs[0])].name
    if integer == kind:
        op.inputs, op.outputs = np.array([source], np.int32), np.array([result], np.int32)
        return op
    return flatbuffer.operator(model, integer, version, (source, source), result)


def _drop_written_twice(graph: Any, fresh: Collection[Any]) -> None:
    """Take out the conversions whose results the new operators write."""
    ours, written = {id(op) for op in fresh}, {int(op.outputs[0]) for op in fresh}
    graph.operators = [op for op in graph.operators if id(op) in ours or not written & {int(i) for i in op.outputs}]
