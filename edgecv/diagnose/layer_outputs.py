"""What every layer of a model answers to a sample: of a keras model, a .tflite or an .onnx, alike.

Maps come with channels last, in real units, as the layer hands them on: of an int8 file, its integers times their step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgecv.compress.layer_graph import build, flattened, read
from edgecv.core.errors import UnsupportedModelError
from edgecv.diagnose.all_tensors import AllTensors
from edgecv.graphs import Graph, Op, constant, naming_operators, read_tflite
from edgecv.graphs.pool_windows import as_pool
from edgecv.modelio.boundary import call, input_names
from edgecv.runtime.container import read_manifest

Array = np.ndarray[Any, Any]

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer.

    Attributes:
        name: In the source; "operator 7" where a file does not tell.
        op: What computes it: "Conv2D", "CONV_2D".
        kernel: Its weights, (height, width, inputs, outputs), float32; None of layers without such.
        pools: Whether it is a pool over pixels.
        source: The layer whose maps it takes; None of several or of the input.
    """

    name: str
    op: str
    kernel: Array | None = None
    pools: bool = False
    source: str | None = None


class LayerOutputs(Protocol):
    """A model that is looked into; a context manager."""

    layers: tuple[Layer, ...]
    input_names: tuple[str, ...]

    def run(self, sample: Sequence[Array]) -> list[Array]:
        """Return what each layer gives, float64 without the batch, in the order of `layers`.

        Args:
            sample: A float32 tensor with batch 1 for each input, in the model's order.
        """
        ...

    def __enter__(self) -> LayerOutputs: ...

    def __exit__(self, *error: Any) -> None: ...


class KerasLayers:
    """Of a keras model, models inside it opened.

    Raises:
        UnsupportedModelError: It is subclassed, or a layer gives several tensors.
    """

    def __init__(self, model: Any) -> None:
        graph = read(flattened(model))
        calls = [one for one in graph.calls if one.shape and None not in one.shape]
        makers = {one.output: one.name for one in graph.calls}
        self.layers = tuple(
            Layer(
                name=one.name, op=one.kind, kernel=_keras_kernel(one.kind, one.weights), pools="Pooling2D" in one.kind,
                source=makers.get(one.inputs[0]) if len(one.inputs) == 1 else None,
            )
            for one in calls
        )  # fmt: skip
        self.input_names = input_names(model)
        self._model = build(replace(graph, outputs=[one.output for one in calls]))

    def run(self, sample: Sequence[Array]) -> list[Array]:
        return [np.asarray(value)[0].astype(np.float64) for value in call(self._model, sample)]

    def __enter__(self) -> KerasLayers:
        return self

    def __exit__(self, *error: Any) -> None:
        return


def _keras_kernel(kind: str, weights: Sequence[Array]) -> Array | None:
    if kind not in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D") or not weights or weights[0].ndim != 4:
        return None
    kernel = weights[0]
    return kernel if kind == "Conv2D" else kernel.reshape(*kernel.shape[:2], 1, -1)


class TfliteLayers:
    """Of a .tflite, in a process of its own: the last operator of each layer is the layer's answer.

    Raises:
        UnsupportedModelError: The interpreter refuses the file; CrashError: it ends over it.
    """

    def __init__(self, path: Path) -> None:
        graph = read_tflite(path)
        with naming_operators(graph):
            names = layer_names(path, graph)
            ops = last_operators(graph, names, _CONVERSIONS)
            self.layers = tuple(_tflite_layer(graph, name, op, names) for name, op in ops.items())
            self._tensors = [op.outputs[0] for op in ops.values()]
            self.input_names = tuple(graph.tensors[index].name for index in graph.inputs)
        self._look = AllTensors(path)

    def run(self, sample: Sequence[Array]) -> list[Array]:
        self._look.run(sample)
        values = (self._look.value(index) for index in self._tensors)
        return [value[0] if value.ndim > 1 else value for value in values]

    def __enter__(self) -> TfliteLayers:
        return self

    def __exit__(self, kind: Any = None, error: Any = None, at: Any = None) -> None:
        self._look.__exit__(kind, error, at)


def layer_names(path: Path, graph: Graph) -> tuple[str, ...]:
    """Return the source layer of every operator; "operator 7" where the file does not say."""
    manifest = read_manifest(path)
    known = manifest.layer_map if manifest is not None else ()
    if len(known) != len(graph.ops):
        known = ("",) * len(graph.ops)
    return tuple(name or f"operator {op.index}" for name, op in zip(known, graph.ops, strict=True))


def last_operators(graph: Graph, names: Sequence[str], passed: Sequence[str]) -> dict[str, Op]:
    """Return the last operator of each layer, in the order of execution, but for kinds that are passed over."""
    found: dict[str, Op] = {}
    for op, name in zip(graph.ops, names, strict=True):
        if op.op not in passed and op.outputs:
            found.pop(name, None)
            found[name] = op
    if not found:
        raise UnsupportedModelError(f"{graph.where} has no layer to look at", hint="give a network")
    return found


def source_layer(graph: Graph, name: str, names: Sequence[str]) -> str | None:
    """Return the layer that the first operator of a layer takes its only activation from."""
    first = next(op for op, own in zip(graph.ops, names, strict=True) if own == name)
    taken = [index for index in first.inputs if index >= 0 and not graph.tensors[index].is_constant]
    maker = next((op for op in graph.ops if taken and taken[0] in op.outputs), None)
    if len(taken) != 1 or maker is None or names[maker.index] == name:
        return None
    return names[maker.index]


def _tflite_layer(graph: Graph, name: str, op: Op, names: Sequence[str]) -> Layer:
    op = as_pool(graph, op)
    own = [as_pool(graph, one) for one, its in zip(graph.ops, names, strict=True) if its == name]
    kernels = [found for one in own if (found := _tflite_kernel(graph, one)) is not None]
    return Layer(
        name=name, op=op.op, kernel=kernels[0] if kernels else None, source=source_layer(graph, name, names),
        pools=op.op in ("MAX_POOL_2D", "AVERAGE_POOL_2D"),
    )  # fmt: skip


def _tflite_kernel(graph: Graph, op: Op) -> Array | None:
    if op.op not in ("CONV_2D", "DEPTHWISE_CONV_2D") or not graph.tensors[op.inputs[1]].is_constant:
        return None
    tensor, values = graph.tensors[op.inputs[1]], constant(graph, op.inputs[1]).astype(np.float32)
    if tensor.scales:
        shape = [1] * values.ndim
        shape[tensor.quantized_dimension if len(tensor.scales) > 1 else 0] = -1
        values = (values - np.reshape(tensor.zero_points, shape)) * np.reshape(tensor.scales, shape)
    order = (1, 2, 3, 0) if op.op == "CONV_2D" else (1, 2, 0, 3)
    return np.asarray(values.transpose(order), np.float32)
