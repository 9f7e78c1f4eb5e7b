"""Ranges of activations that XNNPACK's int8 sums take: see `edgecv.graphs.scale_limits`.

Scales that they do not take come of a branch that says next to nothing beside the other, or of two branches that cancel
out. What a wider range loses of such a branch is less than one step of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgecv.graphs import read_tflite
from edgecv.graphs.ir import Op
from edgecv.graphs.scale_limits import LARGEST, SMALLEST, SUMS

Range = tuple[float, float]

MARGIN = 1.01
"""The quantiser moves a range a little, so that zero is one of its steps."""


def within_limits(data: bytes, ranges: Mapping[int, Range]) -> dict[int, Range]:
    """Return the ranges, wider where a sum's kernel would not take them.

    An input is widened only when nothing but sums reads it: what else does would lose steps that it needs. The output's
    range is widened when the inputs nearly cancel out.

    Args:
        data: The float .tflite.
        ranges: Of its activations by tensor index.
    """
    graph, found = read_tflite(data), dict(ranges)
    readers: dict[int, set[str]] = {}
    for op in graph.ops:
        for index in op.inputs:
            readers.setdefault(index, set()).add(op.op)
    for index in graph.outputs:
        readers.setdefault(index, set()).add("")
    for op in graph.ops:
        if op.op in SUMS and len(op.inputs) == 2:
            _widen(op, found, readers)
    return found


def _widen(op: Op, found: dict[int, Range], readers: Mapping[int, set[str]]) -> None:
    (out,), inputs = op.outputs, [index for index in op.inputs if index in found]
    if out not in found:
        return
    widest = max((_width(found[index]) for index in inputs), default=0.0)
    found[out] = _at_least(found[out], MARGIN * widest / LARGEST)
    for index in inputs:
        if readers[index] <= set(SUMS):
            found[index] = _at_least(found[index], MARGIN * SMALLEST * _width(found[out]))


def _width(range_: Range) -> float:
    return range_[1] - range_[0]


def _at_least(range_: Range, width: float) -> Range:
    """Return a range that is at least so wide, with its zero at the same share of it."""
    low, high = range_
    own = high - low
    if own >= width:
        return range_
    if own == 0:
        return (-width / 2, width / 2)
    return (low * width / own, high * width / own)
