"""Operators that move values: shapes, axes, parts, borders.

Source: ONNX's Operators.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Placed, Value
from edgecv.modelio.onnx.layout import CHANNELS_LAST, columns, transposed, without
from edgecv.modelio.onnx.net import Node, Refused
from edgecv.modelio.onnx.patterns import depth_order
from edgecv.modelio.onnx.rules.activations import POINTWISE
from edgecv.modelio.onnx.rules.arithmetic import common
from edgecv.modelio.onnx.rules.convolution import zeros

ALL = slice(None)


def reshape(b: Building, node: Node) -> Value:
    """Return a tensor in another shape; a map that becomes a vector for Dense layers is flattened as it lies."""
    name, after = node.inputs[0], b.shape(node.outputs[0])
    before, found = b.shape(name), b.value(name)
    vector = len(after) == 2 and len(before) == 4 and before[0] == after[0] == 1 and found.perm == CHANNELS_LAST
    spread = sum(size > 1 for size in before[2:]) and before[1] > 1
    if vector and spread and _feeds_dense(b, node.outputs[0]):
        x = b.layer(node, env.keras().layers.Flatten, found.tensor)
        return Value(x, (0, 1), np.asarray(columns(before, found.perm)), name)
    return b.reshape(node, name, after)


def _feeds_dense(b: Building, name: str) -> bool:
    """Say whether nothing but Dense layers takes a vector, behind what changes values one by one."""
    takers = b.consumers.get(name, [])
    if not takers or name in b.net.outputs:
        return False
    return all(
        (one.op == "Dense" and one.inputs[0] == name) or (one.op in POINTWISE and _feeds_dense(b, one.outputs[0]))
        for one in takers
    )


def transpose(b: Building, node: Node) -> Value:
    """Return the same tensor: only what its axes mean changes."""
    found = b.value(node.inputs[0])
    rank = len(found.perm)
    axes = [int(axis) % rank for axis in node.get("perm", range(rank)[::-1])]
    return Value(found.tensor, transposed(found.perm, axes))


def concat(b: Building, node: Node) -> Value:
    """Return tensors side by side; constants among them are added where zeros make room for them."""
    rank = len(b.shape(node.outputs[0]))
    axis = node.get("axis", 0) % rank
    tensors = [name for name in node.inputs if name not in b.net.constants]
    perm = common(b, tensors, rank)
    if axis == perm[0]:
        raise Refused("it concatenates along the batch")
    place = perm.index(axis)
    if len(tensors) < len(node.inputs):
        return Value(_around(b, node, tensors, perm, place), perm)
    given = [b.lying(name, perm) for name in node.inputs]
    if len(given) == 1:
        return Value(given[0], perm)
    place = -1 if place == rank - 1 else place
    if len(set(node.inputs)) < len(given):  # keras drops what is given twice
        unique = list(dict.fromkeys(node.inputs))
        places = [Placed(unique.index(name)) for name in node.inputs]
        taken = [b.lying(name, perm) for name in unique]
        return Value(b.function(node, "concatenate", taken, places, axis=place), perm)
    return Value(b.layer(node, env.keras().layers.Concatenate, given, axis=place), perm)


def _around(b: Building, node: Node, tensors: Sequence[str], perm: Sequence[int], place: int) -> Any:
    """Return one tensor with constants beside it: zeros first, then the constants are added to them."""
    if len(tensors) != 1:
        raise Refused("it concatenates constants with several tensors")
    axis, at = perm[place], list(node.inputs).index(tensors[0])
    before = sum(b.shape(name)[axis] for name in node.inputs[:at])
    behind = sum(b.shape(name)[axis] for name in node.inputs[at + 1 :])
    widths = [[0, 0] for _ in perm]
    widths[place] = [before, behind]
    x = b.function(node, "pad", [b.lying(tensors[0], tuple(perm))], pad_width=widths, name="room")
    parts = [
        np.zeros(b.shape(name), np.float32) if name == tensors[0] else np.asarray(b.net.constants[name])
        for name in node.inputs
    ]
    whole = np.concatenate(parts, axis=axis)
    if not whole.any():
        return x
    return b.function(node, "add", [x], b.spread(whole.astype(np.float32), tuple(perm)))


def split(b: Building, node: Node) -> list[Value]:
    """Return the parts of a tensor along an axis."""
    found, shape = b.value(node.inputs[0]), b.shape(node.inputs[0])
    axis = node.get("axis", 0) % len(shape)
    if axis == found.perm[0]:
        raise Refused("it splits the batch")
    made, start = [], 0
    for count, name in enumerate(node.outputs):
        size = b.shape(name)[axis] if name else 0
        keys = [ALL] * len(shape)
        keys[found.perm.index(axis)] = slice(start, start + size)
        start += size
        used = name and (name in b.consumers or name in b.net.outputs)
        made.append(Value(_item(b, node, found.tensor, keys, f"part{count}") if used else None, found.perm))
    return made


def _item(b: Building, node: Node, x: Any, keys: Sequence[Any], name: str = "") -> Any:
    return b.function(node, "get_item", [x], tuple(keys), name=name)


def cut(b: Building, node: Node) -> Value:
    """Return a part of a tensor: every n-th value from a start to an end, along some axes."""
    found, shape = b.value(node.inputs[0]), b.shape(node.inputs[0])
    starts, ends = (b.fixed(node, place, what).reshape(-1) for place, what in ((1, "starts"), (2, "ends")))
    given = b.constant(node, 3) if b.net.has(node, 3) else np.arange(len(starts))
    steps = b.constant(node, 4) if b.net.has(node, 4) else np.ones(len(starts), np.int64)
    if given is None or steps is None:
        raise Refused("its axes or steps are computed in the graph")
    keys: list[Any] = [ALL] * len(shape)
    for axis, start, end, step in zip(given.reshape(-1), starts, ends, steps.reshape(-1), strict=True):
        size = shape[int(axis)]
        key = slice(*_within(int(start), int(end), int(step), size))
        if range(size)[key] == range(size):
            continue
        if int(axis) % len(shape) == found.perm[0]:
            raise Refused("it cuts the batch")
        keys[found.perm.index(int(axis) % len(shape))] = key
    if keys == [ALL] * len(shape):
        return found
    inner = [key for key in keys[1:3] if key != ALL]
    if found.perm == CHANNELS_LAST and keys[3] == ALL and all(key.step == 1 for key in inner):
        ranges = [range(*key.indices(shape[2 + place])) for place, key in enumerate(keys[1:3])]
        crops = tuple((one.start, shape[2 + place] - one.stop) for place, one in enumerate(ranges))
        return Value(b.layer(node, env.keras().layers.Cropping2D, found.tensor, crops), found.perm)
    return Value(_item(b, node, found.tensor, keys), found.perm)


def _within(start: int, end: int, step: int, size: int) -> tuple[int, int | None, int]:
    """Return a slice of ONNX as one of Python: ends beyond the axis stop at it."""
    if step > 0:
        low, high, _ = slice(start, end, step).indices(size)
        return low, max(low, high), step
    low = min(start + size if start < 0 else start, size - 1)
    high = end + size if end < 0 else end
    return low, None if high < 0 else high, step


def gather(b: Building, node: Node) -> Value:
    """Return the values at fixed places of an axis."""
    found, shape = b.value(node.inputs[0]), b.shape(node.inputs[0])
    axis, places = node.get("axis", 0) % len(shape), b.fixed(node, 1, "indices")
    if axis == found.perm[0]:
        all_of_it = np.array_equal(places.reshape(-1), np.arange(shape[axis]))
        if not (all_of_it and (len(shape) == 1 or shape[axis] == 1)):
            raise Refused("it takes from the batch")
        return b.reshape(node, node.inputs[0], b.shape(node.outputs[0]))
    places = np.where(places < 0, places + shape[axis], places).astype(np.int32)
    at = found.perm.index(axis)
    keys: list[Any] = [ALL] * len(shape)
    if places.ndim == 0:
        keys[at] = int(places)
        return Value(_item(b, node, found.tensor, keys), without(found.perm, [axis]))
    if places.ndim > 1:
        raise Refused(f"its indices have {places.ndim} axes")
    run = np.arange(len(places)) + places[0]
    if (places == run).all():
        keys[at] = slice(int(run[0]), int(run[-1]) + 1)
        return Value(_item(b, node, found.tensor, keys), found.perm)
    return Value(b.function(node, "take", [found.tensor], places, axis=at), found.perm)


def pad(b: Building, node: Node) -> Value:
    """Return a tensor with a border: zeros, another value, or its own values mirrored or repeated."""
    found, shape = b.value(node.inputs[0]), b.shape(node.inputs[0])
    rank, mode = len(shape), node.get("mode", "constant")
    pads = b.fixed(node, 1, "pads").reshape(-1)
    axes = b.constant(node, 3) if b.net.has(node, 3) else np.arange(rank)
    value = b.constant(node, 2) if b.net.has(node, 2) else np.zeros(1, np.float32)
    if value is None or axes is None:
        raise Refused("its value or its axes are computed in the graph")
    widths = [[0, 0] for _ in shape]
    for place, axis in enumerate(axes.reshape(-1)):
        widths[found.perm.index(int(axis) % rank)] = [int(pads[place]), int(pads[place + len(axes)])]
    if min(map(min, widths)) < 0:
        raise Refused("it pads by less than nothing")
    if widths[0] != [0, 0]:
        raise Refused("it pads the batch")
    number = float(np.asarray(value).reshape(-1)[0]) if np.asarray(value).size else 0.0
    if not any(map(any, widths)):
        return found
    return Value(_bordered(b, node, found, widths, mode, number), found.perm)


def _bordered(b: Building, node: Node, found: Value, widths: list[list[int]], mode: str, number: float) -> Any:
    if mode == "constant" and number == 0 and found.perm == CHANNELS_LAST and widths[3] == [0, 0]:
        top, left = widths[1], widths[2]
        return zeros(b, node, found.tensor, ((top[0], top[1]), (left[0], left[1])))
    if mode == "constant":
        if number == 0:
            return b.function(node, "pad", [found.tensor], pad_width=widths)
        return b.function(node, "pad", [found.tensor], pad_width=widths, constant_values=number)
    if mode == "reflect":
        return b.function(node, "pad", [found.tensor], pad_width=widths, mode="reflect")
    if mode != "edge":
        raise Refused(f"it pads by mode '{mode}'; constant, reflect and edge are known")
    x, count = found.tensor, 0
    while any(map(any, widths)):  # mirrored by one value, a border repeats itself
        ones = [[min(1, n) for n in pair] for pair in widths]
        x = b.function(node, "pad", [x], pad_width=ones, mode="symmetric", name=f"edge{count}" if count else "")
        widths = [[n - one for n, one in zip(pair, each, strict=True)] for pair, each in zip(widths, ones, strict=True)]
        count += 1
    return x


def expand(b: Building, node: Node) -> Value:
    """Return a tensor repeated along axes of size 1, or tiled."""
    before, after = b.shape(node.inputs[0]), b.shape(node.outputs[0])
    if before == after:
        return b.value(node.inputs[0])
    if math.prod(before) == math.prod(after):
        return b.reshape(node, node.inputs[0], after)
    name = node.inputs[0]
    found = b.value(name)
    if len(before) < len(after):
        raise Refused(f"it spreads {before} to {after}, which moves the batch")
    repeats = [new // old for old, new in zip(before, after, strict=True)]
    if repeats[found.perm[0]] != 1:
        raise Refused("it repeats the batch")
    return Value(b.function(node, "tile", [found.tensor], [repeats[axis] for axis in found.perm]), found.perm)


def depth_to_space(b: Building, node: Node) -> Value:
    """Return channels as blocks of pixels."""
    block, x = int(node.get("blocksize", 1)), b.maps(node.inputs[0])
    channels = b.shape(node.inputs[0])[1]
    if node.get("mode", "DCR") == "CRD" and channels != block * block:  # of one channel, both orders are the same
        x = b.function(node, "take", [x], depth_order(channels, block), axis=3, name="channels")
    return Value(b.function(node, "depth_to_space", [x], block, data_format="channels_last"), CHANNELS_LAST)


def space_to_depth(b: Building, node: Node) -> Value:
    """Return blocks of pixels as channels."""
    x = b.maps(node.inputs[0])
    function = b.function(node, "space_to_depth", [x], int(node.get("blocksize", 1)), data_format="channels_last")
    return Value(function, CHANNELS_LAST)


RULES: dict[str, Any] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    **dict.fromkeys(("Expand", "Tile"), expand),
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Gather": gather,
    "Pad": pad,
    "Slice": cut,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Transpose": transpose,
}
