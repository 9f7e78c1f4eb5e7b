"""What every layer of an .onnx answers, in a process of its own; maps come with channels last, as in other formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.apart import Apart
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.diagnose.layer_outputs import Array, Layer, layer_names, source_layer
from edgecv.graphs import Graph, Op, constant, naming_operators, read_graph
from edgecv.runtime.container import read_manifest
from edgecv.runtime.tensors import to_stored

_CHANNELS_FIRST = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
_MOVES = ("Transpose", "Reshape", "Squeeze", "Identity", "QuantizeLinear", "DequantizeLinear")
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class OnnxLayers:
    """Of an .onnx: the last operator of each layer that computes, rounded as the file rounds what it hands on.

    Raises:
        UnsupportedModelError: ONNX Runtime refuses the file; CrashError: it ends over it.
    """

    def __init__(self, path: Path) -> None:
        graph = read_graph(path)
        with naming_operators(graph):
            names = layer_names(path, graph)
            ops = _answers(graph, names)
            first = channels_first(graph)
            self.layers = tuple(_layer(graph, name, op, names) for name, op in ops.items())
            self._first = [op.outputs[0] in first for op in ops.values()]
            watched = [_watched(graph, op.outputs[0]) for op in ops.values()]
            self.input_names = tuple(graph.tensors[index].name for index in graph.inputs)
            manifest = read_manifest(path)
            self._stored = manifest.inputs if manifest is not None else ()
        self._child = Apart("edgecv.diagnose.onnx_layers:Session", str(path), watched, about=path)

    def run(self, sample: Sequence[Array]) -> list[Array]:
        found = []
        fed = [to_stored(values, info) for values, info in zip(sample, self._stored, strict=False)] or list(sample)
        for value, is_first in zip(self._child.call("run", fed), self._first, strict=True):
            last = value.transpose(TO_LAST) if is_first and value.ndim == 4 else value
            found.append(np.asarray(last[0] if last.ndim > 1 else last, np.float64))
        return found

    def __enter__(self) -> OnnxLayers:
        return self

    def __exit__(self, kind: Any = None, error: Any = None, at: Any = None) -> None:
        self._child.close(at_once=error is not None)


class Session:
    """The child's side: a session that gives the named tensors too.

    Args:
        path: The file.
        watched: For each layer the tensor, and the scale and zero point by which it is rounded, or None.
    """

    def __init__(self, path: str, watched: Sequence[tuple[str, tuple[float, int, str] | None]]) -> None:
        onnx, runtime = (require(name, why="to look inside a model") for name in ("onnx", "onnxruntime"))
        model = onnx.load(path)
        known = {value.name for value in model.graph.output}
        for name in dict.fromkeys(name for name, _ in watched):
            if name not in known:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
        options = runtime.SessionOptions()
        # Optimised graphs fuse operators and drop the tensors between them.
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        self._session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._watched = watched

    def run(self, sample: Sequence[Array]) -> list[Array]:
        fed = dict(zip(self._inputs, sample, strict=True))
        names = list(dict.fromkeys(name for name, _ in self._watched))
        found = dict(zip(names, self._session.run(names, fed), strict=True))
        return [_rounded(np.asarray(found[name], np.float64), grid) for name, grid in self._watched]


def _rounded(values: Array, grid: tuple[float, int, str] | None) -> Array:
    if grid is None:
        return values
    scale, zero, kind = grid
    limits = np.iinfo(kind)
    found: Array = (np.clip(np.rint(values / scale) + zero, limits.min, limits.max) - zero) * scale
    return found


def _answers(graph: Graph, names: Sequence[str]) -> dict[str, Op]:
    """Return the last operator of each layer that gives real numbers, in the order of execution."""
    stored = integers(graph)
    found: dict[str, Op] = {}
    for op, name in zip(graph.ops, names, strict=True):
        is_weight = op.op == "DequantizeLinear" and graph.tensors[op.inputs[0]].is_constant
        if op.outputs and op.outputs[0] not in stored and not is_weight:
            found.pop(name, None)
            found[name] = op
    if not found:
        raise UnsupportedModelError(f"{graph.where} has no layer to look at", hint="give a network")
    return found


def integers(graph: Graph) -> frozenset[int]:
    """Return the activations that are stored as integers: of QuantizeLinear, and whatever only moves them about."""
    found: set[int] = set()
    for op in graph.ops:
        if op.op == "QuantizeLinear" or (op.op != "DequantizeLinear" and found & set(op.inputs)):
            found.update(op.outputs)
    return frozenset(found)


def channels_first(graph: Graph) -> frozenset[int]:
    """Return the tensors whose channels are the second axis: of convolutions and pools, and what follows them."""
    found: set[int] = set()
    for op in graph.ops:
        taken = [index for index in op.inputs if index >= 0 and not graph.tensors[index].is_constant]
        order = tuple(op.options.get("perm", ())) if op.op == "Transpose" else ()
        inherits = bool(taken) and taken[0] in found and op.op not in ("Reshape", "Transpose", "Flatten", "Gemm")
        if op.op in _CHANNELS_FIRST or order == TO_FIRST or inherits:
            found.update(op.outputs)
    return frozenset(found)


def _watched(graph: Graph, index: int) -> tuple[str, tuple[float, int, str] | None]:
    """Return a tensor's name, and the grid that it is rounded to where nothing else reads it as it is."""
    readers = [op for op in graph.ops if index in op.inputs]
    name = graph.tensors[index].name
    if len(readers) == 1 and readers[0].op == "QuantizeLinear" and len(readers[0].inputs) > 2:
        scale, zero = (constant(graph, readers[0].inputs[place]) for place in (1, 2))
        if scale.size == 1:
            return name, (float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), zero.dtype.name)
    return name, None


def _layer(graph: Graph, name: str, op: Op, names: Sequence[str]) -> Layer:
    own = [one for one, its in zip(graph.ops, names, strict=True) if its == name]
    kernels = [found for one in own if one.op == "Conv" and (found := _kernel(graph, one)) is not None]
    computing = [one.op for one in own if one.op not in _MOVES] or [op.op]
    return Layer(
        name=name, op=computing[-1], kernel=kernels[0] if kernels else None, source=source_layer(graph, name, names),
        pools=computing[-1] in ("MaxPool", "AveragePool"),
    )  # fmt: skip


def _kernel(graph: Graph, op: Op) -> Array | None:
    """Return the kernel of a convolution, through its DequantizeLinear where it has one."""
    tensor = graph.tensors[op.inputs[1]]
    if tensor.is_constant:
        values = constant(graph, tensor.index).astype(np.float32)
    else:
        maker = next((one for one in graph.ops if tensor.index in one.outputs), None)
        if maker is None or maker.op != "DequantizeLinear" or not graph.tensors[maker.inputs[0]].is_constant:
            return None
        stored, scale, zero = (constant(graph, index).astype(np.float32) for index in maker.inputs[:3])
        shape = [1] * stored.ndim
        shape[int(maker.options.get("axis", 0)) if scale.size > 1 else 0] = -1
        values = (stored - zero.reshape(shape)) * scale.reshape(shape)
    if values.ndim != 4:
        return None
    grouped = int(op.options.get("group", 1)) > 1
    found = values.transpose(2, 3, 1, 0)
    return np.asarray(found.reshape(*found.shape[:2], 1, -1) if grouped else found, np.float32)
