"""Which tensors are never below zero: zeros may stand around them where a maximum is taken."""

from __future__ import annotations

import numpy as np

from edgecv.modelio.onnx.net import Net, Node


def nonnegative(net: Net) -> frozenset[str]:
    """Return the tensors that are never below zero, whatever is fed."""
    found: set[str] = set()
    for node in net.nodes:
        given = [name in found for name in node.inputs if name and name not in net.constants]
        bound = net.constant(node, 1) if node.op == "Clip" else None
        if (
            node.op in _NEVER_BELOW
            or (node.op in _KEEP_SIGN and given and all(given) and _all_constants_above(net, node))
            or (bound is not None and float(np.min(bound)) >= 0)
        ):
            found.update(node.outputs)
    return frozenset(found)


def _all_constants_above(net: Net, node: Node) -> bool:
    held = [net.constants[name] for name in node.inputs if name in net.constants]
    return node.op not in ("Add", "Mul") or all(float(np.min(one)) >= 0 for one in held if one.size)


_NEVER_BELOW = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softplus", "Softmax", "Exp", "Abs", "Sqrt"})
_KEEP_SIGN = frozenset({
    "Add", "AveragePool", "Concat", "Dropout", "Flatten", "Gather", "GlobalAveragePool", "GlobalMaxPool", "Identity",
    "MaxPool", "Mul", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip
