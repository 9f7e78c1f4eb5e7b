"""Recurrent layers step by step: integer files hold no loops, and each step is a few dense layers."""

from __future__ import annotations

from typing import Any

from edgecv.compress.layer_graph import build, read
from edgecv.modelio.env import keras

STEPS = 128
"""The longest sequence that is unrolled: a file grows by some ten operators with every step."""
CELLS = frozenset({"GRU", "LSTM", "SimpleRNN"})


def unrolled(model: Any) -> Any:
    """Return a model of the same answers without loops; `model` itself when it has none that is short enough.

    Layers keep their names and weights. Sequences of open length, or of more than STEPS, stay as they are.
    """
    if not any(_is_loop(layer) for layer in _layers(model)):
        return model
    graph = read(model)
    lengths = {call.name: _steps(call.layer, [_shape(graph, key) for key in call.inputs]) for call in graph.calls}

    def wrap(call: Any) -> Any:
        steps = lengths[call.name]
        if not _is_loop(call.layer) or steps is None or steps > STEPS:
            return call.layer
        call.layer = _with_steps(call.layer)
        return call.layer

    return build(graph, wrap=wrap)


def _layers(model: Any) -> list[Any]:
    inner = [layer for layer in model.layers if isinstance(layer, keras().Model)]
    return [*model.layers, *(one for nested in inner for one in _layers(nested))]


def _is_loop(layer: Any) -> bool:
    kind = type(layer).__name__
    if kind == "Bidirectional":
        return _is_loop(layer.forward_layer) or _is_loop(layer.backward_layer)
    return kind in CELLS and not layer.unroll


def _shape(graph: Any, key: int) -> tuple[Any, ...]:
    made = graph.maker().get(key)
    return made.shape if made else next(shape for own, shape, _, _ in graph.inputs if own == key)


def _steps(layer: Any, shapes: list[tuple[Any, ...]]) -> int | None:
    return shapes[0][0] if len(shapes) == 1 and len(shapes[0]) == 2 else None


def _with_steps(layer: Any) -> Any:
    """Return an unbuilt copy of a recurrent layer, or of one around two, that is unrolled."""
    config = layer.get_config()
    if type(layer).__name__ != "Bidirectional":
        return type(layer).from_config(config | {"unroll": True})
    for part in ("layer", "backward_layer"):
        if part in config:
            config[part] = {**config[part], "config": {**config[part]["config"], "unroll": True}}
    return type(layer).from_config(config)
