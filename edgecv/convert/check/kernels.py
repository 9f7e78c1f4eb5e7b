"""What computes the operators of a file in LiteRT: the XNNPACK delegate, or the interpreter's own kernels."""

from __future__ import annotations

from dataclasses import dataclass

from edgecv.core import files
from edgecv.core.optional import require
from edgecv.graphs import read_tflite
from edgecv.graphs.pool_windows import is_window

DELEGATE = "DELEGATE"
WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """Who computes the operators with weights of a file.

    Attributes:
        delegated: Kinds and numbers of operators with weights that XNNPACK computes: {"CONV_2D": 9}.
        own: Those that the interpreter's own kernels compute.
    """

    delegated: dict[str, int]
    own: dict[str, int]


def computed_by(path: files.PathLike) -> Kernels:
    """Load a .tflite in LiteRT with its default delegate and return who took which operators with weights.

    The delegate's node lists the constants of every operator that it took among its inputs.

    Raises:
        MissingDependencyError: LiteRT is not installed.
    """
    graph = read_tflite(path)
    litert = require("ai_edge_litert.interpreter", why="to see which kernels a file runs on")
    interpreter = litert.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    nodes = [node for node in interpreter._get_ops_details() if node["op_name"] == DELEGATE]
    taken = {int(index) for node in nodes for index in node["inputs"]}
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for op in graph.ops:
        weights = [
            i for i in op.inputs[1:2] if i >= 0 and graph.tensors[i].is_constant and graph.tensors[i].elements > 1
        ]
        if weights and op.op in WITH_WEIGHTS and not is_window(graph, weights[0]):
            side = found[0 if weights[0] in taken else 1]
            side[op.op] = side.get(op.op, 0) + 1
    return Kernels(delegated=found[0], own=found[1])
