"""A new head on a trained backbone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio.env import keras
from edgecv.tasks import registry
from edgecv.tasks.base import BaseTask
from edgecv.train.recipes import Stage, TrainRecipe
from edgecv.values.specs import ModelSpec

HEAD = "head"
HEAD_EPOCHS = 0.25
"""Share of a recipe's epochs that the new head trains alone."""

FINE_TUNING_RATE = 0.3
"""Of the recipe's learning rate: large steps would undo what the backbone knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHead:
    """What stands on the backbone.

    Attributes:
        task: What is learned: the kind of truth of the data.
        labels: Of the new head.
        units: Of a hidden dense layer; None for none.
        dropout: While training, 0 <= x < 1.
    """

    task: str
    labels: tuple[str, ...]
    units: int | None = None
    dropout: float = 0.0


def with_new_head(model: Any, spec: ModelSpec, head: NewHead) -> tuple[Any, ModelSpec]:
    """Return a model with the layers of a trained model up to its last maps, and a fresh head.

    The layers are shared with `model`. Behind the last maps (height, width, channels) stands a global average pool; a
    model whose classifier follows a pool keeps the pool.

    Args:
        model: Functional or sequential. The layer that gives the labels of its first head goes, with what follows; a
            backbone, whose head gives features, stays whole.
        spec: Its contract: input and preprocessing stay.
        head: What is built.

    Raises:
        ConfigError: Transfer learning has no head for the task, or there are too few labels.
        UnsupportedModelError: The model has nothing before its classifier, or its last layer is none.
    """
    task = registry.of_kind(head.task)
    if isinstance(task, BaseTask) and type(task).new_head is BaseTask.new_head:
        task.new_head(None, head.labels, HEAD)  # refuses, before the model is blamed
    x = _features(model, spec)
    layers = keras().layers
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name=f"{HEAD}_pool")(x)
    if head.units:
        x = layers.Dense(head.units, activation="relu", name=f"{HEAD}_fc")(x)
    if head.dropout:
        x = layers.Dropout(head.dropout, name=f"{HEAD}_drop")(x)
    output, contract = task.new_head(x, head.labels, f"{HEAD}_output")
    made = keras().Model(model.inputs, output, name=f"{model.name}_transfer")
    return made, replace(spec, heads=(contract,), variant=f"{spec.variant}_transfer")


def take_backbone(model: Any, spec: ModelSpec, donor: Any, donor_spec: ModelSpec) -> tuple[str, ...]:
    """Give the layers of a new model the weights of a trained one's layers of the same names; return those names.

    The last layers of both, which give the outputs, take no part.

    Args:
        model: Gets the weights, in place.
        spec: Its contract.
        donor: Such as a classifier whose stem and stages are the model's.
        donor_spec: Its contract: images reach both as the same numbers, of any size.

    Raises:
        ConfigError: No layer is called alike, one of the same name has weights of another shape, or the images' colours
            or scale differ.
    """
    ours, theirs = spec.preprocessing, donor_spec.preprocessing
    if (ours and (ours.color, ours.mean, ours.std)) != (theirs and (theirs.color, theirs.mean, theirs.std)):
        raise ConfigError(
            f"'{donor_spec.name}' takes images of another colour or scale than '{spec.name}': {theirs}, and {ours}",
            hint="train the backbone on what the model takes",
        )
    last = {tensor._keras_history.layer.name for one in (model, donor) for tensor in one.outputs}
    known = {layer.name: layer for layer in donor.layers if layer.weights and layer.name not in last}
    pairs = [(layer, known[layer.name]) for layer in model.layers if layer.name in known]
    if not pairs:
        raise ConfigError(
            f"no layer of '{spec.name}' is called like one of '{donor_spec.name}', whose layers are {', '.join(known)}",
            hint="start from a network of the same family, such as yolo_small_classifier for yolo_small",
        )
    for layer, trained in pairs:
        shapes, given = ([tuple(weight.shape) for weight in one.weights] for one in (layer, trained))
        if shapes != given:
            raise ConfigError(
                f"layer '{layer.name}' has weights of {shapes} in '{spec.name}' and of {given} in '{donor_spec.name}'",
                hint="build both with the same --width",
            )
    for layer, trained in pairs:
        layer.set_weights(trained.get_weights())
    return tuple(layer.name for layer, _ in pairs)


def backbone_recipe(recipe: TrainRecipe, backbone: tuple[str, ...]) -> TrainRecipe:
    """Return a recipe in two stages: what is new while `backbone` is frozen, then all layers at 0.3 of the rate."""
    first = max(1, round(recipe.epochs * HEAD_EPOCHS))
    stages = (
        Stage(epochs=first, freeze=backbone),
        Stage(epochs=max(1, recipe.epochs - first), learning_rate=recipe.learning_rate * FINE_TUNING_RATE),
    )
    return replace(recipe, stages=stages)


def transfer_recipe(model: Any, recipe: TrainRecipe) -> TrainRecipe:
    """Return a recipe in two stages: the head on cached features, then all layers at 0.3 of the rate."""
    first = max(1, round(recipe.epochs * HEAD_EPOCHS))
    backbone = tuple(layer.name for layer in model.layers if layer.weights and not layer.name.startswith(f"{HEAD}_"))
    stages = (
        Stage(epochs=first, freeze=backbone, cache_features=True),
        Stage(epochs=max(1, recipe.epochs - first), learning_rate=recipe.learning_rate * FINE_TUNING_RATE),
    )
    return replace(recipe, stages=stages)


def _features(model: Any, spec: ModelSpec) -> Any:
    """Return the tensor that the classifier takes, without a dropout in front of it."""
    if registry.task_of(spec.head).is_features:
        return model.outputs[0]
    tensor = _classifier(model, spec).input
    while (layer := tensor._keras_history.layer).__class__.__name__ in ("Dropout", "Flatten"):
        tensor = layer.input
    if not any(one.weights for one in keras().Model(model.inputs, tensor).layers):
        raise UnsupportedModelError(f"'{model.name}' has nothing before its classifier", hint="give a larger network")
    return tensor


def _classifier(model: Any, spec: ModelSpec) -> Any:
    """Return the last layer with weights before the first output: a value per label."""
    layer = model.outputs[0]._keras_history.layer
    while not layer.weights and not isinstance(layer.input, (list, tuple)) and layer.input is not layer.output:
        layer = layer.input._keras_history.layer
    if not layer.weights or layer.output.shape[-1] not in registry.task_of(spec.head).widths(spec.head):
        raise UnsupportedModelError(
            f"'{model.name}' does not end in a layer of one value for each of its {len(spec.head.labels)} labels, but "
            f"in '{layer.name}'",
            hint="cut it into a backbone and a head with `edgecv split`, and start from the backbone",
        )
    return layer
