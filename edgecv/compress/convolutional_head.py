"""The layers behind a classifier's feature map as layers on maps: see `edgecv.compress.fully_convolutional`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from edgecv.compress.layer_graph import Call, LayerGraph
from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio.env import keras

GLOBAL_POOLS = {"GlobalAveragePooling2D": "AveragePooling2D", "GlobalMaxPooling2D": "MaxPooling2D"}
ANYWHERE = frozenset({
    "ActivityRegularization", "Add", "Average", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "HardSigmoid",
    "HardSwish", "LeakyReLU", "Maximum", "Minimum", "Multiply", "ReLU", "Subtract", "TanhGelu", "ThresholdedReLU",
})  # fmt: skip
"""Layers that work on each number alone, whatever its place."""

BY_CHANNEL = frozenset({"BatchNormalization", "ChannelScale", "Concatenate", "LayerNormalization", "PReLU", "Rescaling",
                        "Softmax"})  # fmt: skip
"""Layers that work along the last axis of a vector."""


def gated(graph: LayerGraph) -> frozenset[str]:
    """Return the global pools whose answer scales a map, as in squeeze-and-excitation: they are no head."""
    shapes = _shapes(graph)
    return frozenset(c.name for c in graph.calls if c.kind in GLOBAL_POOLS and _scales_a_map(graph, c, shapes))


def _scales_a_map(graph: LayerGraph, pool: Call, shapes: dict[int, tuple[int, ...]]) -> bool:
    seen = {pool.output}
    for call in graph.calls:
        if seen.intersection(call.inputs):
            if any(key not in seen and math.prod(shapes[key][:-1]) > 1 for key in call.inputs):
                return True
            seen.add(call.output)
    return False


def converted(graph: LayerGraph, gates: frozenset[str]) -> LayerGraph:
    """Return the graph with its head on maps; layers keep their names, and shapes are those of before.

    Args:
        graph: Of a classifier, at the size of one window.
        gates: Global pools that stay.

    Raises:
        UnsupportedModelError: A layer has no counterpart on maps; it is named.
    """
    head = _Head(graph, gates)
    calls = [made for call in graph.calls for made in head.take(call)]
    for key in graph.outputs:
        if key not in head.extents:
            raise UnsupportedModelError(
                f"'{graph.name}' does not end in dense layers, or in pooling, of one feature map",
                hint="only a classifier with one row of scores becomes fully convolutional",
            )
    return replace(graph, calls=calls)


class _Head:
    """What is known of the tensors so far.

    Attributes:
        extents: Of a tensor that was a vector: (rows, columns) of the map whose numbers it holds for one window;
            (1, 1) when it is one place of a map.
    """

    def __init__(self, graph: LayerGraph, gates: frozenset[str]) -> None:
        self.extents: dict[int, tuple[int, int]] = {}
        self._shapes = _shapes(graph)
        self._shared, self._outputs, self._gates = graph.shared, frozenset(graph.outputs), gates
        self._inside: set[int] = set()  # of a gate, which stays a vector
        self._instead: dict[int, int] = {}

    def take(self, call: Call) -> list[Call]:
        """Return the calls that stand for one of the classifier."""
        behind = [self.extents.get(key) for key in call.inputs]
        rewired = replace(call, inputs=[self._instead.get(key, key) for key in call.inputs])
        if self._is_gate(call):
            return [rewired]
        made = self._on_vector(rewired, call) if any(behind) else self._on_map(rewired, call)
        if call.name in self._shared and (not made or made[0] is not rewired):
            raise UnsupportedModelError(
                f"layer '{call.name}' of the head is called several times", hint="give each call a layer of its own"
            )
        return made

    def _is_gate(self, call: Call) -> bool:
        inside = [key in self._inside for key in call.inputs]
        if call.name in self._gates or (inside and all(inside)):
            self._inside.add(call.output)
            return True
        return False

    def _on_map(self, call: Call, old: Call) -> list[Call]:
        shape = self._shapes[old.inputs[0]] if old.inputs else ()
        if call.kind in GLOBAL_POOLS:
            if len(call.shape) == 1:
                self.extents[call.output] = (1, 1)
            return [_pool(call, GLOBAL_POOLS[call.kind], shape[:2])]
        if call.kind == "AveragePooling2D" and _whole(call, shape):
            return [_pool(call, call.kind, shape[:2])]
        if len(shape) == 3 and call.kind in ("Flatten", "Reshape") and call.shape == (math.prod(shape),):
            self.extents[call.output] = (shape[0], shape[1])
            return self._skipped(call)
        if len(call.shape) != 3 or call.kind == "Reshape":
            raise _stuck(call, f"makes {_text(call.shape)} of a map {_text(shape)}")
        return [call]

    def _on_vector(self, call: Call, old: Call) -> list[Call]:
        behind = {self.extents.get(key) for key in old.inputs}
        if len(behind) != 1 or None in behind:
            raise _stuck(call, "joins what a window gives with something else")
        extent = behind.pop() or (1, 1)
        if call.kind in ("Flatten", "Reshape"):
            return self._reshaped(call, extent)
        self.extents[call.output] = extent
        if call.kind == "Dense":
            self.extents[call.output] = (1, 1)
            return [_convolution(call, extent)]
        function = str(call.layer.get_config().get("activation"))
        if call.kind in ANYWHERE or (call.kind == "Activation" and (extent == (1, 1) or "softmax" not in function)):
            return [call]
        if call.kind in BY_CHANNEL and extent == (1, 1):
            return [_by_channel(call)]
        raise _stuck(call, f"({call.kind}) of the head has no counterpart on maps")

    def _reshaped(self, call: Call, extent: tuple[int, int]) -> list[Call]:
        if len(call.shape) == 1:
            self.extents[call.output] = extent
        elif extent != (1, 1) or call.shape[:-1] != (1, 1):
            raise _stuck(call, f"makes {_text(call.shape)} of a vector")
        return self._skipped(call)

    def _skipped(self, call: Call) -> list[Call]:
        """A call that does nothing here; one that gives an output stays, for its name."""
        if call.output in self._outputs:
            layer = keras().layers.Activation("linear", name=call.name)
            return [replace(call, kind="Activation", layer=layer, arguments=None)]
        self._instead[call.output] = call.inputs[0]
        return []


def _shapes(graph: LayerGraph) -> dict[int, tuple[int, ...]]:
    return {key: shape for key, shape, *_ in graph.inputs} | {call.output: call.shape for call in graph.calls}


def _whole(call: Call, shape: tuple[int, ...]) -> bool:
    """Say whether a mean is over the whole map: a global one by another name."""
    return tuple(call.layer.get_config()["pool_size"]) == tuple(shape[:2])


def _pool(call: Call, kind: str, size: tuple[int, ...]) -> Call:
    layer = getattr(keras().layers, kind)(size, strides=1, padding="valid", name=call.name)
    return replace(call, kind=kind, layer=layer, arguments=None)


def _convolution(call: Call, extent: tuple[int, int]) -> Call:
    """A dense layer on the (rows, columns, channels) of a window: its kernel's rows are in that order."""
    config = call.layer.get_config()
    kernel, *bias = call.weights
    layer = keras().layers.Conv2D(
        config["units"], extent, padding="valid", activation=call.layer.activation, use_bias=config["use_bias"],
        kernel_regularizer=call.layer.kernel_regularizer, name=call.name,
    )  # fmt: skip
    weights = [kernel.reshape(*extent, -1, config["units"]), *bias]
    return replace(call, kind="Conv2D", layer=layer, weights=weights, arguments=None)


def _by_channel(call: Call) -> Call:
    config, weights = call.layer.get_config(), call.weights
    if "axis" in config:
        config["axis"] = -1
    if call.kind == "PReLU":
        config["shared_axes"], weights = [1, 2], [one.reshape(1, 1, -1) for one in weights]
    layer = type(call.layer).from_config(config)
    return replace(call, layer=layer, weights=weights)


def _stuck(call: Call, what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"layer '{call.name}' {what}, so the network stays at its input size",
        hint="slide the classifier over the image instead: edgecv.runtime.slide",
    )


def _text(shape: tuple[Any, ...]) -> str:
    return "x".join(map(str, shape))
