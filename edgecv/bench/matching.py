"""Which operator of a file is a profiler's row the work of? Pure functions of names.

XNNPACK runs the file's operators in the file's order under names of its own, leaves out those that it fused and adds
some of its own; so the best explanation is the alignment in order with the most matches. A match is certain when every
best alignment has it. ONNX Runtime reorders, but derives its names from the file's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Weight of a row whose operator the profiler names: more than any number of guesses.
_KNOWN = 10_000

# XNNPACK's operator to what it can be the work of in a file.
# Source: XNNPACK, src/operators and src/subgraph; TFLite's XNNPACK delegate, xnnpack_delegate.cc.
_XNNPACK: dict[str, tuple[str, ...]] = {
    "fullyconnected": ("FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL"),
    "dynamicfullyconnected": ("FULLY_CONNECTED", "BATCH_MATMUL"),
    "convolution": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "deconvolution": ("TRANSPOSE_CONV",),
    "averagepooling": ("AVERAGE_POOL_2D", "MEAN"),
    "globalaveragepooling": ("MEAN", "AVERAGE_POOL_2D"),
    "maxpooling": ("MAX_POOL_2D",),
    "argmaxpooling": ("ARG_MAX",),
    "mean": ("MEAN",),
    "sum": ("SUM",),
    "reduce": ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"),
    "staticreshape": ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
    "copy": ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PACK", "UNPACK", "CONCATENATION", "SPLIT", "STRIDED_SLICE", "SLICE"),
    "constantpad": ("PAD", "PADV2"),
    "slice": ("STRIDED_SLICE", "SLICE", "SPLIT"),
    "clamp": ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"),
    "prelu": ("PRELU",),
    "leakyrelu": ("LEAKY_RELU",),
    "sigmoid": ("LOGISTIC",),
    "hardswish": ("HARD_SWISH",),
    "add": ("ADD",),
    "subtract": ("SUB",),
    "multiply": ("MUL",),
    "divide": ("DIV",),
    "squareddifference": ("SQUARED_DIFFERENCE",),
    "concatenate": ("CONCATENATION",),
    "convert": ("QUANTIZE", "DEQUANTIZE", "CAST"),
    "resizebilinear": ("RESIZE_BILINEAR",),
    "depthtospace": ("DEPTH_TO_SPACE",),
    "spacetodepth": ("SPACE_TO_DEPTH",),
    "batchmatrixmultiply": ("BATCH_MATMUL", "FULLY_CONNECTED"),
    "square": ("SQUARE",),
    "squareroot": ("SQRT",),
    "reciprocalsquareroot": ("RSQRT",),
    "negate": ("NEG",),
    "absolutevalue": ("ABS",),
    "abs": ("ABS",),
    "sine": ("SIN",),
    "cosine": ("COS",),
    "ceiling": ("CEIL",),
    "bankersrounding": ("ROUND",),
    # A table of 256 results in the place of a chain of operators of one value each.
    "invalidunaryop": ("ADD", "SUB", "MUL", "DIV", "LOGISTIC", "TANH", "HARD_SWISH", "ELU", "QUANTIZE", "LEAKY_RELU"),
}
_DEPTHWISE = "dwconv"
_SUFFIXES = re.compile(r"^(fused )|(_nchwc|_token_\d+|_quant|_nhwc|_transformed)+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The operator that a row is the work of; None when it is nobody's or unknown."""

    index: int | None
    certain: bool


def fits(name: str, op: str) -> bool:
    """Say whether a profiler's row called `name` can be the work of a TFLite operator `op`."""
    if _plain(name) == _plain(op):
        return True
    kind = _plain(name.partition("(")[0])
    if kind == "convolution":
        return op == ("DEPTHWISE_CONV_2D" if _DEPTHWISE in name.lower() else "CONV_2D")
    return op in _XNNPACK.get(kind, ()) or kind == _plain(op)


def in_order(names: Sequence[str], known: Sequence[int | None], ops: Sequence[str]) -> tuple[Match, ...]:
    """Align a profile with a file's operators, both in order of execution.

    Args:
        names: One per row of the profile.
        known: The operator's position where the profiler says it, else None.
        ops: The file's operators.
    """
    weights = _weights(names, known, ops)
    head, tail = _best(weights), _best(weights[::-1, ::-1])[::-1, ::-1]
    found: list[Match] = []
    last = -1
    for row in range(len(names)):
        match = _match(row, weights, head, tail, known[row] is not None, last)
        last = last if match.index is None else match.index
        found.append(match)
    return tuple(found)


def by_name(rows: Sequence[str], nodes: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[Match, ...]:
    """Match rows with nodes of an ONNX file by the names that ONNX Runtime derives.

    Args:
        rows: Node names of the profile.
        nodes: Name and outputs of each node of the file. A fused node is called after the last node's output.
    """
    named = {name: index for index, (name, _) in enumerate(nodes) if name}
    made = {output: index for index, (_, outputs) in enumerate(nodes) for output in outputs}
    found = []
    for row in rows:
        plain = _SUFFIXES.sub("", _SUFFIXES.sub("", row))
        index = next((table[name] for name in (row, plain) for table in (named, made) if name in table), None)
        found.append(Match(index=index, certain=index is not None))
    return tuple(found)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _weights(names: Sequence[str], known: Sequence[int | None], ops: Sequence[str]) -> npt.NDArray[np.int64]:
    weights = np.zeros((len(names), len(ops)), np.int64)
    for row, (name, index) in enumerate(zip(names, known, strict=True)):
        if index is not None:
            if 0 <= index < len(ops):
                weights[row, index] = _KNOWN
            continue
        weights[row] = [fits(name, op) for op in ops]
    return weights


def _best(weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return, for each pair of prefix lengths, the most weight that an alignment in order has."""
    rows, columns = weights.shape
    best = np.zeros((rows + 1, columns + 1), np.int64)
    for row in range(rows):
        taken = best[row, :-1] + np.where(weights[row] > 0, weights[row], -1)
        best[row + 1, 1:] = np.maximum.accumulate(np.maximum(best[row, 1:], taken))
    return best


def _match(
    row: int,
    weights: npt.NDArray[np.int64],
    head: npt.NDArray[np.int64],
    tail: npt.NDArray[np.int64],
    known: bool,
    last: int,
) -> Match:
    """Match one row, given the operator that the row before it was matched with."""
    total = head[-1, -1]
    through = head[row, :-1] + weights[row] + tail[row + 1, 1:]
    possible = np.flatnonzero((weights[row] > 0) & (through == total))
    unmatched = bool((head[row] + tail[row + 1] == total).any())
    if possible.size == 0:
        return Match(index=None, certain=True)
    # Where several alignments are equally good, the earliest: work that XNNPACK adds follows what it belongs to.
    index = next((int(column) for column in possible if column > last), None)
    return Match(index=index, certain=known or (possible.size == 1 and not unmatched))
