"""Resize in all modes: an upsampling of keras where one does the same, else rows and columns taken or mixed.

Nearest values are taken by their numbers. Linear ones at the places of `BilinearResize` are one operator. Other modes
are a matrix product along the height and one along the width, without moving an axis.

Source: Resize in ONNX's Operators.md, whose formulas these are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Placed, Value
from edgecv.modelio.onnx.layout import CHANNELS_LAST
from edgecv.modelio.onnx.net import Array, Node, Refused


def resize(b: Building, node: Node) -> Value:
    """Return maps of another size."""
    before, after = b.shape(node.inputs[0]), b.shape(node.outputs[0])
    if len(before) != 4 or before[:2] != after[:2]:
        raise Refused(f"it resizes {before} to {after}; maps of height and width are known")
    if node.get("exclude_outside", 0) and node.get("mode", "nearest") == "cubic":
        raise Refused("it excludes what lies outside")
    if node.get("antialias", 0) and any(new < old for old, new in zip(before[2:], after[2:], strict=True)):
        raise Refused("it smooths before it shrinks (antialias)")
    x = b.maps(node.inputs[0])
    if before == after and node.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        return Value(x, CHANNELS_LAST)
    scales = _scales(b, node)
    ways = [_positions(node, n, o, s) for n, o, s in zip(before[2:], after[2:], scales, strict=True)]
    mode = node.get("mode", "nearest")
    if mode == "nearest":
        return Value(_nearest(b, node, x, ways, before[2:], after[2:]), CHANNELS_LAST)
    weights = _linear if mode == "linear" else _cubic
    coordinates = _coordinates(ways, before[2:], after[2:]) if mode == "linear" else None
    if coordinates is not None:
        return Value(_bilinear(b, node, x, coordinates, before[2:], after[2:]), CHANNELS_LAST)
    rows, columns = (weights(at, size, node) for at, size in zip(ways, before[2:], strict=True))
    return Value(_mixed(b, node, x, rows, columns), CHANNELS_LAST)


def _scales(b: Building, node: Node) -> list[float]:
    given = b.constant(node, 2) if b.net.has(node, 2) else None
    before, after = b.shape(node.inputs[0]), b.shape(node.outputs[0])
    scales = [new / old for old, new in zip(before, after, strict=True)]
    if given is not None and given.size:
        # From operator set 18 on, scales may be of some axes, in any order.
        for axis, scale in zip(node.get("axes", range(len(before))), given.reshape(-1), strict=True):
            scales[axis] = float(scale)
    return scales[2:]


def _positions(node: Node, old: int, new: int, scale: float) -> Array:
    """Return where each new value lies among the old ones."""
    mode, at = node.get("coordinate_transformation_mode", "half_pixel"), np.arange(new, dtype=np.float64)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and new > 1):
        return (at + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel":
        return np.zeros(new)
    if mode == "asymmetric":
        return at / scale
    if mode == "tf_half_pixel_for_nn":  # tensorflow's nearest values, as tf2onnx writes them
        return (at + 0.5) / scale
    if mode == "align_corners":
        return at * (old - 1) / (new - 1) if new > 1 else np.zeros(new)
    if mode == "half_pixel_symmetric":
        shift = old / 2 * (1 - new / (scale * old))
        return shift + (at + 0.5) / scale - 0.5
    raise Refused(f"its coordinates are of mode '{mode}'")


def _factors(before: Any, after: Any) -> tuple[int, int] | None:
    if any(new % old for old, new in zip(before, after, strict=True)):
        return None
    return after[0] // before[0], after[1] // before[1]


def _coordinates(ways: list[Array], before: Any, after: Any) -> str | None:
    """Return which of the forms that runtimes have an operator for puts values there; None: none does."""
    single = 1 in (*before, *after)  # where both corners are one value, runtimes differ
    for name, places in FORMS.items():
        if single and (name != "half_pixel" or _factors(before, after) is None):
            continue
        wanted = [places(np.arange(new), old, new) for old, new in zip(before, after, strict=True)]
        if all(np.allclose(one, other) for one, other in zip(ways, wanted, strict=True)):
            return name
    return None


FORMS: dict[str, Callable[[Array, int, int], Array]] = {
    "half_pixel": lambda at, old, new: (at + 0.5) * old / new - 0.5,
    "align_corners": lambda at, old, new: at * (old - 1) / (new - 1),
    "asymmetric": lambda at, old, new: at * old / new,
}
"""Where new values lie among the old ones: see `BilinearResize`."""


def _bilinear(b: Building, node: Node, x: Any, coordinates: str, before: Any, after: Any) -> Any:
    from edgecv.modelio.layers import BilinearResize

    factors = _factors(before, after)
    if factors and coordinates == "half_pixel":
        return b.layer(node, env.keras().layers.UpSampling2D, x, factors, interpolation="bilinear")
    return b.layer(node, BilinearResize, x, after, coordinates=coordinates)


def _nearest(b: Building, node: Node, x: Any, ways: list[Array], before: Any, after: Any) -> Any:
    taken = [
        _rounded(at, node.get("nearest_mode", "round_prefer_floor"), n) for at, n in zip(ways, before, strict=True)
    ]
    factors = _factors(before, after)
    if factors and all((one == np.arange(len(one)) // f).all() for one, f in zip(taken, factors, strict=True)):
        return b.layer(node, env.keras().layers.UpSampling2D, x, factors)
    for axis, places in enumerate(taken, start=1):
        if len(places) != before[axis - 1] or (places != np.arange(len(places))).any():
            x = b.function(
                node, "take", [x], places.astype(np.int32), axis=axis, name="rows" if axis == 1 else "columns"
            )
    return x


def _rounded(at: Array, mode: str, size: int) -> Array:
    if mode == "floor":
        found = np.floor(at)
    elif mode == "ceil":
        found = np.ceil(at)
    elif mode == "round_prefer_ceil":
        found = np.floor(at + 0.5)
    else:
        found = np.ceil(at - 0.5)
    clipped: Array = np.clip(found, 0, size - 1).astype(np.int64)
    return clipped


def _linear(at: Array, size: int, node: Node) -> Array:
    """Return (new, old): the shares of old values in new ones."""
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(int)
    high, share = np.minimum(low + 1, size - 1), at - low
    return _shares(size, [(low, 1 - share), (high, share)])


def _cubic(at: Array, size: int, node: Node) -> Array:
    a = node.get("cubic_coeff_a", -0.75)
    low = np.floor(at).astype(int)
    t = at - low
    one, two = 1 + t, 2 - t
    weights = (
        a * one**3 - 5 * a * one**2 + 8 * a * one - 4 * a,
        (a + 2) * t**3 - (a + 3) * t**2 + 1,
        (a + 2) * (1 - t) ** 3 - (a + 3) * (1 - t) ** 2 + 1,
        a * two**3 - 5 * a * two**2 + 8 * a * two - 4 * a,
    )
    return _shares(size, [(np.clip(low + k - 1, 0, size - 1), weight) for k, weight in enumerate(weights)])


def _shares(size: int, parts: Any) -> Array:
    found = np.zeros((len(parts[0][0]), size))
    for places, weight in parts:
        np.add.at(found, (np.arange(len(places)), places), weight)
    return found.astype(np.float32)


def _mixed(b: Building, node: Node, x: Any, rows: Array, columns: Array) -> Any:
    """Return maps whose rows and columns are sums of old ones: (H, h) times (h, w c), then (W, w) times (w, c)."""
    layers, shape = env.keras().layers, tuple(x.shape)
    if len(rows) != shape[1] or not np.array_equal(rows, np.eye(len(rows))):
        flat = b.layer(node, layers.Reshape, x, (shape[1], shape[2] * shape[3]), suffix="flat")
        flat = b.function(node, "matmul", [flat], rows, Placed(0), name="rows")
        x = b.layer(node, layers.Reshape, flat, (len(rows), shape[2], shape[3]), suffix="maps")
    return b.function(node, "matmul", [x], columns, Placed(0), name="columns")


RULES = {"Resize": resize}
