"""What the weights in a file hold of pruning and clustering: counted in the file, after all rounding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.compress.cluster import gzip_bytes
from edgecv.graphs import constant, read_tflite

Array = np.ndarray[Any, Any]

CHANNEL_FIRST = frozenset({"CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Operators with kernels that pruning and clustering touch; their weights have the output channel first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldWeights:
    """The kernels of a file's convolutions and dense layers, depthwise ones left out, as they are stored.

    Attributes:
        zeros: Share of weights equal to 0, 0..1.
        values_per_channel: Most different values in one output channel of one kernel.
        values_per_kernel: Most different values in one kernel; scales for each channel make this the larger one.
        gzip_bytes: Of the whole file, after gzip.
        patterned: Kernels in which every block of consecutive input channels has the zeros that were asked about.
    """

    zeros: float
    values_per_channel: int
    values_per_kernel: int
    gzip_bytes: int
    patterned: int


def held_weights(path: Path, *, pattern: tuple[int, int] = (2, 4)) -> HeldWeights:
    """Count the weights of a `.tflite`.

    Args:
        path: The file.
        pattern: (zeros, of so many consecutive input channels).

    Raises:
        UnsupportedModelError: It is no TFLite file.
    """
    kernels = _kernels(path)
    size = sum(kernel.size for kernel in kernels)
    return HeldWeights(
        zeros=sum(int(np.sum(kernel == 0)) for kernel in kernels) / size if size else 0.0,
        values_per_channel=max((len(np.unique(row)) for kernel in kernels for row in kernel), default=0),
        values_per_kernel=max((len(np.unique(kernel)) for kernel in kernels), default=0),
        gzip_bytes=gzip_bytes(path.read_bytes()),
        patterned=sum(_has(kernel, *pattern) for kernel in kernels),
    )


def _kernels(path: Path) -> list[Array]:
    graph = read_tflite(path)
    sparse = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.op == "DENSIFY"}
    found: dict[int, Array] = {}
    for op in graph.ops:
        if op.op in CHANNEL_FIRST:
            index = sparse.get(op.inputs[1], op.inputs[1])
            if graph.tensors[index].is_constant:
                found[index] = constant(graph, index)
    return list(found.values())


def _has(kernel: Array, zeros: int, block: int) -> bool:
    """Say whether a kernel's input channels fill blocks, each with its zeros."""
    return kernel.shape[-1] % block == 0 and bool(((kernel.reshape(-1, block) == 0).sum(axis=1) >= zeros).all())
