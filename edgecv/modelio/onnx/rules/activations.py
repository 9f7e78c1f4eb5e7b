"""Operators that change values one by one.

Source: ONNX's Operators.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Value
from edgecv.modelio.onnx.net import Node, Refused

Rule = Callable[[Building, Node], Value]
ACTIVATIONS = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign", "Mish": "mish",
    "Silu": "swish", "Exp": "exponential",
}  # fmt: skip
FUNCTIONS = {
    "Abs": "absolute", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Floor": "floor", "Log": "log", "Neg": "negative",
    "Not": "logical_not", "Reciprocal": "reciprocal", "Round": "round", "Sign": "sign", "Sin": "sin", "Sqrt": "sqrt",
}  # fmt: skip


def _named(b: Building, node: Node) -> Value:
    return b.pointwise(node, env.keras().layers.Activation, ACTIVATIONS[node.op])


def _function(b: Building, node: Node) -> Value:
    found = b.value(node.inputs[0])
    return Value(b.function(node, FUNCTIONS[node.op], [found.tensor]), found.perm)


def _relu(b: Building, node: Node) -> Value:
    return b.pointwise(node, env.keras().layers.ReLU)


def _clip(b: Building, node: Node) -> Value:
    bounds = [b.constant(node, place) for place in (1, 2)]
    if any(one is None and b.net.has(node, place) for place, one in enumerate(bounds, start=1)):
        raise Refused("its bounds are computed in the graph")
    low, high = (None if one is None else float(np.asarray(one).reshape(-1)[0]) for one in bounds)
    unbounded = 3e38
    low = None if low is None or low <= -unbounded else low
    high = None if high is None or high >= unbounded else high
    layers = env.keras().layers
    if low == 0 and (high is None or high > 0):
        return b.pointwise(node, layers.ReLU, high)
    if low is None and high is None:
        return b.pointwise(node, layers.Activation, "linear")
    found = b.value(node.inputs[0])
    if low is None or high is None:
        function, bound = ("maximum", low) if high is None else ("minimum", high)
        return Value(b.function(node, function, [found.tensor], bound), found.perm)
    return Value(b.function(node, "clip", [found.tensor], low, high), found.perm)


def _leaky(b: Building, node: Node) -> Value:
    return b.pointwise(node, env.keras().layers.LeakyReLU, node.get("alpha", 0.01))


def _elu(b: Building, node: Node) -> Value:
    return b.pointwise(node, env.keras().layers.ELU, node.get("alpha", 1.0))


def _selu(b: Building, node: Node) -> Value:
    if abs(node.get("alpha", 1.67326) - 1.67326) > 1e-4 or abs(node.get("gamma", 1.0507) - 1.0507) > 1e-4:
        raise Refused("it has other constants than SELU")
    return b.pointwise(node, env.keras().layers.Activation, "selu")


def _celu(b: Building, node: Node) -> Value:
    if node.get("alpha", 1.0) != 1.0:
        raise Refused("its alpha is not 1")
    return b.pointwise(node, env.keras().layers.ELU)


def _gelu(b: Building, node: Node) -> Value:
    from edgecv.modelio.layers import TanhGelu

    if node.get("approximate", "none") == "tanh":
        return b.pointwise(node, TanhGelu)
    return b.pointwise(node, env.keras().layers.Activation, "gelu")


def _hard_sigmoid(b: Building, node: Node) -> Value:
    from edgecv.modelio.layers import HardSigmoid

    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-4 and abs(beta - 0.5) < 1e-4:
        return b.pointwise(node, HardSigmoid)
    if abs(alpha - 0.2) < 1e-6 and abs(beta - 0.5) < 1e-6:
        return b.pointwise(node, env.keras().layers.Activation, "hard_sigmoid")
    layers, found = env.keras().layers, b.value(node.inputs[0])
    x = b.layer(node, layers.Rescaling, found.tensor, alpha, beta, suffix="line")
    return Value(b.layer(node, layers.ReLU, x, 1.0), found.perm)


def _hard_swish(b: Building, node: Node) -> Value:
    from edgecv.modelio.layers import HardSwish

    return b.pointwise(node, HardSwish)


def _prelu(b: Building, node: Node) -> Value:
    slope, shape = b.fixed(node, 1, "slope"), b.shape(node.inputs[0])
    layers = env.keras().layers
    if slope.size == 1:
        return b.pointwise(node, layers.LeakyReLU, float(slope.reshape(-1)[0]))
    rank = len(shape)
    axis = 1 if rank != 2 else rank - 1
    per_channel = slope.size == shape[axis] and np.ndim(slope.squeeze()) == 1
    if not per_channel or rank - slope.ndim + int(np.argmax(slope.shape)) not in (axis, rank - 1):
        raise Refused(f"its slopes of shape {slope.shape} are not one per channel")
    found = b.with_last(node.inputs[0], rank - slope.ndim + int(np.argmax(slope.shape)))
    shared = list(range(1, rank - 1))
    weight = slope.reshape((1,) * (rank - 2) + (-1,))
    x = b.layer(node, layers.PReLU, found.tensor, shared_axes=shared or None, weights=[weight])
    return Value(x, found.perm)


def _thresholded(b: Building, node: Node) -> Value:
    return b.pointwise(node, env.keras().layers.ThresholdedReLU, node.get("alpha", 1.0))


def _pow(b: Building, node: Node) -> Value:
    power, found = b.constant(node, 1), b.value(node.inputs[0])
    if power is None or power.size != 1:
        raise Refused("its exponent is no single number")
    exponent = float(power.reshape(-1)[0])
    if exponent == 2.0:
        return Value(b.function(node, "square", [found.tensor]), found.perm)
    if exponent == 0.5:
        return Value(b.function(node, "sqrt", [found.tensor]), found.perm)
    return Value(b.function(node, "power", [found.tensor], exponent), found.perm)


def _cast(b: Building, node: Node) -> Value:
    before, after = b.net.dtypes[node.inputs[0]], b.net.dtypes[node.outputs[0]]
    fed = node.inputs[0] in b.net.inputs and before == "uint8"  # bytes are fed as floats here
    if "float16" in (before, after) or "float64" in (before, after):
        raise Refused(f"it computes in {after if after in ('float16', 'float64') else before}, expected float32")
    if before == after or fed:
        return b.values.get(node.inputs[0]) or b.value(node.inputs[0])
    found = b.value(node.inputs[0])
    return Value(b.function(node, "cast", [found.tensor], dtype=after), found.perm)


def _same(b: Building, node: Node) -> Value:
    if len(node.outputs) > 1 and any(name in b.consumers for name in node.outputs[1:]):
        raise Refused("its second output is used")
    return b.values.get(node.inputs[0]) or b.value(node.inputs[0])


RULES: dict[str, Rule] = {
    **dict.fromkeys(ACTIVATIONS, _named),
    **dict.fromkeys(FUNCTIONS, _function),
    "Cast": _cast,
    "Celu": _celu,
    "Clip": _clip,
    "Dropout": _same,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _same,
    "LeakyRelu": _leaky,
    "Pow": _pow,
    "PRelu": _prelu,
    "Relu": _relu,
    "Selu": _selu,
    "ThresholdedRelu": _thresholded,
}
POINTWISE = frozenset(
    {*ACTIVATIONS, "Dropout", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Relu"}
)
"""Rules that take a vector whose columns lie in any order."""
