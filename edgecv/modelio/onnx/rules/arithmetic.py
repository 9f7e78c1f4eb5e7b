"""Arithmetic of two or more tensors, or of a tensor and a constant, with numpy's broadcasting.

Source: "Broadcasting in ONNX", and Add, Div, Max, … in ONNX's Operators.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Placed, Value
from edgecv.modelio.onnx.layout import CHANNELS_LAST, Perm, identity
from edgecv.modelio.onnx.net import Array, Node, Refused

MERGES = {"Add": "Add", "Mul": "Multiply", "Sub": "Subtract", "Max": "Maximum", "Min": "Minimum", "Mean": "Average"}
FUNCTIONS = {
    "Add": "add", "Mul": "multiply", "Sub": "subtract", "Div": "divide", "Max": "maximum", "Min": "minimum",
    "Mod": "mod", "Equal": "equal", "Greater": "greater", "GreaterOrEqual": "greater_equal", "Less": "less",
    "LessOrEqual": "less_equal", "And": "logical_and", "Or": "logical_or", "Pow": "power",
}  # fmt: skip


def common(b: Building, names: Sequence[str], rank: int) -> Perm:
    """Return the order in which tensors are best joined: channels last where one lies so, else as most lie."""
    lying = [b.value(name).perm for name in names if len(b.shape(name)) == rank]
    if CHANNELS_LAST in lying:
        return CHANNELS_LAST
    return Counter(lying).most_common(1)[0][0] if lying else identity(rank)


def brought(b: Building, name: str, perm: Perm) -> Any:
    """Return a tensor in an order; one of fewer axes gets axes of size 1 in front of its own."""
    shape, rank = b.shape(name), len(perm)
    if len(shape) == rank:
        return b.lying(name, perm)
    if any(size != 1 for size in shape[:1]):
        raise Refused(f"it joins a tensor of shape {shape} with one of {rank} axes, which moves the batch")
    found = b.lying(name, identity(len(shape)))
    full = (1,) * (rank - len(shape)) + shape
    # The batch is 1 here, and stays in front.
    x = b.call(env.keras().layers.Reshape(full[1:], name=b.free_title(name, "axes")), found)
    if perm == identity(rank):
        return x
    axes = tuple(perm[1:])
    return b.call(env.keras().layers.Permute(axes, name=b.free_title(name, "order")), x)


def binary(b: Building, node: Node) -> Value:
    """Return arithmetic of all inputs of a node."""
    tensors = [name for name in node.inputs if name not in b.net.constants]
    rank = len(b.shape(node.outputs[0]))
    perm = common(b, tensors, rank)
    if len(tensors) == len(node.inputs):
        return _joined(b, node, [brought(b, name, perm) for name in node.inputs], perm)
    if len(node.inputs) > 2:
        raise Refused("it joins more than two inputs, of which some are constant")
    place = 0 if node.inputs[0] in b.net.constants else 1
    x = brought(b, tensors[0], perm)
    constant = b.spread(np.asarray(b.net.constants[node.inputs[place]]), perm)
    return Value(_with_constant(b, node, x, constant, perm, constant_first=place == 0), perm)


def _joined(b: Building, node: Node, tensors: list[Any], perm: Perm) -> Value:
    floats = all(b.net.dtypes[name] == "float32" for name in node.inputs)
    if node.op in MERGES and floats and (node.op != "Sub" or len(tensors) == 2):
        if len(set(node.inputs)) == 1:  # keras drops what is given twice
            return Value(b.function(node, FUNCTIONS[node.op], tensors[:1], Placed(0), Placed(0)), perm)
        return Value(b.layer(node, getattr(env.keras().layers, MERGES[node.op]), tensors), perm)
    if node.op not in FUNCTIONS or len(tensors) != 2:
        raise Refused(f"it takes {len(tensors)} tensors of {b.net.dtypes[node.inputs[0]]}")
    if len(set(node.inputs)) == 1:
        return Value(b.function(node, FUNCTIONS[node.op], tensors[:1], Placed(0), Placed(0)), perm)
    return Value(b.function(node, FUNCTIONS[node.op], tensors), perm)


def _with_constant(b: Building, node: Node, x: Any, constant: Array, perm: Perm, *, constant_first: bool) -> Any:
    layers = env.keras().layers
    channels = x.shape[-1]
    vector = constant.size == constant.shape[-1] == channels and constant.size > 1
    floats = constant.dtype == np.float32
    number = constant.reshape(-1)[0] if constant.size == 1 else None
    if floats and (number is not None or vector) and node.op in ("Add", "Sub", "Mul", "Div"):
        value: Any = np.float64(number) if number is not None else constant.reshape(-1).astype(np.float64)
        made = _affine(node.op, value, constant_first)
        if made is not None:
            scale, offset = made
            if vector and not np.any(offset):
                from edgecv.modelio.layers import ChannelScale

                return b.layer(node, ChannelScale, x, weights=[np.asarray(scale)])
            return b.layer(node, layers.Rescaling, x, np.asarray(scale).tolist(), np.asarray(offset).tolist())
    if floats and node.op == "Max" and number == 0:
        return b.layer(node, layers.ReLU, x)
    if node.op not in FUNCTIONS:
        raise Refused("it is not known with a constant")
    value = float(number) if number is not None and floats else constant
    arguments = [value, Placed(0)] if constant_first else [Placed(0), value]
    return b.function(node, FUNCTIONS[node.op], [x], *arguments)


def _affine(op: str, value: Any, constant_first: bool) -> tuple[Any, Any] | None:
    """Return scale and offset of arithmetic with a constant; None when there are none."""
    one, zero = np.ones_like(value), np.zeros_like(value)
    if op == "Add":
        return one, value
    if op == "Sub":
        return (-one, value) if constant_first else (one, -value)
    if op == "Mul":
        return value, zero
    return None if constant_first or np.any(value == 0) else (one / value, zero)


def where(b: Building, node: Node) -> Value:
    """Return a choice between tensors or constants."""
    rank = len(b.shape(node.outputs[0]))
    tensors = [name for name in dict.fromkeys(node.inputs) if name not in b.net.constants]
    perm = common(b, tensors, rank)
    arguments = [
        b.spread(np.asarray(b.net.constants[name]), perm) if name in b.net.constants else Placed(tensors.index(name))
        for name in node.inputs
    ]
    return Value(b.function(node, "where", [brought(b, name, perm) for name in tensors], *arguments), perm)


RULES = {**dict.fromkeys(sorted({*MERGES, *FUNCTIONS} - {"Pow"}), binary), "Where": where}
