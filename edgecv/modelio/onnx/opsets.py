"""Older forms of operators in the newest one: what was an attribute becomes an input.

Source: the version histories in ONNX's Operators.md and Changelog.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.modelio.onnx.net import Net, Node

AXES = frozenset({
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare", "Squeeze", "Unsqueeze",
})  # fmt: skip
INPUTS: dict[str, tuple[tuple[str, type], ...]] = {
    "Slice": (("starts", np.int64), ("ends", np.int64), ("axes", np.int64)),
    "Clip": (("min", np.float32), ("max", np.float32)),
    "Pad": (("pads", np.int64), ("value", np.float32)),
    "Split": (("split", np.int64),),
    "Upsample": (("scales", np.float32),),
    "TopK": (("k", np.int64),),
}
"""Operator to the attributes that became inputs, in their order behind the first."""
FLATTENING = frozenset({"Softmax", "LogSoftmax", "Hardmax"})
PLAIN = 13
"""Operator set from which a softmax is over one axis; before, over all from an axis on."""


def modernise(net: Net) -> None:
    """Bring the nodes of a net into the newest form. Changes it in place."""
    for node in net.nodes:
        if node.op in AXES and "axes" in node.attributes:
            _as_input(net, node, 1, "axes", np.int64)
        for place, (key, kind) in enumerate(INPUTS.get(node.op, ()), start=1):
            if key in node.attributes:
                _as_input(net, node, place, key, kind)
        if node.op == "Upsample":
            node.op = "Resize"
            node.inputs = [node.inputs[0], "", node.inputs[1]]
            node.attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        elif node.op == "Resize" and len(node.inputs) == 2:  # of operator set 10
            node.inputs = [node.inputs[0], "", node.inputs[1]]
            node.attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        elif node.op in FLATTENING:
            node.attributes.setdefault("axis", -1 if net.opset >= PLAIN else 1)
            if net.opset < PLAIN:
                node.attributes["flattening"] = 1
        elif node.op == "Sum" or (node.op in ("Max", "Min", "Mean") and len(node.inputs) > 1):
            node.op = {"Sum": "Add"}.get(node.op, node.op)


def _as_input(net: Net, node: Node, place: int, key: str, kind: Any) -> None:
    name = f"{node.outputs[0]}:{key}"
    value = np.asarray(node.attributes.pop(key), kind)
    net.constants[name] = value
    net.shapes[name], net.dtypes[name] = value.shape, value.dtype.name
    node.inputs += [""] * (place + 1 - len(node.inputs))
    node.inputs[place] = name
