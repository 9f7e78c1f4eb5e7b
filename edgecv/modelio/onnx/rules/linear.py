"""Matrix products.

Source: Gemm and MatMul in ONNX's Operators.md.
"""

from __future__ import annotations

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Placed, Value
from edgecv.modelio.onnx.layout import identity
from edgecv.modelio.onnx.net import Node, Refused


def dense(b: Building, node: Node) -> Value:
    """Return a product with a constant matrix, along whatever axis is last in ONNX; the others lie as they do."""
    kernel, bias = b.fixed(node, 1, "matrix").astype(np.float32), b.constant(node, 2)
    found, name = b.values.get(node.inputs[0]), node.inputs[0]
    if found is not None and found.order is not None:
        kernel, perm, x = kernel[found.order], found.perm, found.tensor
    else:
        found = b.with_last(name, -1)
        perm, x = found.perm, found.tensor
    held = [] if bias is None else [np.broadcast_to(bias.reshape(-1), (kernel.shape[1],))]
    layer = env.keras().layers.Dense
    return Value(b.layer(node, layer, x, kernel.shape[1], use_bias=bool(held), weights=[kernel, *held]), perm)


def gemm(b: Building, node: Node) -> Value:
    """Return a product of two tensors with scales, of which a constant one has become a Dense before."""
    raise Refused("it multiplies tensors that are both computed")


def matmul(b: Building, node: Node) -> Value:
    """Return a product of two tensors, or of a constant and a tensor."""
    ranks = [len(b.shape(name)) for name in node.inputs]
    if min(ranks) < 2 or b.net.dtypes[node.inputs[0]] != "float32":
        raise Refused(f"it multiplies shapes {b.shape(node.inputs[0])} and {b.shape(node.inputs[1])}")
    rank = len(b.shape(node.outputs[0]))
    tensors = [name for name in dict.fromkeys(node.inputs) if name not in b.net.constants]
    for name in tensors:
        if len(b.shape(name)) != rank:
            raise Refused(f"it multiplies shapes {b.shape(node.inputs[0])} and {b.shape(node.inputs[1])}")
    given = [b.lying(name, identity(rank)) for name in tensors]
    arguments = [
        b.net.constants[name] if name in b.net.constants else Placed(tensors.index(name)) for name in node.inputs
    ]
    return Value(b.function(node, "matmul", given, *arguments), identity(rank))


RULES = {"Dense": dense, "Gemm": gemm, "MatMul": matmul}
