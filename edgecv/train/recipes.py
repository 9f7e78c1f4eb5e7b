"""How a model is trained, as frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, Mapping, get_args

from edgecv.errors import ConfigError, unknown_name
from edgecv.specs import ModelSpec
from edgecv.train.augment import Augmentation

NO_AUGMENTATION = Augmentation()

Optimizer = Literal["adam", "sgd", "rmsprop"]
Schedule = Literal["constant", "cosine"]


def check(field: str, value: object, holds: bool, expected: str) -> None:
    """Raise ConfigError naming `field` unless `holds`."""
    if not holds:
        raise ConfigError(f"{field} must be {expected}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """One training run, complete: the same recipe, data, machine and initial weights give the same weights.

    Attributes:
        optimizer: "adam", "rmsprop" or "sgd" (Nesterov momentum 0.9).
        learning_rate: Of the first epoch, > 0.
        schedule: "constant", or "cosine": `lr * (1 + cos(pi * epoch / epochs)) / 2`.
            Source: Loshchilov and Hutter 2017, SGDR, eq. 5, without restarts.
        batch_size: Images per step, >= 1.
        epochs: Passes over the training split, >= 1.
        seed: Of shuffling, augmentation and dropout; each epoch's streams follow from (seed, epoch).
        patience: Epochs without a better validation value before stopping; None never stops early.
        label_smoothing: Share of the target's mass spread over all classes, 0 <= x < 1.
        augmentation: Random moves of the training images; none by default.
    """

    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    batch_size: int = 32
    epochs: int = 20
    seed: int = 0
    patience: int | None = None
    label_smoothing: float = 0.0
    augmentation: Augmentation = NO_AUGMENTATION

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise unknown_name("optimizer", self.optimizer, get_args(Optimizer))
        if self.schedule not in get_args(Schedule):
            raise unknown_name("schedule", self.schedule, get_args(Schedule))
        check("learning_rate", self.learning_rate, self.learning_rate > 0, "> 0")
        check("batch_size", self.batch_size, self.batch_size >= 1, ">= 1")
        check("epochs", self.epochs, self.epochs >= 1, ">= 1")
        check("seed", self.seed, self.seed >= 0, ">= 0")
        check("patience", self.patience, self.patience is None or self.patience >= 1, ">= 1 or None")
        check("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")


def fine_tuning(recipe: TrainRecipe, *, rate: float, epochs: float) -> dict[str, Any]:
    """Return the fields of a recipe that goes on after `recipe`, with its learning rate and epochs scaled."""
    values = {entry.name: getattr(recipe, entry.name) for entry in fields(TrainRecipe)}
    scaled = {"learning_rate": recipe.learning_rate * rate, "epochs": max(4, round(recipe.epochs * epochs))}
    return values | scaled


def learning_rate_at(recipe: TrainRecipe, epoch: int) -> float:
    """Return the learning rate of `epoch` (0-based)."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / recipe.epochs))


_HANDWRITING = Augmentation(shift=2.0, rotation=10.0, zoom=0.1, shear=0.1)

_OBJECTS = Augmentation(shift=3.0, flip=True)
_OBJECT_RECIPE = TrainRecipe(batch_size=64, epochs=24, augmentation=_OBJECTS)

RECIPES: Mapping[str, TrainRecipe] = {
    "lenet5": TrainRecipe(learning_rate=2e-3, epochs=30, label_smoothing=0.05, augmentation=_HANDWRITING),
    "lenet5/book": TrainRecipe(learning_rate=3e-3, epochs=30, augmentation=_HANDWRITING),
    "resnet8": TrainRecipe(
        learning_rate=3e-3, batch_size=128, epochs=60, augmentation=Augmentation(shift=2.0, flip=True)
    ),
    "resnet20": _OBJECT_RECIPE,
    "se_resnet20": _OBJECT_RECIPE,
    "mobilenet_v2_small": _OBJECT_RECIPE,
    "xception_small": _OBJECT_RECIPE,
    "densenet_small": _OBJECT_RECIPE,
    "googlenet_small": _OBJECT_RECIPE,
    "alexnet_quarter": _OBJECT_RECIPE,
    "cnn_fashion": TrainRecipe(batch_size=64, epochs=10, augmentation=Augmentation(shift=1.0)),
}
"""By architecture id, or "id/variant" where a variant needs its own."""


def default_recipe(spec: ModelSpec) -> TrainRecipe:
    """Return the recipe for a model: its variant's, else its architecture's, else the defaults of TrainRecipe."""
    by_name = RECIPES.get(spec.name, TrainRecipe())
    return RECIPES.get(f"{spec.name}/{spec.variant}", by_name)
