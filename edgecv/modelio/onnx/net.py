"""An ONNX graph while it is read: nodes, constants, and what is known of every tensor. Pure Python and numpy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecv.core.errors import EdgecvError

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class Refused(EdgecvError):
    """A node cannot be imported; the message is the reason, without the node's name."""


@dataclass(slots=True)
class Node:
    """One operator.

    Attributes:
        op: "Conv"; of patterns that stand for several nodes a name of ours: "Silu".
        inputs: Names of tensors, "" for an optional one left out.
        outputs: Likewise.
        attributes: Plain values; tensors as arrays.
        name: In the file, else made of the operator and its place.
        scope: The module of PyTorch's that it is of, where the file says so: "layer1.0.relu".
    """

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    name: str
    scope: str = ""

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute."""
        return self.attributes.get(key, default)


@dataclass(slots=True)
class Net:
    """A graph.

    Attributes:
        nodes: In the order of execution.
        constants: Name to values.
        shapes: Of every tensor, for one image.
        dtypes: numpy names.
        inputs: Names of what is fed.
        outputs: Names of what is given.
        opset: Of the standard operators.
    """

    nodes: list[Node]
    constants: dict[str, Array]
    shapes: dict[str, Shape]
    dtypes: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int

    def producers(self) -> dict[str, Node]:
        """Return the node that gives each tensor."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def consumers(self) -> dict[str, list[Node]]:
        """Return the nodes that take each tensor; a node that takes it twice is there once."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    found.setdefault(name, []).append(node)
        return found

    def constant(self, node: Node, place: int) -> Array | None:
        """Return the values of an input of a node; None when it is no constant or is left out."""
        return self.constants.get(node.inputs[place]) if self.has(node, place) else None

    @staticmethod
    def has(node: Node, place: int) -> bool:
        """Say whether a node has an input at a place."""
        return place < len(node.inputs) and bool(node.inputs[place])


@dataclass(slots=True)
class Names:
    """Names of layers: those of the nodes, or of the weights that they hold, without what exporters put around them."""

    taken: set[str] = field(default_factory=set)

    def of(self, node: Node, held: Mapping[str, Array]) -> str:
        """Return the name that a node's layer would like."""
        for name in (one for place, one in enumerate(node.inputs) if place and one in held):
            plain, _, kind = name.rpartition(".")
            if kind in _OF_WEIGHTS and plain and ":" not in plain:
                return cleaned(plain.removesuffix("._"))
        title = cleaned(node.scope or _scoped(node.name)) or node.op.lower()
        return f"{title}.{node.op.lower()}" if node.op in _PARTS and title != cleaned(node.name) else title

    def unique(self, name: str) -> str:
        """Return a name that no layer has yet, and take it."""
        free, count = name, 1
        while free in self.taken:
            count += 1
            free = f"{name}_{count}"
        self.taken.add(free)
        return free


_OF_WEIGHTS = frozenset({"weight", "bias", "gamma", "beta", "running_mean", "w_0", "kernel"})


_PARTS = frozenset({
    "Add", "Concat", "Div", "Expand", "Gather", "MatMul", "Mul", "Pad", "Pow", "ReduceMean", "ReduceSum", "Reshape",
    "Resize", "Slice", "Softmax", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
})  # fmt: skip
"""Operators that are a step of a module rather than a module: their layers say so behind its name."""


def cleaned(name: str) -> str:
    """Return a name as a layer may have it: letters, digits, dots, dashes and underscores."""
    return re.sub(r"^[^A-Za-z0-9]+", "", re.sub(r"[^A-Za-z0-9_.-]+", "_", name.split(";")[0])).strip("_")


def _scoped(name: str) -> str:
    """Return "layer1.0.conv1" for PyTorch's "/layer1/layer1.0/conv1/Conv"."""
    if not name.startswith("/"):
        return name.removeprefix("node_")
    parts: list[str] = []
    for part in name.strip("/").split("/"):
        inside = bool(parts) and part.startswith(f"{parts[-1]}.")
        parts[len(parts) - inside :] = [part]
    if len(parts) > 1 and re.fullmatch(r"[A-Z][A-Za-z0-9]*(_\d+)?", parts[-1]):
        parts.pop()
    return ".".join(parts)
