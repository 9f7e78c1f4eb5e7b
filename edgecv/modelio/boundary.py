"""Inputs and outputs of a keras model: what they are called, and calling it in their order."""

from __future__ import annotations

from collections.abc import Sequence
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

    Keras calls an output after its layer, and a dict's key would be lost; an identity of that name keeps it.
    """
    outputs = getattr(model, "_nested_outputs", None)
    if not isinstance(outputs, dict):
        return model
    layer = env.keras().layers.Activation
    names = output_names(model)
    flat = env.tensorflow().nest.flatten(outputs)
    keys = env.tensorflow().nest.flatten({key: key for key in outputs})
    named = [
        tensor if name == key else layer("linear", name=key)(tensor)
        for key, name, tensor in zip(keys, names, flat, strict=True)
    ]
    return env.keras().Model(model.inputs, named, name=model.name)
