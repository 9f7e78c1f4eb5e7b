"""Steps of int8 weights of which every tap is a whole number: filters keep their integers, and sums of zero stay zero.

Quantisers take the step from the largest tap alone: a Laplacian's -4 becomes -127, its ones 31.75, stored as 32, and a
kernel that gave even areas 0 gives them 1/32 of their brightness. With the step 4/124 the taps are 31 and -124. Kernels
whose taps are whole multiples of one number get the smallest step that holds all of them exactly; no trained kernel is
such, but for those whose taps are all of one size, which are exact on any step.

The output's scale stays as it is, and so does the meaning of all other tensors: kernels of interpreters multiply the
integers by input scale x weight scale / output scale, which they work out from the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.convert.check.stays_float import CONVERSIONS
from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.mixed import WEIGHTED, bias_place, store
from edgecv.graphs import Graph, Op, constant, read_tflite

Array = np.ndarray[Any, Any]
TOP = 127
TOLERANCE = 1e-6
"""Of the largest tap: what float32 leaves of 1/9, and far below the distance of taps that mean to differ."""
LOOKED_AT = 8
"""Taps of a channel that are tried first: those of trained kernels fail at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactness:
    """What a file's integers are to the float weights.

    Attributes:
        data: The file.
        changed: Operators whose steps were chosen here, by the index of the float file's.
        inexact: Operators with an int8 kernel of which some tap is rounded, likewise.
        unbalanced: Those of them whose taps sum to zero in float and not in integers, likewise.
    """

    data: bytes
    changed: tuple[int, ...]
    inexact: tuple[int, ...]
    unbalanced: tuple[int, ...]


def with_exact_scales(data: bytes, source: bytes) -> Exactness:
    """Return a quantised file with exact steps wherever there are some.

    Args:
        data: With int8 weights.
        source: The float .tflite that it was made from, of the same operators.
    """
    graph, plain = read_tflite(data), read_tflite(source)
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    changed, inexact, unbalanced, seen = list[int](), list[int](), list[int](), dict[int, bool]()
    for op, twin in _pairs(graph, plain):
        weights = model.subgraphs[0].tensors[op.inputs[1]]
        if weights.type != generated.TensorType.INT8 or not plain.tensors[twin.inputs[1]].is_constant:
            continue
        kernel = constant(plain, twin.inputs[1]).astype(np.float64)
        axis, before = int(weights.quantization.quantizedDimension), np.array(weights.quantization.scale, np.float64)
        rows, stored = (_by_channel(x, axis, len(before)) for x in (kernel, constant(graph, op.inputs[1])))
        # A layer that is called twice has its weights once, and a bias for each call.
        if op.inputs[1] not in seen:
            scales, integers = _chosen(rows, stored, before)
            seen[op.inputs[1]] = bool((scales != before).any())
            if seen[op.inputs[1]]:
                weights.quantization.scale = scales.astype(np.float32)
                store(model, weights, _as_stored(integers, kernel.shape, axis).astype(np.int8))
        else:
            scales, integers = before, stored
        if seen[op.inputs[1]]:
            _rescale_bias(model, op, twin, plain)
            changed.append(twin.index)
        if not _exact(rows, integers, scales).all():
            inexact.append(twin.index)
        if _lost_zero_sum(rows, integers):
            unbalanced.append(twin.index)
    found = flatbuffer.pack(model) if changed else data
    return Exactness(data=found, changed=tuple(changed), inexact=tuple(inexact), unbalanced=tuple(unbalanced))


def exact_top(taps: Array) -> int:
    """Return the smallest whole number, 1..127, that the largest tap can be with all taps whole; 0 where none is.

    Args:
        taps: (n,), not all 0.
    """
    size = np.abs(taps)
    peak = float(size.max())
    first = taps[np.unique(np.linspace(0, len(taps) - 1, LOOKED_AT).astype(int))]
    tops = np.arange(1, TOP + 1)
    for top in tops[_whole(first / peak, tops)]:
        if _whole(taps / peak, np.array([top]))[0]:
            return int(top)
    return 0


def _whole(shares: Array, tops: Array) -> Array:
    """Say for each top whether all shares of the peak are whole numbers of it."""
    steps = shares[None, :] * tops[:, None]
    found: Array = (np.abs(steps - np.rint(steps)) <= TOLERANCE * tops[:, None]).all(axis=1)
    return found


def _pairs(graph: Graph, plain: Graph) -> Sequence[tuple[Op, Op]]:
    """Return the operators with a kernel of both files; none where the quantiser made other operators."""
    ours = [op for op in graph.ops if op.op not in CONVERSIONS]
    if [op.op for op in ours] != [op.op for op in plain.ops]:
        return []
    return [(op, twin) for op, twin in zip(ours, plain.ops, strict=True) if op.op in WEIGHTED]


def _by_channel(kernel: Array, axis: int, scales: int) -> Array:
    """Return a kernel as (scales, taps)."""
    return np.moveaxis(kernel, axis, 0).reshape(scales, -1) if scales > 1 else kernel.reshape(1, -1)


def _as_stored(rows: Array, shape: tuple[int, ...], axis: int) -> Array:
    if len(rows) == 1:
        return rows.reshape(shape)
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.moveaxis(rows.reshape(moved), 0, axis)


def _chosen(rows: Array, stored: Array, scales: Array) -> tuple[Array, Array]:
    """Return scales and integers, exact ones in channels that have some and whose taps are rounded."""
    scales, integers = scales.copy(), stored.astype(np.int64)
    peaks = np.abs(rows).max(axis=1)
    # Steps that were enlarged hold a bias that would not fit otherwise.
    usual = scales <= peaks / TOP * (1 + 1e-5)
    for channel in np.flatnonzero(~_exact(rows, integers, scales) & usual):
        top = exact_top(rows[channel])
        if top:
            multiple = TOP // top
            scales[channel] = peaks[channel] / (top * multiple)
            integers[channel] = np.rint(rows[channel] / peaks[channel] * top).astype(np.int64) * multiple
    return scales, integers


def _exact(rows: Array, integers: Array, scales: Array) -> Array:
    """Say for each channel whether its integers are its taps."""
    apart = np.abs(integers * scales[:, None] - rows).max(axis=1)
    found: Array = apart <= TOLERANCE * np.abs(rows).max(axis=1)
    return found


def _lost_zero_sum(rows: Array, integers: Array) -> bool:
    balanced = np.abs(rows.sum(axis=1)) <= TOLERANCE * np.abs(rows).max(axis=1)
    return bool((balanced & (integers.sum(axis=1) != 0) & rows.any(axis=1)).any())


def _rescale_bias(model: Any, op: Op, twin: Op, plain: Graph) -> None:
    """Store the bias of an operator in the steps of its new weights."""
    place = bias_place(op)
    if place is None:
        return
    tensors = model.subgraphs[0].tensors
    values, weights, bias = (tensors[op.inputs[index]] for index in (place.values, 1, place.bias))
    if bias.quantization is None or bias.quantization.scale is None:
        return
    kind = np.int64 if bias.type == flatbuffer.schema().TensorType.INT64 else np.int32
    before = np.frombuffer(np.asarray(model.buffers[bias.buffer].data, np.uint8).tobytes(), kind)
    other = bias_place(twin)
    real = before * np.asarray(bias.quantization.scale, np.float64)
    if other is not None and plain.tensors[twin.inputs[other.bias]].is_constant:
        real = constant(plain, twin.inputs[other.bias]).astype(np.float64).reshape(-1)
    scale = np.asarray(weights.quantization.scale, np.float32) * np.float32(values.quantization.scale[0])
    bias.quantization.scale = scale
    store(model, bias, np.rint(real / scale.astype(np.float64)).astype(kind))
