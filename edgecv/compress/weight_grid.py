"""Kernels as matrices, and the symmetric integer grid that TFLite stores them on.

Every kernel is seen as (groups, inputs, outputs): a convolution has one group of height x width x channels inputs, a
depthwise one a group per channel. Output channel `g * outputs + m` is column m of group g.

Source: TFLite's 8-bit quantisation specification: weights are symmetric, -127..127, with a scale for each output
channel or one for the tensor, from the largest magnitude.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Call

Array = np.ndarray[Any, Any]

SOLVED_KINDS = frozenset({"Conv2D", "DepthwiseConv2D", "Dense"})
"""Layers whose inputs can be listed as rows of a matrix."""


def solvable(call: Call, shared: frozenset[str]) -> bool:
    """Say whether a call has a kernel of a known form that no other call uses."""
    if call.kind not in SOLVED_KINDS or call.name in shared:
        return False
    return call.kind != "Conv2D" or int(call.layer.get_config().get("groups", 1)) == 1


def largest(bits: int) -> int:
    """Return the largest integer of a narrow symmetric grid: 127 for 8 bits, 7 for 4."""
    return int(2 ** (bits - 1) - 1)


def to_matrix(kind: str, kernel: Array) -> Array:
    """Return a keras kernel as (groups, inputs, outputs)."""
    if kind == "DepthwiseConv2D":
        height, width, channels, multiplier = kernel.shape
        return np.ascontiguousarray(np.moveaxis(kernel, 2, 0).reshape(channels, height * width, multiplier))
    return kernel.reshape(1, -1, kernel.shape[-1])


def from_matrix(kind: str, matrix: Array, shape: tuple[int, ...]) -> Array:
    """Return the keras kernel of a shape: the inverse of `to_matrix`."""
    if kind == "DepthwiseConv2D":
        height, width, channels, multiplier = shape
        return np.ascontiguousarray(np.moveaxis(matrix.reshape(channels, height, width, multiplier), 0, 2))
    return matrix.reshape(shape)


def full_scales(matrix: Array, *, bits: int, per_channel: bool) -> Array:
    """Return the scales (groups, 1, outputs) that just hold the largest magnitude; 1 where all weights are 0."""
    peaks = np.abs(matrix).max(axis=1, keepdims=True) if per_channel else np.full((1, 1, 1), np.abs(matrix).max())
    scales: Array = np.where(peaks > 0, peaks / largest(bits), 1.0).astype(np.float64)
    return np.broadcast_to(scales, (matrix.shape[0], 1, matrix.shape[2]))


def nearest(matrix: Array, scales: Array, *, bits: int) -> Array:
    """Return the nearest integers of the grid, int32 of the matrix's shape; halves to even."""
    top = largest(bits)
    rounded: Array = np.clip(np.rint(matrix / scales), -top, top).astype(np.int32)
    return rounded


def real(integers: Array, scales: Array) -> Array:
    """Return what integers of a grid stand for, float32."""
    values: Array = (integers * scales).astype(np.float32)
    return values
