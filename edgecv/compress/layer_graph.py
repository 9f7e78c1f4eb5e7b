"""A keras model as a list of layer calls that can be edited, and back.

Keras' own `clone_model` swaps layers one for one; folding, splitting and fusing layers need the graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecv.compress.cloning import check_graph, copy_layer
from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio.env import keras
from edgecv.modelio.inference import check_inference

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a tensor among the arguments of a call: a position in its inputs."""

    index: int


@dataclass(slots=True)
class Call:
    """One layer called once. Edited in place by passes, so not frozen.

    Attributes:
        name: Of the layer in the model that will be built.
        kind: Class name of the layer; "Affine" for `x * weights[0] + weights[1]` per channel, which is no layer yet.
        layer: Unbuilt layer to call; None for an affine. Calls of a shared layer hold the same object.
        inputs: Keys of the tensors it takes, in order.
        output: Key of the tensor it gives.
        shape: Of the output, without the batch.
        weights: To set once the layer is built, in keras' order.
        arguments: Positional and named arguments of the call, with a `Slot` for each tensor; None: the tensors, as one
            argument.
        turn: Which of its layer's calls it is, in the model that was read, 0-based: `layer.get_output_at(turn)`.
    """

    name: str
    kind: str
    layer: Any
    inputs: list[int]
    output: int
    shape: tuple[int, ...]
    weights: list[Array] = field(default_factory=list)
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None
    turn: int = 0


@dataclass(slots=True)
class LayerGraph:
    """The calls of a model in an order in which they can be computed.

    Attributes:
        inputs: (key, shape without the batch, dtype, name) of each input.
        outputs: Keys of the outputs.
        shared: Names of layers that are called more than once; passes leave them alone.
    """

    name: str
    inputs: list[tuple[int, tuple[int, ...], str, str]]
    calls: list[Call]
    outputs: list[int]
    shared: frozenset[str]
    _fresh: int = 0

    def key(self) -> int:
        """Return a key that no tensor has."""
        self._fresh -= 1
        return self._fresh

    def maker(self) -> dict[int, Call]:
        """Return the call that gives each tensor."""
        return {call.output: call for call in self.calls}

    def consumers(self) -> dict[int, list[Call]]:
        """Return the calls that take each tensor."""
        found: dict[int, list[Call]] = {}
        for call in self.calls:
            for key in call.inputs:
                found.setdefault(key, []).append(call)
        return found

    def replace(self, old: Call, new: Iterable[Call]) -> None:
        """Put calls in the place of one."""
        at = self.calls.index(old)
        self.calls[at : at + 1] = list(new)

    def bypass(self, call: Call) -> None:
        """Take a call out: who took its output takes its first input."""
        source = call.inputs[0]
        self.calls.remove(call)
        for other in self.calls:
            other.inputs = [source if key == call.output else key for key in other.inputs]
        self.outputs = [source if key == call.output else key for key in self.outputs]


def flattened(model: Any) -> Any:
    """Return a model without models inside, of the same layers, weights and answers; `model` itself when it has none.

    Raises:
        UnsupportedModelError: It is subclassed, or a layer gives several tensors.
    """
    nested = any(isinstance(layer, keras().Model) for layer in model.layers)
    return build(read(model)) if nested else model


def read(model: Any) -> LayerGraph:
    """Return the calls of a functional or sequential model, models inside it opened; each with a copy of its layer.

    Raises:
        UnsupportedModelError: The model is subclassed, a layer gives several tensors, or is called with training=True.
    """
    check_graph(model)
    check_inference(model, where=f"'{model.name}'")
    reading = _Reading()
    keys = {id(tensor): reading.key() for tensor in model.inputs}
    inputs = [(keys[id(t)], tuple(t.shape)[1:], t.dtype.name, _input_name(t)) for t in model.inputs]
    reading.names.update(name for _, _, _, name in inputs)
    outputs = reading.run(model, keys, where="")
    return LayerGraph(
        name=model.name,
        inputs=inputs,
        calls=reading.calls,
        outputs=outputs,
        shared=frozenset(name for name, count in reading.counts.items() if count > 1),
    )


class _Reading:
    """The calls found so far; a layer object has one name and one copy, however often it is called."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.counts: dict[str, int] = {}
        self.names: set[str] = set()
        self._copies: dict[int, tuple[str, Any]] = {}
        self._keys = itertools.count(1)

    def key(self) -> int:
        return next(self._keys)

    def run(self, model: Any, keys: dict[int, int], *, where: str) -> list[int]:
        """Add the calls of one call of a model; return the keys of its outputs."""
        check_graph(model)
        for depth in sorted(model._nodes_by_depth, reverse=True):
            for node in model._nodes_by_depth[depth]:
                if type(node.layer).__name__ == "InputLayer":
                    continue
                taken = [keys[id(tensor)] for tensor in _flat(node.keras_inputs)]
                given = _flat(node.outputs)
                if isinstance(node.layer, keras().Model):
                    inner = {id(t): key for t, key in zip(node.layer.inputs, taken, strict=True)}
                    path = f"{where}.{node.layer.name}" if where else node.layer.name
                    made = self.run(node.layer, inner, where=path)
                else:
                    made = [self._add(node, given, taken, where)]
                keys.update(zip((id(tensor) for tensor in given), made, strict=True))
        return [keys[id(tensor)] for tensor in model.outputs]

    def _add(self, node: Any, given: list[Any], taken: list[int], where: str) -> int:
        if len(given) != 1:
            raise UnsupportedModelError(
                f"layer '{node.layer.name}' gives {len(given)} tensors, expected one",
                hint="split it in layers of one output",
            )
        name, copy = self._copied(node.layer, where)
        self.counts[name] = self.counts.get(name, 0) + 1
        output = self.key()
        self.calls.append(
            Call(
                name=name,
                kind=type(node.layer).__name__,
                layer=copy,
                inputs=taken,
                output=output,
                shape=tuple(given[0].shape)[1:],
                weights=[np.asarray(weight) for weight in node.layer.get_weights()],
                arguments=_arguments(node),
                turn=node.layer._inbound_nodes.index(node),
            )
        )
        return output

    def _copied(self, layer: Any, where: str) -> tuple[str, Any]:
        if id(layer) not in self._copies:
            name = layer.name
            if name in self.names:
                stem = f"{where}.{name}" if where else name
                free = (f"{stem}_{count}" for count in itertools.count(2))
                name = stem if stem not in self.names else next(one for one in free if one not in self.names)
            self.names.add(name)
            copy = copy_layer(layer)
            copy._name = name
            self._copies[id(layer)] = (name, copy)
        return self._copies[id(layer)]


def _input_name(tensor: Any) -> str:
    return str(tensor._keras_history.layer.name)


def _arguments(node: Any) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return how a call was written; None for the usual form, one tensor or one list of tensors."""
    positions = {id(tensor): index for index, tensor in enumerate(_flat(node.keras_inputs))}

    def slotted(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(slotted(one) for one in value)
        return Slot(positions[id(value)]) if id(value) in positions else value

    args = tuple(slotted(value) for value in node.call_args)
    kwargs = {key: slotted(value) for key, value in node.call_kwargs.items() if key != "training"}
    return None if len(args) == 1 and not kwargs else (args, kwargs)


def filled(value: Any, tensors: list[Any]) -> Any:
    """Return an argument of a call with its slots filled."""
    if isinstance(value, (list, tuple)):
        return type(value)(filled(one, tensors) for one in value)
    return tensors[value.index] if isinstance(value, Slot) else value


def _flat(tensors: Any) -> list[Any]:
    return [t for value in tensors for t in _flat(value)] if isinstance(tensors, (list, tuple)) else [tensors]


def build(
    graph: LayerGraph,
    *,
    wrap: Callable[[Call], Any] = lambda call: call.layer,
    at_input: Callable[[int, Any], Any] = lambda index, tensor: tensor,
    behind: Callable[[Call, Any], Any] = lambda call, tensor: tensor,
) -> Any:
    """Return the functional model of a graph, with its weights.

    Args:
        graph: Without affines.
        wrap: From a call to the layer that is called; the default is the call's own.
        at_input: From the position of an input and its tensor to the tensor that takes its place.
        behind: From a call and its output to the tensor that takes its place.
    """
    tensors: dict[int, Any] = {}
    inputs = []
    for index, (key, shape, dtype, name) in enumerate(graph.inputs):
        inputs.append(keras().Input(shape, dtype=dtype, name=name))
        tensors[key] = at_input(index, inputs[-1])
    layers: dict[str, Any] = {}
    for call in graph.calls:
        if call.name not in layers:
            layers[call.name] = wrap(call)
        taken = [tensors[key] for key in call.inputs]
        args, kwargs = call.arguments or ((taken if len(taken) > 1 else taken[0],), {})
        named = {key: filled(value, taken) for key, value in kwargs.items()}
        given = layers[call.name](*(filled(value, taken) for value in args), **named)
        tensors[call.output] = behind(call, given)
    model = keras().Model(inputs, [tensors[key] for key in graph.outputs], name=graph.name)
    for call in graph.calls:
        _set_weights(layers[call.name], call)
    return model


def _set_weights(layer: Any, call: Call) -> None:
    if layer is call.layer:
        layer.set_weights(call.weights)
        return
    # A wrapper that rounds the kernel holds the variables; the layer's own attribute is then a tensor.
    by_name = {variable.name.split("/")[-1]: variable for variable in layer.weights}
    kernels = [by_name[name] for name in ("kernel:0", "depthwise_kernel:0", "bias:0") if name in by_name]
    for variable, value in zip(kernels or call.layer.weights, call.weights, strict=True):
        variable.assign(value)
