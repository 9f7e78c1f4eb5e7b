"""Sums and means over axes, largest values and their places, softmax.

Source: ONNX's Operators.md.
"""

from __future__ import annotations

import dataclasses

from edgecv.core.optional import require
from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Value
from edgecv.modelio.onnx.layout import CHANNELS_LAST, moved, without
from edgecv.modelio.onnx.net import Node, Refused

FUNCTIONS = {
    "ReduceLogSumExp": "logsumexp", "ReduceMax": "max", "ReduceMean": "mean", "ReduceMin": "min",
    "ReduceProd": "prod", "ReduceSum": "sum",
}  # fmt: skip
NORMS = {"ReduceL1": "absolute", "ReduceL2": "square", "ReduceSumSquare": "square"}


def reduce(b: Building, node: Node) -> Value:
    """Return a reduction over axes."""
    name, kept = node.inputs[0], bool(node.get("keepdims", 1))
    rank, found = len(b.shape(name)), b.value(name)
    given = b.constant(node, 1) if b.net.has(node, 1) else None
    if b.net.has(node, 1) and given is None:
        raise Refused("its axes are computed in the graph")
    axes = sorted(
        {int(axis) % rank for axis in (given.reshape(-1) if given is not None and given.size else range(rank))}
    )
    if given is None and node.get("noop_with_empty_axes", 0):
        return found
    if found.perm[0] in axes:
        if b.shape(name)[found.perm[0]] != 1 or len(axes) == rank:
            raise Refused("it reduces the batch")
        raise Refused("it reduces the batch beside other axes")
    perm = found.perm if kept else without(found.perm, axes)
    pools = {"ReduceMean": "GlobalAveragePooling2D", "ReduceMax": "GlobalMaxPooling2D"}
    if node.op in pools and rank == 4 and axes == [2, 3] and found.perm == CHANNELS_LAST:
        layer = getattr(env.keras().layers, pools[node.op])
        return Value(b.layer(node, layer, found.tensor, keepdims=kept), perm)
    x, places = found.tensor, [found.perm.index(axis) for axis in axes]
    places = sorted(places)
    if node.op in NORMS:
        x = b.function(node, NORMS[node.op], [x], name="values")
        x = b.function(node, "sum", [x], axis=places, keepdims=kept, name="sum")
        return Value(b.function(node, "sqrt", [x]) if node.op == "ReduceL2" else x, perm)
    return Value(b.function(node, FUNCTIONS[node.op], [x], axis=places, keepdims=kept), perm)


def largest(b: Building, node: Node) -> Value:
    """Return the place of the largest or the smallest value along an axis."""
    if node.get("select_last_index", 0):
        raise Refused("it takes the last of equal values")
    name, kept = node.inputs[0], bool(node.get("keepdims", 1))
    axis = node.get("axis", 0) % len(b.shape(name))
    found = b.value(name)
    if axis == found.perm[0]:
        raise Refused("it computes along the batch")
    tf, place = env.tensorflow(), found.perm.index(axis)
    function = tf.argmax if node.op == "ArgMax" else tf.argmin
    operator = require("tf_keras.src.layers.core.tf_op_layer", why="to build models").TFOpLambda
    made = operator(function, name=b.names.unique(b.base(node)))(found.tensor, axis=place, output_type=tf.int32)
    perm = without(found.perm, [axis])
    if not kept:
        return Value(made, perm)
    shape = moved(b.shape(name), found.perm)
    x = b.layer(node, env.keras().layers.Reshape, made, (*shape[1:place], 1, *shape[place + 1 :]), suffix="axis")
    return Value(x, found.perm)


def softmax(b: Building, node: Node) -> Value:
    """Return a softmax over one axis, or over all from one on as older operator sets have it."""
    shape, axis = b.shape(node.inputs[0]), node.get("axis", -1) % len(b.shape(node.inputs[0]))
    if node.get("flattening") and axis < len(shape) - 1:
        big = [one for one in range(axis, len(shape)) if shape[one] != 1]
        if len(big) > 1:
            raise Refused(f"it is a softmax over several axes of {shape}")
        axis = big[0] if big else axis
    found = b.value(node.inputs[0])
    if axis == found.perm[0]:
        raise Refused("it computes along the batch")
    if all(size == 1 or one in (axis, found.perm[0]) for one, size in enumerate(shape)):
        found = b.with_last(node.inputs[0], axis)  # a vector: no value moves
    place = found.perm.index(axis)
    place = -1 if place == len(shape) - 1 else place
    if node.op == "LogSoftmax":
        return Value(b.function(node, "log_softmax", [found.tensor], axis=place), found.perm)
    layers = env.keras().layers
    if place == -1:
        return dataclasses.replace(found, tensor=b.layer(node, layers.Activation, found.tensor, "softmax"))
    return dataclasses.replace(found, tensor=b.layer(node, layers.Softmax, found.tensor, axis=place))


RULES = {
    **dict.fromkeys([*FUNCTIONS, *NORMS], reduce),
    "ArgMax": largest,
    "ArgMin": largest,
    "LogSoftmax": softmax,
    "Softmax": softmax,
}
