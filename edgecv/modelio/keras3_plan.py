"""What stands for each call of a Keras 3 graph: layers of tf_keras, or the functions that a layer is made of.

A layer without a counterpart is traced: its `call` runs on symbolic tensors, and what it does with them is a graph of
`keras.ops` like any other. The weights that it uses are constants there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.keras3_layers import counterpart
from edgecv.modelio.keras3_ops import Step, is_operation, steps_of
from edgecv.modelio.opaque import carried, is_foreign

GRAPHS = frozenset({"Functional", "Sequential"})
NO_TRACE = ("computes in", "keeps or gives its state")
"""Reasons that hold for whatever stands for a layer."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A graph of Keras 3 that stands for a layer or an activation: `keras.Function`."""

    graph: Any


Plan = Traced | list[list[Step | Traced]]
"""A graph for all outputs, or for each output a chain of layers and graphs."""


class Planner:
    """Plans for every call of a model, of the models in it, and of the layers that had to be traced.

    Attributes:
        plans: By the id of the node.
        problems: What stands in the way, one text per layer.
    """

    def __init__(self) -> None:
        self.plans: dict[int, Plan] = {}
        self.problems: list[str] = []
        self._layers: dict[int, list[Step | Traced]] = {}
        self._kept: list[Any] = []

    def add(self, graph: Any) -> None:
        """Plan all calls of a graph."""
        if type(graph).__name__ == "Sequential" and not graph.built:
            self.problems.append(
                f"'{graph.name}' has no input shape: add Input((height, width, channels)) as its first layer"
            )
            return
        if not hasattr(graph, "_nodes_by_depth") and type(graph).__name__ not in GRAPHS:
            kind = type(graph).__name__
            self.problems.append(f"'{graph.name}' is a {kind}, expected a functional or Sequential model")
            return
        for node in nodes_of(graph):
            operation = node.operation
            if hasattr(operation, "layers"):
                self.add(operation)
                continue
            try:
                self.plans[id(node)] = self._plan(node)
            except UnsupportedModelError as error:
                what = "operation" if is_operation(operation) else "layer"
                self.problems.append(f"{what} '{operation.name}' ({type(operation).__name__}) {error.message}")

    def _plan(self, node: Any) -> Plan:
        if is_operation(node.operation):
            return [list(steps) for steps in steps_of(node)]
        layer = node.operation
        if id(layer) in self._layers:
            return [self._layers[id(layer)]]
        if is_foreign(layer):
            return self._whole(node)  # what could be traced of it was
        shapes = [tuple(tensor.shape) for tensor in node.input_tensors]
        try:
            found = counterpart(layer, shapes)
        except UnsupportedModelError as error:
            return self._traced_layer(node) or self._refusal(node, error)
        weights = layer.get_weights() if found.weights is None else found.weights
        chain: list[Step | Traced] = [Step(found.layer, tuple(weights))]
        chain += [Step(layer_behind, tuple(own)) for layer_behind, own in found.behind]
        if found.activation is not None:
            graph = self._trace(symbolic(found.activation), (node.outputs[0],), {}, "its activation")
            chain = [*([] if type(layer).__name__ == "Activation" else chain), graph]
        self._layers[id(layer)] = chain
        return [chain]

    def _traced_layer(self, node: Any) -> Traced | None:
        """Return the functions that a layer's call is made of, None when it does something else."""
        layer, kwargs = node.operation, dict(node.arguments.kwargs)
        if "training" in inspect.signature(layer.call).parameters:
            kwargs["training"] = False
        try:
            with _symbolic_activation(layer):
                return self._trace(layer.call, node.arguments.args, kwargs, "its call")
        except UnsupportedModelError:
            return None

    def _refusal(self, node: Any, reason: UnsupportedModelError) -> Plan:
        """Return a layer that is carried whole; raise the reason for one of other precision, or of several outputs."""
        if reason.message.startswith(NO_TRACE) or len(node.outputs) != 1:
            raise reason
        return self._whole(node)

    def _whole(self, node: Any) -> Plan:
        chain: list[Step | Traced] = [Step(carried(node))]
        self._layers[id(node.operation)] = chain
        return [chain]

    def _trace(self, function: Callable[..., Any], args: Any, kwargs: Any, what: str) -> Traced:
        """Return the graph of a function of symbolic tensors, its calls planned."""
        keras3, inputs = env.keras3(), []

        def fresh(value: Any) -> Any:
            if not hasattr(value, "_keras_history"):
                return value
            inputs.append(keras3.Input(batch_shape=tuple(value.shape), dtype=value.dtype))
            return inputs[-1]

        args, kwargs = keras3.tree.map_structure(fresh, (tuple(args), kwargs))
        try:
            outputs = function(*args, **kwargs)
            graph = keras3.Function(inputs, outputs)
        # Whatever a layer does that is no function of keras.ops fails in a way of its own.
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise UnsupportedModelError(f"{what} is not made of keras.ops alone: {first}") from error
        self._kept.append(graph)  # ids of its nodes stay its own
        before = len(self.problems)
        self.add(graph)
        if len(self.problems) > before:
            reasons = "; ".join(dict.fromkeys(self.problems[before:]))
            del self.problems[before:]
            raise UnsupportedModelError(f"{what} holds what has no layer: {reasons}")
        return Traced(graph)


def symbolic(activation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return an activation that takes symbolic tensors: some of Keras' own do not."""
    ops, name = env.keras3().ops, getattr(activation, "__name__", "")
    if name == "mish":
        return lambda tensor: tensor * ops.tanh(ops.softplus(tensor))
    same: Callable[[Any], Any] = getattr(ops, name) if name in ("hard_silu", "sparsemax") else activation
    return same


@contextmanager
def _symbolic_activation(layer: Any) -> Iterator[None]:
    own = getattr(layer, "activation", None)
    if not callable(own) or symbolic(own) is own or isinstance(getattr(type(layer), "activation", None), property):
        yield
        return
    layer.activation = symbolic(own)
    try:
        yield
    finally:
        layer.activation = own


def nodes_of(graph: Any) -> list[Any]:
    """Return the calls of a Keras 3 graph in an order in which they can be computed, inputs left out."""
    inner = graph._functional if type(graph).__name__ == "Sequential" else graph
    levels = sorted(inner._nodes_by_depth.items(), reverse=True)
    return [node for _, nodes in levels for node in nodes if not node.is_input]
