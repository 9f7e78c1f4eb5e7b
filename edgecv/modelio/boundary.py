"""Inputs and outputs of a keras model: what they are called, and calling it in their order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from typing import Any

from edgecv.modelio import env
from edgecv.modelio.layer_names import source_layer_name


def input_names(model: Any) -> tuple[str, ...]:
    """Return the names of a model's inputs, in the order in which it takes them."""
    return tuple(str(name) for name in model.input_names)


def output_names(model: Any) -> tuple[str, ...]:
    """Return the names of a model's outputs, in order: those of the source layers that give them.

    What pruning or quantisation put around a layer does not change its output's name.
    """
    return tuple(source_layer_name(str(name)) or str(name) for name in model.output_names)


def call(model: Any, tensors: Sequence[Any], *, training: bool = False) -> list[Any]:
    """Return the outputs of a model, in the order of its output names, for tensors in the order of its inputs."""
    outputs = model(tensors[0] if len(tensors) == 1 else list(tensors), training=training)
    return list(env.tensorflow().nest.flatten(outputs))


def named_outputs(model: Any) -> Any:
    """Return a model whose outputs are a list and called by their keys, where it gives a dict; else the model.

    Keras calls an output after its layer, and a dict's key would be lost.
    """
    outputs = getattr(model, "_nested_outputs", None)
    if not isinstance(outputs, dict):
        return model
    return renamed_outputs(model, env.tensorflow().nest.flatten({key: str(key) for key in outputs}))


def renamed_outputs(model: Any, wanted: Sequence[str]) -> Any:
    """Return a model of the same layers whose outputs are a list and have other names, in order.

    An identity of the name does it. Another layer that has the name already, but does not give that output, is renamed.
    """
    tensors = env.tensorflow().nest.flatten(model.outputs)
    rows = list(zip((scope_name(name) for name in wanted), output_names(model), tensors, strict=True))
    for layer in model.layers:
        if layer.name in {name for name, own, _ in rows if name != own}:
            layer._name = _free(f"{layer.name}_layer", {other.name for other in model.layers})
    identity = env.keras().layers.Activation
    named = [tensor if name == own else identity("linear", name=name)(tensor) for name, own, tensor in rows]
    return env.keras().Model(model.inputs, named, name=model.name)


def scope_name(name: str) -> str:
    """Return a name as TensorFlow's scopes allow it: it starts with a letter or digit and has no spaces."""
    return re.sub(r"^[^A-Za-z0-9.]+", "", re.sub(r"[^A-Za-z0-9_.\\/-]", "_", name)) or "layer"


def plainly_named(model: Any) -> Any:
    """Return a model that can be traced: it, and models inside it, are called as TensorFlow's scopes allow it.

    Keras lets a model be called anything. Its name is the first part of its operators' names, so a slash would be taken
    for a layer. The model is changed in place.
    """
    for inner in (layer for layer in getattr(model, "layers", ()) if hasattr(layer, "layers")):
        plainly_named(inner)
    plain = model_name(model.name)
    if plain != model.name:
        model._name = plain
    return model


def model_name(name: str) -> str:
    """Return the name of a model as `plainly_named` gives it."""
    return scope_name(name.replace("/", "_").replace("\\", "_"))


def _free(name: str, taken: Collection[str]) -> str:
    return next(one for count in itertools.count(1) if (one := name if count == 1 else f"{name}_{count}") not in taken)
