"""Bringing a Keras 3 model into the form that the import works on, before it is rebuilt in tf_keras.

Inputs get fixed sizes and float32, other precisions become float32, and layers of the user's and Lambdas are opened:
their call is traced, so that their `keras.ops` stand in the graph. One that does something else is carried whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import custom, env, forms, opaque
from edgecv.modelio.contents import under_its_suffix
from edgecv.modelio.keras3_plan import Planner
from edgecv.modelio.opening import Opening


def load(source: Path, opening: Opening) -> Any:
    """Return the Keras 3 model of a file, whatever its suffix; raises what Keras raises.

    Model classes of the user's come back as the graph that they were built of.
    """
    keras3 = env.keras3()
    objects = custom.read_objects(opening.custom_objects, keras3=True)
    with under_its_suffix(source) as path:
        graphs = {
            name: keras3.Sequential if kind == "Sequential" else keras3.Model
            for name, kind in custom.graph_classes(custom.config_of(path)).items()
        }
        return keras3.models.load_model(
            path, custom_objects={**graphs, **objects}, compile=False, safe_mode=not opening.unsafe
        )


def prepared(original: Any, opening: Opening, *, where: str) -> tuple[Any, tuple[bool, ...]]:
    """Return a Keras 3 model with fixed float32 inputs, float32 layers and opened custom layers.

    It is the original where nothing is to be done; else it has been checked against it. Beside it stands which inputs
    took pixels, as `forms.pixel_inputs` says.

    Raises:
        UnsupportedModelError: An input stays open or has another type, or the model computes something else in float32.
    """
    if not hasattr(getattr(original, "_functional", None) or original, "_nodes_by_depth"):
        return original, ()  # no graph: the import says what it lacks
    inputs = _wanted_inputs(original, opening, where)
    pixels, seen = forms.pixel_inputs(original), forms.precisions(original)
    model = _in_float32(original, opening) if seen else _as_graph(original)
    fits = all(tuple(t.shape)[1:] == shape for t, shape in zip(original.inputs, inputs.values(), strict=True))
    floats = all(str(tensor.dtype) == "float32" for tensor in original.inputs)
    if not fits or not floats or any(map(_has_code, _leaves(model))):
        model = _retraced(model, inputs)
    if model is not original:
        forms.check_alike(original, model, inputs, seen, where=where, call=_call)
    return model, pixels


def _as_graph(model: Any) -> Any:
    """Return a model of the user's class as the plain model of its graph; others as they are."""
    keras3 = env.keras3()
    if type(model).__module__.startswith("keras."):
        return model
    return keras3.Model(model._inputs_struct, model._outputs_struct, name=model.name)


def _wanted_inputs(model: Any, opening: Opening, where: str) -> dict[str, tuple[int, ...]]:
    names = [tensor._keras_history.operation.name for tensor in model.inputs]
    for name, tensor in zip(names, model.inputs, strict=True):
        forms.check_type(name, str(tensor.dtype), where)
    return {
        name: opening.shape(name, tuple(tensor.shape)[1:], names=names, where=where)
        for name, tensor in zip(names, model.inputs, strict=True)
    }


def _leaves(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        else:
            yield layer


def _has_code(layer: Any) -> bool:
    return opaque.is_foreign(layer) or opaque.foreign_activation(layer) is not None


def _in_float32(model: Any, opening: Opening) -> Any:
    keras3 = env.keras3()
    objects = custom.read_objects(opening.custom_objects, keras3=True)
    scope = keras3.src.saving.serialization_lib.SafeModeScope(not opening.unsafe)
    with scope, keras3.saving.custom_object_scope(objects):
        model = _as_graph(model)
        made = type(model).from_config(forms.rewritten(model.get_config(), {}))
    made.set_weights(model.get_weights())
    return made


def _retraced(model: Any, inputs: Mapping[str, tuple[int, ...]]) -> Any:
    """Return the model of the same layers, called anew on inputs of these shapes; models inside it are opened."""
    keras3 = env.keras3()
    fresh = [keras3.Input(shape, dtype="float32", name=name) for name, shape in inputs.items()]
    outputs = keras3.tree.pack_sequence_as(_structure(model), _run(model, fresh, {}))
    return keras3.Model(fresh, outputs, name=model.name)


def _structure(model: Any) -> Any:
    graph = getattr(model, "_functional", None) or model
    return graph._outputs_struct


def input_structure(model: Any) -> Any:
    """Return how a Keras 3 model wants its inputs; it warns of another form, also where that means the same."""
    graph = getattr(model, "_functional", None) or model
    return getattr(graph, "_inputs_struct", graph.inputs)


def _run(model: Any, taken: Sequence[Any], split: dict[int, tuple[Any, ...]]) -> list[Any]:
    """Return the outputs of a model on symbolic tensors, in order; `split` holds what became of layers so far."""
    graph = getattr(model, "_functional", None) or model
    tree = env.keras3().tree
    values = {id(tensor): value for tensor, value in zip(graph.inputs, taken, strict=True)}
    for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if node.is_input:
                continue
            args, kwargs = node.arguments.fill_in(values)
            results = _called(node.operation, args, kwargs, split)
            values.update(zip((id(tensor) for tensor in node.outputs), tree.flatten(results), strict=True))
    return [values[id(tensor)] for tensor in graph.outputs]


def _called(operation: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], split: dict[int, tuple[Any, ...]]) -> Any:
    tree = env.keras3().tree
    if hasattr(operation, "layers"):
        return _run(operation, [tensor for tensor in tree.flatten((args, kwargs)) if _is_symbolic(tensor)], split)
    if opaque.is_foreign(operation):
        with contextlib.suppress(Exception):  # its code may do what cannot be traced
            return _traced(operation, args, kwargs, split)
    if opaque.foreign_activation(operation) is None:
        return operation(*args, **kwargs)
    if id(operation) not in split:
        split[id(operation)] = _without_activation(operation)
    layer, activation = split[id(operation)]
    return _called(activation, (layer(*args, **kwargs),), {}, split)


def _without_activation(layer: Any) -> tuple[Any, Any]:
    """Return a layer of the same weights without its activation, and the activation as a layer."""
    keras3 = env.keras3()
    linear = keras3.activations.serialize(keras3.activations.linear)
    config = {**keras3.saving.serialize_keras_object(layer)["config"], "activation": linear}
    with keras3.src.saving.serialization_lib.SafeModeScope(False):  # what is read was made here
        bare = type(layer).from_config(config)
    if layer.weights:
        bare.build(layer._build_shapes_dict.get("input_shape") if layer._build_shapes_dict else layer.input.shape)
        bare.set_weights(layer.get_weights())
    activation = layer.activation
    if not hasattr(activation, "compute_output_shape"):
        activation = keras3.layers.Lambda(activation, name=f"{layer.name}_activation")
    return bare, activation


def _traced(layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], split: dict[int, tuple[Any, ...]]) -> Any:
    """Return what a layer's own code makes of symbolic tensors; raises when the import has no layer for all of it."""
    keras3 = env.keras3()
    fresh = {
        id(tensor): keras3.Input(tuple(tensor.shape)[1:], dtype=tensor.dtype)
        for tensor in keras3.tree.flatten((args, kwargs))
        if _is_symbolic(tensor)
    }
    inner_args, inner_kwargs = keras3.tree.map_structure(lambda one: fresh.get(id(one), one), (args, dict(kwargs)))
    piece = keras3.Model(list(fresh.values()), layer.call(*inner_args, **inner_kwargs))
    planner = Planner()
    planner.add(piece)
    if planner.problems:
        raise UnsupportedModelError("; ".join(planner.problems))
    given = {id(tensor): tensor for tensor in keras3.tree.flatten((args, kwargs)) if _is_symbolic(tensor)}
    results = _run(piece, [given[key] for key in fresh], split)
    return keras3.tree.pack_sequence_as(piece._outputs_struct, results)


def _is_symbolic(value: Any) -> bool:
    return type(value).__name__ == "KerasTensor"


def _call(model: Any, batch: Sequence[Any]) -> list[Any]:
    tree = env.keras3().tree
    answers = env.infer(model, tree.pack_sequence_as(input_structure(model), list(batch)))
    return [np.asarray(env.keras3().ops.cast(value, "float32")) for value in tree.flatten(answers)]
