"""Activations of an int8 QDQ graph as uint8: the same numbers, and the kernels that x86 processors have.

A value `q` with zero point `z` says the same as `q + 128` with `z + 128`, so no answer changes. ONNX Runtime's CPU
fuses DequantizeLinear, operator and QuantizeLinear into one integer kernel for unsigned activations on every
processor, and for signed ones on Arm only; elsewhere it computes much of a signed graph in float.
Source: ONNX Runtime, `QDQIsInt8Allowed` in optimizer/qdq_transformer/selectors_actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.core.optional import require

ANY_TYPE = frozenset(
    {"Concat", "DepthToSpace", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "SpaceToDepth", "Split",
     "Squeeze", "Transpose", "Unsqueeze"}
)  # fmt: skip
"""Operators that hand quantised values on as they are, whatever their type."""

CONVERSIONS = ("QuantizeLinear", "DequantizeLinear")
OFFSET = 128


def with_unsigned_activations(proto: Any) -> None:
    """Change a graph in place: int8 activations become uint8; weights, inputs and outputs keep their types.

    What hangs together with an input or output of the graph, or goes through an operator that is not known to hand
    values on, stays signed.
    """
    graph = proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    fixed = constants.keys() | {value.name for value in (*graph.input, *graph.output)}
    groups = _Groups()
    for node in graph.node:
        if node.op_type in CONVERSIONS:
            groups.join([_quantised(node)])
        elif node.op_type in ANY_TYPE:
            groups.join([*(node.input if node.op_type == "Concat" else node.input[:1]), *node.output])
        else:
            groups.close({*node.input, *node.output})
    groups.close(fixed)
    for node in (node for node in graph.node if node.op_type in CONVERSIONS):
        if groups.free(_quantised(node)) and _is_signed(node, constants):
            node.input[2] = _shifted(graph, constants, node.input[2])
    _forget_unread(graph)


class _Groups:
    """Tensors that must have one type, because operators hand values on from one to the other."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._closed: set[str] = set()
        self._fixed: set[str] = set()

    def join(self, names: list[str]) -> None:
        """Tie tensors to each other."""
        for name in names:
            self._parent[self._root(name)] = self._root(names[0])

    def close(self, names: set[str]) -> None:
        """Fix the type of tensors, and of all that are tied to them."""
        self._closed |= names

    def free(self, name: str) -> bool:
        """Say whether a tensor's type may change, once all are joined."""
        if not self._fixed:
            self._fixed = {self._root(closed) for closed in self._closed}
        return self._root(name) not in self._fixed

    def _root(self, name: str) -> str:
        parent = self._parent.setdefault(name, name)
        while parent != self._parent[parent]:
            parent = self._parent[parent]
        self._parent[name] = parent
        return parent


def _quantised(node: Any) -> str:
    """Return the integer tensor of a QuantizeLinear or DequantizeLinear."""
    return str(node.output[0] if node.op_type == "QuantizeLinear" else node.input[0])


def _is_signed(node: Any, constants: dict[str, Any]) -> bool:
    onnx = require("onnx", why="to write ONNX files")
    if len(node.input) < 3 or node.input[2] not in constants:
        return False
    return bool(constants[node.input[2]].data_type == onnx.TensorProto.INT8)


def _shifted(graph: Any, constants: dict[str, Any], name: str) -> str:
    """Return the zero point's unsigned twin, which is added to the graph where it is not there yet."""
    onnx = require("onnx", why="to write ONNX files")
    twin = f"{name}_unsigned"
    if twin not in constants:
        value = onnx.numpy_helper.to_array(constants[name]).astype(np.int16) + OFFSET
        graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.uint8), twin))
        constants[twin] = graph.initializer[-1]
    return twin


def _forget_unread(graph: Any) -> None:
    """Drop what was inferred of types, and zero points that nothing reads any more."""
    del graph.value_info[:]
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)
