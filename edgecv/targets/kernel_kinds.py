"""What kind of numbers an operator computes with: what decides which kernels it gets on a CPU."""

from __future__ import annotations

from edgecv.graphs import Graph, Op, Tensor

# Operators with weights, and where those stand among their inputs.
_WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1, "CONV_3D": 1}
_DATA = {"TRANSPOSE_CONV": 2}

# (activations, weights) to the kind; weights of another type than these are float ones.
_KINDS = {
    ("float32", "float32"): "float32",
    ("float32", "float16"): "float16",
    ("float32", "int8"): "dynamic",
    ("float32", "int4"): "int4",
    ("int8", "int8"): "int8",
    ("int8", "int4"): "int4",
    ("uint8", "uint8"): "uint8",
    ("int16", "int8"): "int16x8",
    ("int16", "int4"): "int16x8",
}


def is_weighted(op: Op) -> bool:
    """Say whether an operator has weights: those are what kernels differ most for."""
    return op.op in _WEIGHTS


def kind_of(graph: Graph, op: Op) -> str:
    """Return the kind of numbers: "float32", "float16", "half", "dynamic", "int8", …, "int4"; "" for others.

    "float16" has weights of 16 bits that are widened when the file is loaded, "half" the same in a file that CPUs with
    float16 arithmetic may compute in it, "dynamic" int8 weights under float activations that are quantised on the way.
    """
    data = _at(graph, op, _DATA.get(op.op, 0))
    if data is None:
        return ""
    if not is_weighted(op):
        alone = {"float32": "float32", "int8": "int8", "uint8": "uint8", "int16": "int16x8"}
        return alone.get(data.dtype, "")
    weights = _at(graph, op, _WEIGHTS[op.op])
    found = _KINDS.get((data.dtype, _stored_dtype(graph, weights)), "") if weights else ""
    return "half" if graph.half and found == "float16" else found


def _at(graph: Graph, op: Op, place: int) -> Tensor | None:
    return graph.tensor(op.inputs[place]) if place < len(op.inputs) else None


def _stored_dtype(graph: Graph, weights: Tensor) -> str:
    """Return the type that weights have in the file: float16 ones pass a DEQUANTIZE first."""
    made_by = next((op for op in graph.ops if weights.index in op.outputs), None)
    if made_by is None or made_by.op != "DEQUANTIZE":
        return weights.dtype
    return graph.inputs_of(made_by)[0].dtype
