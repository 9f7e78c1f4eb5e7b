"""Average pools that a file holds as depthwise convolutions with equal weights: see `convert.tflite.xnnpack_forms`."""

from __future__ import annotations

from dataclasses import replace

from edgecv.graphs.ir import Graph, Op

POOL, CONVOLUTION = "AVERAGE_POOL_2D", "DEPTHWISE_CONV_2D"
WINDOW = "/window"
"""End of the name of a pool's equal weights, which are no layer's."""


def is_window(graph: Graph, index: int) -> bool:
    """Say whether a tensor holds a pool's equal weights."""
    return index >= 0 and graph.tensors[index].is_constant and graph.tensors[index].name.endswith(WINDOW)


def as_pool(graph: Graph, op: Op) -> Op:
    """Return the average pool that an operator stands for; any other operator as it is."""
    if op.op != CONVOLUTION or not is_window(graph, op.inputs[1]):
        return op
    return replace(op, op=POOL, inputs=op.inputs[:1])
