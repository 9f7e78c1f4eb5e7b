"""Weights with zero points of their own, which ONNX Runtime needs to sum int8 products exactly on every processor.

Converters share one tensor of zeros between all weights of as many channels. On x86 without VNNI, ONNX Runtime told to
be exact (`edgecv.runtime.engines.onnx.exact_session`) makes unsigned twins of a weight and of its zero point, named
after them, and fails when it meets a zero point a second time.
Source: ONNX Runtime, optimizer/qdq_transformer/avx2_weight_s8_to_u8.cc.
"""

from __future__ import annotations

from typing import Any

from edgecv.core.optional import require


def with_own_zero_points(proto: Any) -> None:
    """Change a graph in place: no two int8 weights share the tensor of their zero points."""
    onnx = require("onnx", why="to write ONNX files")
    graph, taken = proto.graph, set[str]()
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for place, node in enumerate(graph.node):
        if node.op_type != "DequantizeLinear" or len(node.input) < 3 or node.input[0] not in constants:
            continue
        shared = node.input[2]
        if constants[node.input[0]].data_type != onnx.TensorProto.INT8 or shared not in constants:
            continue
        if shared in taken:
            own = graph.initializer.add()
            own.CopyFrom(constants[shared])
            own.name = node.input[2] = f"{shared}_own_{place}"
        taken.add(shared)
