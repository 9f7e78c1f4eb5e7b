"""Dense layers in a row without an activation between them are one linear map: folded into one layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Array, Call, LayerGraph, build, read


def fold_linear(model: Any) -> Any:
    """Return a copy of a float model in which dense layers in a row without an activation between them are one.

    `(x A + a) B + b = x (A B) + (a B + b)`. The last layer of a row keeps its name and activation. A row that is
    cheaper as it is stays: a low-rank product has fewer weights than the one layer that it stands for.

    Args:
        model: A flat functional or sequential tf_keras model.

    Raises:
        UnsupportedModelError: The model is subclassed or nested, or a layer gives several tensors.
    """
    graph = read(model)
    for call in list(graph.calls):
        before = _linear_before(graph, call)
        while before is not None:
            call.weights, call.layer = _product(before, call), _with_bias(call.layer)
            call.inputs = before.inputs
            graph.calls.remove(before)
            before = _linear_before(graph, call)
    return build(graph)


def _linear_before(graph: LayerGraph, call: Call) -> Call | None:
    """Return the dense layer that gives only this one its input, when folding the two saves weights."""
    before = graph.maker().get(call.inputs[0])
    if before is None or {before.kind, call.kind} != {"Dense"} or {before.name, call.name} & graph.shared:
        return None
    config = before.layer.get_config()
    if config["activation"] != "linear" or config["activity_regularizer"] is not None:
        return None
    if len(graph.consumers()[before.output]) > 1 or before.output in graph.outputs:
        return None
    (features, inner), units = before.weights[0].shape, call.weights[0].shape[1]
    return before if features * units <= inner * (features + units) else None


def _product(before: Call, call: Call) -> list[Array]:
    first, second = before.weights[0].astype(np.float64), call.weights[0].astype(np.float64)
    bias = _bias(before) @ second + _bias(call)
    return [(first @ second).astype(np.float32), bias.astype(np.float32)]


def _bias(call: Call) -> Array:
    return call.weights[1].astype(np.float64) if len(call.weights) > 1 else np.zeros(call.weights[0].shape[1])


def _with_bias(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config() | {"use_bias": True})
