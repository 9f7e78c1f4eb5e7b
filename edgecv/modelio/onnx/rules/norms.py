"""Normalisation.

Source: ONNX's Operators.md.
"""

from __future__ import annotations

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Value
from edgecv.modelio.onnx.layout import CHANNELS_LAST
from edgecv.modelio.onnx.net import Array, Node, Refused


def batch(b: Building, node: Node) -> Value:
    """Return a batch normalisation with its statistics."""
    if node.get("training_mode", 0) or node.get("is_test", 1) == 0:
        raise Refused("it normalises by the batch, as in training")
    weights = [b.fixed(node, place, what) for place, what in enumerate(("scale", "bias", "mean", "variance"), start=1)]
    found = b.with_last(node.inputs[0], 1)
    x = found.tensor
    settings = {"epsilon": node.get("epsilon", 1e-5), "momentum": node.get("momentum", 0.9)}
    return Value(b.layer(node, env.keras().layers.BatchNormalization, x, weights=weights, **settings), found.perm)


def groups(b: Building, node: Node) -> Value:
    """Return a normalisation over groups of channels; over single ones it is ONNX's InstanceNormalization."""
    scale, bias = b.fixed(node, 1, "scale"), b.fixed(node, 2, "bias")
    shape = b.shape(node.inputs[0])
    if len(shape) not in (3, 4):
        raise Refused(f"it normalises a tensor of {len(shape)} axes")
    channels = shape[1]
    count = channels if node.op == "InstanceNormalization" else int(node.get("num_groups", 1))
    held = [_each(one, channels) for one in (scale, bias)]
    x = b.maps(node.inputs[0])
    settings = {"groups": count, "epsilon": node.get("epsilon", 1e-5)}
    made = b.layer(node, env.keras().layers.GroupNormalization, x, weights=held, **settings)
    return Value(made, CHANNELS_LAST if len(shape) == 4 else (0, 2, 1))


def _each(values: Array, channels: int) -> Array:
    """Return one value a channel; operator set 18 has one a group."""
    flat = values.reshape(-1)
    return np.repeat(flat, channels // len(flat))


def layer(b: Building, node: Node) -> Value:
    """Return a layer normalisation over the last axes."""
    if len(node.outputs) > 1 and any(name in b.consumers for name in node.outputs[1:]):
        raise Refused("its statistics are used")
    shape, scale = b.shape(node.inputs[0]), b.fixed(node, 1, "scale")
    bias = b.constant(node, 2)
    first = node.get("axis", -1) % len(shape)
    axes = list(range(first, len(shape)))
    if len(axes) == 1:
        found = b.with_last(node.inputs[0], first)
        axis: object = -1
    else:
        found = b.value(node.inputs[0])
        if found.perm[0] in axes:
            raise Refused("it normalises along the batch")
        wanted = (*(one for one in found.perm if one not in axes), *axes)
        found = Value(b.lying(node.inputs[0], wanted), wanted)
        axis = axes
    sizes = tuple(shape[one] for one in axes)
    held = [np.broadcast_to(one, sizes) for one in ([scale] if bias is None else [scale, bias])]
    settings = {"axis": axis, "epsilon": node.get("epsilon", 1e-5), "center": bias is not None}
    x = b.layer(node, env.keras().layers.LayerNormalization, found.tensor, weights=held, **settings)
    return Value(x, found.perm)


def local_response(b: Building, node: Node) -> Value:
    """Return a normalisation by neighbouring channels."""
    from edgecv.modelio.layers import LocalResponseNormalization

    size = int(node.get("size", 1))
    if size % 2 == 0 or len(b.shape(node.inputs[0])) != 4:
        raise Refused(f"it normalises over {size} channels, expected an odd number")
    x = b.layer(
        node,
        LocalResponseNormalization,
        b.maps(node.inputs[0]),
        (size - 1) // 2,
        bias=node.get("bias", 1.0),
        alpha=node.get("alpha", 1e-4) / size,
        beta=node.get("beta", 0.75),
    )
    return Value(x, CHANNELS_LAST)


def unit(b: Building, node: Node) -> Value:
    """Return vectors along one axis over their length, or over the sum of their absolute values; zeros stay zeros."""
    found, squares = b.with_last(node.inputs[0], int(node.get("axis", -1))), int(node.get("p", 2)) == 2
    x = b.function(node, "square" if squares else "absolute", [found.tensor], name="values")
    x = b.function(node, "sum", [x], axis=-1, keepdims=True, name="sum")
    length = b.function(node, "sqrt", [x], name="length") if squares else x
    return Value(b.function(node, "divide_no_nan", [found.tensor, length]), found.perm)


RULES = {
    "BatchNormalization": batch,
    "GroupNormalization": groups,
    "InstanceNormalization": groups,
    "LRN": local_response,
    "LayerNormalization": layer,
    "LpNormalization": unit,
}
