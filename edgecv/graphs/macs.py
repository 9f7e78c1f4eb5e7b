"""Multiply-accumulates of the operators of a .tflite."""

from __future__ import annotations

import math

from edgecv.graphs.ir import Graph, Op

_FILTER_AXES = {"CONV_2D": (1, 2, 3), "DEPTHWISE_CONV_2D": (1, 2), "CONV_3D": (0, 1, 2, 3), "FULLY_CONNECTED": (1,)}
"""Axes of the weights that one value of the output is summed over.
Source: TFLite's layouts: OHWI, 1HWC, DHWIO, OI."""


def macs(graph: Graph, op: Op) -> int:
    """Return the multiply-accumulates of an operator with weights, or of a product of two matrices; 0 for others.

    Args:
        graph: Of a .tflite, with static shapes.
        op: One of its operators.
    """
    tensors = graph.inputs_of(op)
    made = graph.tensors[op.outputs[0]].elements if op.outputs else 0
    if op.op in _FILTER_AXES:
        return made * math.prod(tensors[1].shape[axis] for axis in _FILTER_AXES[op.op])
    if op.op == "TRANSPOSE_CONV":
        return tensors[2].elements * math.prod(tensors[1].shape[:3])
    if op.op == "BATCH_MATMUL":
        return made * tensors[0].shape[-2 if op.options.get("adj_x") else -1]
    return 0
