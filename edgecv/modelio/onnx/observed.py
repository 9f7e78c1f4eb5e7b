"""What ONNX Runtime says of a graph: shapes and types of every tensor, constants that exporters compute, answers.

With fixed sizes one run tells them all, so nothing here infers shapes or evaluates operators of its own. The run is
native code on a file of unknown origin, so it is done in a process apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.apart import Apart
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.modelio.onnx.net import Array, Net, Node

RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
OF_SHAPES = frozenset({"Shape", "Size"})
"""What they give hangs on shapes alone, which are fixed."""
CONTROL = frozenset({"If", "Loop", "Scan"})
_QUIET = 4


class Runtime:
    """ONNX Runtime with one model, in the child process. No optimisation: every tensor of the file is computed."""

    def __init__(self, model: bytes) -> None:
        runtime = require("onnxruntime", why="to import .onnx files")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 2
        options.log_severity_level = _QUIET
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        # Its exceptions share no base class short of Exception.
        except Exception as error:
            raise UnsupportedModelError(
                f"ONNX Runtime refuses the file: {_first(error)}",
                hint="export it again, with ONNX's own operators and an operator set that this onnxruntime knows",
            ) from error

    def run(
        self, feed: Mapping[str, Array], kept: Sequence[str]
    ) -> tuple[dict[str, tuple[Any, str]], dict[str, Array]]:
        """Return shape and type of each output, and the values of those in `kept`."""
        names = [one.name for one in self._session.get_outputs()]
        try:
            values = dict(zip(names, self._session.run(None, dict(feed)), strict=True))
        except Exception as error:
            raise UnsupportedModelError(f"ONNX Runtime cannot run it: {_first(error)}") from error
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        told = {name: (tuple(int(n) for n in array.shape), array.dtype.name) for name, array in arrays.items()}
        return told, {name: arrays[name] for name in kept if name in arrays}


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:400] if str(error).strip() else type(error).__name__


def observe(model: Any, net: Net, path: Path, fed: Sequence[Mapping[str, Array]]) -> list[list[Array]]:
    """Fill the shapes and types of a net, and make constants of what hangs on no input. Changes `net` in place.

    Args:
        model: The ModelProto behind it, with fixed sizes.
        net: Its nodes that give constants are taken out.
        path: For messages.
        fed: Inputs by name; the first is what shapes are seen with.

    Returns:
        The file's own answers to each, in its order and layout.

    Raises:
        UnsupportedModelError: ONNX Runtime refuses the file or cannot run it.
        CrashError: It crashes, or takes more time or memory than allowed.
    """
    fixed = static(net)
    shown = type(model)()
    shown.CopyFrom(model)
    given = {one.name for one in model.graph.output}
    wanted = [name for node in net.nodes for name in node.outputs if name and name not in given]
    value_info = require("onnx").ValueInfoProto
    shown.graph.output.extend(value_info(name=name) for name in wanted)
    answers = []
    with Apart("edgecv.modelio.onnx.observed:Runtime", shown.SerializeToString(), about=path) as child:
        told, values = child.call("run", dict(fed[0]), sorted(fixed - set(net.constants)))
        for feed in fed:
            _, given_ = child.call("run", dict(feed), list(net.outputs))
            answers.append([given_[name] for name in net.outputs])
    for name, array in {**net.constants, **fed[0]}.items():
        told[name] = (array.shape, array.dtype.name)
    net.constants.update(values)
    net.shapes.update({name: shape for name, (shape, _) in told.items()})
    net.dtypes.update({name: dtype for name, (_, dtype) in told.items()})
    net.nodes[:] = [node for node in net.nodes if not all(name in net.constants for name in node.outputs if name)]
    return answers


def feeds(model: Any, rng: np.random.Generator) -> dict[str, Array]:
    """Return a random input for every input of a model of fixed sizes: 0..1, or bytes."""
    onnx = require("onnx")
    names = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, Array] = {}
    for value in model.graph.input:
        if value.name in names:
            continue
        kind = value.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        if kind.elem_type == onnx.TensorProto.UINT8:
            found[value.name] = rng.integers(0, 256, shape, np.uint8)
        else:
            found[value.name] = rng.random(shape, np.float32)
    return found


def static(net: Net) -> set[str]:
    """Return the tensors that hang on no input."""
    found = set(net.constants)
    for node in net.nodes:
        taken = [name for name in node.inputs if name]
        if node.op in CONTROL:
            taken += sorted(_captured(node) - set(taken))
        steady = node.op in OF_SHAPES or all(name in found for name in taken)
        if steady and node.op not in RANDOM:
            found.update(name for name in node.outputs if name)
    return found


def _captured(node: Node) -> set[str]:
    """Return the names that the graphs inside a node take from outside."""
    graphs = [value for value in node.attributes.values() if hasattr(value, "node")]
    return {name for graph in graphs for name in _free(graph)}


def _free(graph: Any) -> set[str]:
    own = {one.name for one in (*graph.input, *graph.initializer)}
    found: set[str] = set()
    for node in graph.node:
        found |= {name for name in node.input if name and name not in own}
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _free(attribute.g) - own
        own |= set(node.output)
    return found | {one.name for one in graph.output if one.name not in own}


def open_branches(model: Any, path: Path) -> None:
    """Put the branch in place of every If whose condition hangs on no input, in place.

    Exporters write one around a squeeze whose axis may not be 1; with fixed sizes it is decided.
    """
    from edgecv.modelio.onnx.reading import plain_net

    for _ in range(_MOST_IFS):
        if not any(node.op_type == "If" for node in model.graph.node):
            return
        net = plain_net(model, path)
        known = static(net)
        chosen = next((n for n in model.graph.node if n.op_type == "If" and n.input[0] in known), None)
        if chosen is None:
            return
        _open(model, chosen, bool(np.all(_condition(model, net, chosen.input[0], path))))


_MOST_IFS = 64


def _condition(model: Any, net: Net, name: str, path: Path) -> Array:
    if name in net.constants:
        return net.constants[name]
    shown = type(model)()
    shown.CopyFrom(model)
    shown.graph.output.append(require("onnx").ValueInfoProto(name=name))
    with Apart("edgecv.modelio.onnx.observed:Runtime", shown.SerializeToString(), about=path) as child:
        _, values = child.call("run", feeds(model, np.random.default_rng(0)), [name])
    found: Array = values[name]
    return found


def _open(model: Any, chosen: Any, answer: bool) -> None:
    key = "then_branch" if answer else "else_branch"
    branch = next(one.g for one in chosen.attribute if one.name == key)
    place = list(model.graph.node).index(chosen)
    prefix = f"{chosen.output[0]}/"
    own: Collection[str] = {one.name for one in branch.initializer} | {n for node in branch.node for n in node.output}
    renamed = {name: f"{prefix}{name}" for name in own}
    renamed |= {one.name: outer for one, outer in zip(branch.output, chosen.output, strict=True) if one.name in own}
    made = []
    for node in branch.node:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        copy.output[:] = [renamed.get(name, name) for name in node.output]
        made.append(copy)
    for one in branch.initializer:
        copy = model.graph.initializer.add()
        copy.CopyFrom(one)
        copy.name = renamed[one.name]
    for one, outer in zip(branch.output, chosen.output, strict=True):
        if one.name not in own:
            made.append(require("onnx").helper.make_node("Identity", [one.name], [outer]))
    nodes = list(model.graph.node)
    nodes[place : place + 1] = made
    rest = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(rest)
