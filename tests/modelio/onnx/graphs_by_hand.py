"""Small ONNX graphs, written node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Branches:
    """Graphs that take the same inputs, as one: every branch is an output.

    Args:
        inputs: Name to shape.
        opset: Of the operators.
    """

    def __init__(self, inputs: Mapping[str, Sequence[Any]], opset: int = 17) -> None:
        self.inputs, self.opset = dict(inputs), opset
        self.nodes: list[Any] = []
        self.held: dict[str, Array] = {}
        self.outputs: list[str] = []
        self.rng = np.random.default_rng(0)

    def hold(self, values: Any, dtype: Any = None) -> str:
        """Keep a constant and return its name."""
        name = f"c{len(self.held)}"
        array = np.asarray(values)
        self.held[name] = array.astype(dtype or (np.int64 if array.dtype.kind in "iu" else np.float32))
        return name

    def random(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        return self.hold(self.rng.uniform(low, high, shape))

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or the names."""
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def ends(self, *names: str) -> None:
        """Make tensors outputs."""
        self.outputs += names

    def model(self) -> Any:
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in self.inputs.items()]
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in self.outputs]
        held = [numpy_helper.from_array(array, name) for name, array in self.held.items()]
        graph = helper.make_graph(self.nodes, "graph", values, outputs, held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def written(self, path: Path) -> Path:
        onnx.save(self.model(), path)
        return path
