"""Scales that XNNPACK's int8 arithmetic takes.

XNNPACK adds and subtracts int8 values only when the scale of each input is at least 2^-10 and less than 2^8 times that
of the output, and multiplies when the product of the inputs' scales is at least 2^-16 and less than 2^8 times it. It
leaves other operators to TensorFlow Lite's own kernels, which take many times as long.

Source: TensorFlow Lite, delegates/xnnpack/xnnpack_delegate.cc, VisitAddNode, VisitSubNode and VisitMulNode.
"""

from __future__ import annotations

from edgecv.graphs.ir import Graph, Op

SUMS = ("ADD", "SUB")
SMALLEST, LARGEST = 2.0**-10, 2.0**8
"""Of an input's scale over the output's, in a sum."""
SMALLEST_PRODUCT = 2.0**-16
"""Of the product of the inputs' scales over the output's, in a product; at most `LARGEST` too."""


def refused(graph: Graph, op: Op) -> str:
    """Say why XNNPACK leaves an int8 operator, as far as its scales are the cause; "" where they are not."""
    scales = [_scale(graph, index) for index in (*op.inputs[:2], op.outputs[0])]
    first, second, out = (*scales, None, None)[:3]
    if op.op not in (*SUMS, "MUL") or first is None or second is None or out is None:
        return ""
    if op.op == "MUL":
        share = first * second / out
        if SMALLEST_PRODUCT <= share < LARGEST:
            return ""
        limits = f"{SMALLEST_PRODUCT:.3g} to {LARGEST:g}"
        return f"the product of its inputs' scales is {share:.3g} times the output's, outside {limits}"
    shares = [scale / out for scale in (first, second) if not SMALLEST <= scale / out < LARGEST]
    if not shares:
        return ""
    return f"an input's scale is {shares[0]:.3g} times the output's, outside {SMALLEST:.3g} to {LARGEST:g}"


def _scale(graph: Graph, index: int) -> float | None:
    tensor = graph.tensors[index] if index >= 0 else None
    return tensor.scales[0] if tensor is not None and tensor.dtype in ("int8", "uint8") and tensor.scales else None
