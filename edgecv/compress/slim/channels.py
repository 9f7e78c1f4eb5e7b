"""Which channels of a network must be removed together: the dependency graph of structured pruning.

Each position on the last axis of each tensor carries the number of the component that it belongs to. A layer that mixes
channels (a convolution, a dense layer) starts new components; what only moves, scales or joins channels hands them on.
A sum ties the components of its terms, a concatenation puts them in a row, Flatten repeats them once per pixel. So a
component is the smallest set of channels that can be removed, wherever in the network they turn up.

A component that reaches an output, the input, or a layer whose channels cannot be told apart is never removed.

Source: Fang et al. 2023, "DepGraph: Towards Any Structural Pruning", section 3; here by position instead of by layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Array, Call, LayerGraph
from edgecv.modelio.functions import Role

MIXERS = frozenset({"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Dense", "SeparableConv1D", "SeparableConv2D"})
"""Layers whose every output depends on every input channel: the ends and starts of components."""

CHANNELWISE = frozenset({
    "ActivityRegularization", "AveragePooling1D", "AveragePooling2D", "BilinearResize", "ChannelScale", "Cropping1D",
    "Cropping2D", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "HardSigmoid", "HardSwish", "LeakyReLU",
    "MaxPooling1D", "MaxPooling2D", "PReLU", "ReLU", "SpatialDropout1D", "SpatialDropout2D", "TanhGelu",
    "ThresholdedReLU", "UpSampling1D", "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
})  # fmt: skip
JOINS = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"})
POINTWISE = frozenset({
    "elu", "exponential", "gelu", "hard_sigmoid", "leaky_relu", "linear", "mish", "relu", "relu6", "selu", "sigmoid",
    "silu", "softplus", "softsign", "swish", "tanh",
})  # fmt: skip
INPUT, OUTPUT = "it is an input", "it is an output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Components that turn up in the same layers, so that any of them can stand for another.

    Attributes:
        producers: Layers that compute their channels, in the order of the graph.
        components: Their numbers, in the order of the first producer's channels.
    """

    producers: tuple[str, ...]
    components: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The components of a network.

    Attributes:
        graph: What was read; not changed.
        tensors: Tensor key to the component of each position on its last axis.
        removable: Per component, whether it may be removed.
        groups: Of the removable ones.
        held: Layers that compute channels of which some may not be removed, with the reason.
    """

    graph: LayerGraph
    tensors: Mapping[int, Array]
    removable: Array
    groups: tuple[Group, ...]
    held: Mapping[str, str]


def dependencies(graph: LayerGraph) -> Dependencies:
    """Return the components of a network, and which of them may be removed.

    Shared layers tie what they are called with. Grouped convolutions, normalisation across channels, softmax inside the
    network and layers that are not known here keep all channels that they take and give.
    """
    trace = _Trace(graph)
    for key, shape, _, _ in graph.inputs:
        trace.labels[key] = trace.fresh(shape[-1] if shape else 1)
        trace.freeze(trace.labels[key], INPUT)
    for call in graph.calls:
        trace.visit(call)
    for key in graph.outputs:
        trace.freeze(trace.labels[key], OUTPUT)
    return trace.resolved()


class _Trace:
    """Components under construction: a forest of numbers, joined as layers tie them."""

    def __init__(self, graph: LayerGraph) -> None:
        self.graph = graph
        self.shapes = {key: shape for key, shape, _, _ in graph.inputs} | {c.output: c.shape for c in graph.calls}
        self.labels: dict[int, Array] = {}
        self._parents: list[int] = []
        self._frozen: list[tuple[Array, str]] = []
        self._taken: dict[str, list[Array]] = {}
        self._made: dict[str, Array] = {}

    def fresh(self, count: int) -> Array:
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def freeze(self, labels: Array, reason: str) -> None:
        self._frozen.append((labels, reason))

    def tie(self, one: Array, other: Array) -> None:
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            first, second = self._root(a), self._root(b)
            self._parents[max(first, second)] = min(first, second)

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            self._parents[label] = self._parents[self._parents[label]]
            label = self._parents[label]
        return label

    def visit(self, call: Call) -> None:
        taken = [self.labels[key] for key in call.inputs]
        if call.weights:
            # The weights are the same in each call of a shared layer, so its channels live and die together.
            for one, other in zip(self._taken.setdefault(call.name, taken), taken, strict=True):
                if len(one) == len(other):
                    self.tie(one, other)
        made = _rule(call)(self, call, taken)
        self.labels[call.output] = self.keep(call, taken) if made is None else made

    def produce(self, call: Call) -> Array:
        """Return the components that a layer starts; the same ones in each call of a shared layer."""
        if call.name not in self._made:
            self._made[call.name] = self.fresh(call.shape[-1])
        return self._made[call.name]

    def keep(self, call: Call, taken: Iterable[Array]) -> Array:
        """Freeze what a layer takes and gives: what it does to single channels is not known."""
        reason = f"layer '{call.name}' ({call.kind}) needs all of them"
        given = self.fresh(call.shape[-1] or 1 if call.shape else 1)
        for labels in (*taken, given):
            self.freeze(labels, reason)
        return given

    def resolved(self) -> Dependencies:
        roots = np.array([self._root(label) for label in range(len(self._parents))])
        used, numbers = np.unique(roots, return_inverse=True)
        removable = np.ones(len(used), bool)
        reasons: dict[int, str] = {}
        # What makes an output needs no other reason.
        for labels, reason in sorted(self._frozen, key=lambda entry: entry[1] != OUTPUT):
            held = np.unique(numbers[labels])
            removable[held] = False
            reasons = {int(number): reason for number in held} | reasons
        tensors = {key: numbers[labels] for key, labels in self.labels.items()}
        producers = {c.name: tensors[c.output] for c in self.graph.calls if c.name in self._made}
        return Dependencies(
            graph=self.graph,
            tensors=tensors,
            removable=removable,
            groups=_groups(self.graph, tensors, producers, removable),
            held={
                name: next(reasons[int(number)] for number in found if not removable[number])
                for name, found in producers.items()
                if not removable[found].all()
            },
        )


def _groups(
    graph: LayerGraph, tensors: Mapping[int, Array], producers: Mapping[str, Array], removable: Array
) -> tuple[Group, ...]:
    """Gather the removable components by where they turn up, and how often there."""
    places: dict[int, list[tuple[int, int]]] = {}
    for key, labels in tensors.items():
        for number, count in zip(*np.unique(labels, return_counts=True), strict=True):
            places.setdefault(int(number), []).append((key, int(count)))
    found: dict[tuple[tuple[int, int], ...], dict[int, None]] = {}
    makers: dict[int, list[str]] = {}
    for name, labels in producers.items():
        for number in labels[removable[labels]].tolist():
            found.setdefault(tuple(places[number]), {})[number] = None
            makers.setdefault(number, []).append(name)
    return tuple(
        Group(producers=tuple(dict.fromkeys(makers[next(iter(numbers))])), components=tuple(numbers))
        for numbers in found.values()
    )


# Rules: from the components that a call takes to those that it gives; None when it is to keep everything.

_Rule = Callable[[_Trace, Call, list[Array]], "Array | None"]


def _rule(call: Call) -> _Rule:
    config = {} if call.layer is None else call.layer.get_config()
    if call.arguments is not None or config.get("data_format") == "channels_first":
        return _unknown
    if call.kind in MIXERS:
        return _mix
    if call.kind in CHANNELWISE:
        return _pass
    if call.kind == "TensorFunction" and call.layer.role is Role.POINTWISE:
        return _function
    return _join if call.kind in JOINS else _RULES.get(call.kind, _unknown)


def _unknown(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    return None


def _mix(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    config = call.layer.get_config()
    if config.get("groups", 1) != 1:
        return None
    given = trace.produce(call)
    if config["activation"] not in POINTWISE:
        trace.freeze(given, f"its activation ({config['activation']}) needs all of them")
    return given


def _pass(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    return taken[0] if call.shape[-1] == len(taken[0]) else None


def _function(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    """A function of single values: channels stay where they are, unless it holds one constant for each."""
    if call.weights or len(taken) != 1 or "array" in str(call.layer.get_config()["arguments"]):
        return None
    return _pass(trace, call, taken)


def _normalise(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    axis = call.layer.get_config()["axis"]
    last = axis[0] if isinstance(axis, (list, tuple)) else axis
    return taken[0] if last in (-1, len(call.shape)) else None


def _activate(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    return taken[0] if call.layer.get_config()["activation"] in POINTWISE else None


def _rescale(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    config = call.layer.get_config()
    return taken[0] if np.ndim(config["scale"]) == 0 and np.ndim(config["offset"]) == 0 else None


def _depthwise(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    config = call.layer.get_config()
    if config["activation"] not in POINTWISE:
        return None
    return np.repeat(taken[0], config["depth_multiplier"])


def _join(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    widest = max(taken, key=len)
    for labels in taken:
        if len(labels) == len(widest):
            trace.tie(labels, widest)
        else:
            trace.freeze(labels, f"layer '{call.name}' spreads it over all channels")
    return widest


def _concatenate(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    if call.layer.get_config()["axis"] in (-1, len(call.shape)):
        return np.concatenate(taken)
    for labels in taken[1:]:
        trace.tie(taken[0], labels)
    return taken[0]


def _reshape(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    """Follow single elements: the result is good when all rows of the new last axis carry the same components."""
    before = trace.shapes[call.inputs[0]]
    if None in before or None in call.shape:
        return None
    rows = np.broadcast_to(taken[0], before).reshape(call.shape).reshape(-1, call.shape[-1])
    return np.array(rows[0]) if (rows == rows[0]).all() else None


def _permute(trace: _Trace, call: Call, taken: list[Array]) -> Array | None:
    return taken[0] if call.layer.get_config()["dims"][-1] == len(call.shape) else None


_RULES: dict[str, _Rule] = {
    "Activation": _activate,
    "BatchNormalization": _normalise,
    "Concatenate": _concatenate,
    "DepthwiseConv2D": _depthwise,
    "Flatten": _reshape,
    "Permute": _permute,
    "Rescaling": _rescale,
    "Reshape": _reshape,
}


def layer_calls(graph: LayerGraph) -> dict[str, Call]:
    """Return the first call of each layer, in the order of the graph."""
    found: dict[str, Any] = {}
    for call in graph.calls:
        found.setdefault(call.name, call)
    return found
