"""Running a float model and its rounded twin over the same samples, layer by layer, choosing weights on the way.

Each layer's choice sees what the layers before it, already rounded, really give it. A tensor is let go after its last
use: memory is that of the tensors alive at one layer, times the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Call, LayerGraph, build, filled, read
from edgecv.compress.weight_grid import Array, solvable
from edgecv.core.progress import QUIET, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A layer with a kernel, and what comes to it.

    Attributes:
        call: The layer; `call.weights` are its float kernel and, when it has one, its bias.
        expected: Its input in the float model, float32 with all samples.
        given: Its input in the rounded model.
    """

    call: Call
    expected: Array
    given: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen for a layer.

    Attributes:
        rounded: Weights of the layer in the rounded twin, which later layers see.
        kept: Weights of the layer in the model that is returned.
        integers: The kernel's integers in keras' layout, when the kept kernel lies on an integer grid.
    """

    rounded: list[Array]
    kept: list[Array]
    integers: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """A model with the chosen weights.

    Attributes:
        model: A new keras model.
        integers: Kernels on an integer grid, by layer.
        left: Layers with a kernel that no choice was made for.
    """

    model: Any
    integers: dict[str, Array] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def walk(
    model: Any, inputs: Array, choose: Callable[[Site], Choice], *, title: str, reporter: Reporter = QUIET
) -> Walked:
    """Visit every layer with a kernel in order and return the model with what was chosen.

    Args:
        model: In canonical form, with one input; it is not changed.
        inputs: Preprocessed samples, float32 (samples, …).
        choose: From a layer and its inputs to its weights.
        title: Of the progress bar.
        reporter: Gets a step per layer with a kernel.

    Raises:
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
    """
    graph, twin = read(model), build(read(model))
    sites = [call for call in graph.calls if call.weights]
    integers: dict[str, Array] = {}
    left: list[str] = []
    with reporter.bar(title, len(sites)) as advance:

        def visit(call: Call, expected: Array, given: Array) -> None:
            if not solvable(call, graph.shared):
                left.append(call.name)
            else:
                choice = choose(Site(call=call, expected=expected, given=given))
                twin.get_layer(call.name).set_weights(choice.rounded)
                call.weights = choice.kept
                if choice.integers is not None:
                    integers[call.name] = choice.integers
            advance()

        _run(graph, model, twin, inputs, visit)
    return Walked(model=build(graph), integers=integers, left=tuple(dict.fromkeys(left)))


def _run(graph: LayerGraph, model: Any, twin: Any, inputs: Array, visit: Callable[[Call, Array, Array], None]) -> None:
    key = graph.inputs[0][0]
    tensors: dict[int, tuple[Any, Any]] = {key: (inputs, inputs)}
    last = {k: position for position, call in enumerate(graph.calls) for k in call.inputs}
    for position, call in enumerate(graph.calls):
        taken = [tensors[k] for k in call.inputs]
        if call.weights:
            visit(call, np.asarray(taken[0][0]), np.asarray(taken[0][1]))
        expected = called(model.get_layer(call.name), call, [pair[0] for pair in taken])
        given = called(twin.get_layer(call.name), call, [pair[1] for pair in taken])
        tensors[call.output] = (expected, given)
        for k in call.inputs:
            if last[k] == position:
                tensors.pop(k, None)


def called(layer: Any, call: Call, tensors: list[Any]) -> Any:
    """Return what a layer gives for the tensors of a call, in inference."""
    args, kwargs = call.arguments or ((tensors if len(tensors) > 1 else tensors[0],), {})
    named = {key: filled(value, tensors) for key, value in kwargs.items()}
    return layer(*(filled(value, tensors) for value in args), **named)
