"""How a model is trained, as frozen values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.train.augment import Augmentation

NO_AUGMENTATION = Augmentation()

MOST_ENLARGED = 4.0
"""Of the sides of an input; a batch of twice the side takes four times the memory."""

Optimizer = Literal["adam", "adamw", "sgd", "rmsprop"]
Schedule = Literal["constant", "cosine", "step", "exponential"]


def check(field: str, value: object, holds: bool, expected: str) -> None:
    """Raise ConfigError naming `field` unless `holds`."""
    if not holds:
        raise ConfigError(f"{field} must be {expected}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Lower the learning rate when the validation value stops getting better.

    Attributes:
        factor: What the rate is multiplied with, 0 < x < 1.
        patience: Epochs without a better value before it is, >= 1.
        smallest: The rate never goes below this, >= 0.
    """

    factor: float = 0.2
    patience: int = 2
    smallest: float = 1e-6

    def __post_init__(self) -> None:
        check("reduce_on_plateau.factor", self.factor, 0 < self.factor < 1, "> 0 and < 1")
        check("reduce_on_plateau.patience", self.patience, self.patience >= 1, ">= 1")
        check("reduce_on_plateau.smallest", self.smallest, self.smallest >= 0, ">= 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One part of a training in which some layers stand still. What it does not set, the recipe says.

    Attributes:
        epochs: Of the stage, >= 1.
        learning_rate: Of its first epoch; None takes the recipe's.
        freeze: Names of layers that do not train, with `*` and `?` as wildcards; batch normalisation among them runs in
            inference mode.
        train_last: Freeze all layers but so many last ones; None freezes by name only.
        cache_features: Compute what the frozen layers in front give once per image, and train the rest on that.
    """

    epochs: int
    learning_rate: float | None = None
    freeze: tuple[str, ...] = ()
    train_last: int | None = None
    cache_features: bool = False

    def __post_init__(self) -> None:
        check("stages.epochs", self.epochs, self.epochs >= 1, ">= 1")
        rate, last = self.learning_rate, self.train_last
        check("stages.learning_rate", rate, rate is None or rate > 0, "> 0")
        check("stages.train_last", last, last is None or last >= 1, ">= 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRecipe:
    """One training run, complete: the same recipe, data, machine and initial weights give the same weights.

    Attributes:
        optimizer: "adam", "adamw", "rmsprop" or "sgd" (Nesterov momentum 0.9).
        learning_rate: Of the first epoch after the warm-up, > 0.
        schedule: "constant"; "cosine": `lr * (1 + cos(pi * epoch / epochs)) / 2`; "step": a tenth of it from each of
            half and three quarters of the epochs on; "exponential": falls evenly on a log scale to a hundredth.
            Source of the cosine: Loshchilov and Hutter 2017, SGDR, eq. 5, without restarts.
        warmup: Epochs in which the rate rises evenly to `learning_rate`, >= 0.
        weight_decay: Decoupled from the gradient (Loshchilov and Hutter 2019), >= 0.
        clip_norm: Largest norm of the gradient of all weights together; None does not clip.
        batch_size: Images per step, >= 1.
        epochs: Passes over the training split, >= 1.
        seed: Of shuffling, augmentation and dropout; each epoch's streams follow from (seed, epoch).
        ema: Decay of a moving average of the weights per step, 0 < x < 1, such as 0.998: the average is what is judged
            and kept, and starts with a smaller decay. None keeps the weights themselves.
        patience: Epochs without a better validation value before stopping; None never stops early.
        reduce_on_plateau: Lowers the rate on top of the schedule; None does not.
        label_smoothing: Share of the target's mass spread over all classes, 0 <= x < 1.
        class_weights: "balanced" weighs each class by the inverse of its share of the first head's training labels.
        head_weights: Weight of the loss of each head by its name; 1 where none is given.
        auxiliary_weight: Weight of the loss of each auxiliary classifier.
        regression_loss: Of regression heads: "mse", "mae" or "huber" (with delta 1).
        temperature: Of distillation, > 0; with a teacher only. Source: Hinton, Vinyals, Dean 2015, section 2.
        teacher_weight: Share of the teacher's loss in distillation, 0..1.
        augmentation: Random moves of the training images; none by default.
        sizes: Factors of the input's sides, of which each batch takes one at random, for networks that take any size;
            empty trains on the full size. Validation is at the full size.
        stages: Parts of the run in which layers are frozen; none: all layers train for `epochs`.
    """

    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    warmup: int = 0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    batch_size: int = 32
    epochs: int = 20
    seed: int = 0
    ema: float | None = None
    patience: int | None = None
    reduce_on_plateau: Plateau | None = None
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    head_weights: Mapping[str, float] = field(default_factory=dict)
    auxiliary_weight: float = 0.3
    regression_loss: Literal["mse", "mae", "huber"] = "mse"
    temperature: float = 4.0
    teacher_weight: float = 0.7
    augmentation: Augmentation = NO_AUGMENTATION
    sizes: tuple[float, ...] = ()
    stages: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise unknown_name("optimizer", self.optimizer, get_args(Optimizer))
        if self.schedule not in get_args(Schedule):
            raise unknown_name("schedule", self.schedule, get_args(Schedule))
        check("learning_rate", self.learning_rate, self.learning_rate > 0, "> 0")
        check("warmup", self.warmup, self.warmup >= 0, ">= 0")
        check("weight_decay", self.weight_decay, self.weight_decay >= 0, ">= 0")
        check("clip_norm", self.clip_norm, self.clip_norm is None or self.clip_norm > 0, "> 0 or None")
        check("batch_size", self.batch_size, self.batch_size >= 1, ">= 1")
        check("epochs", self.epochs, self.epochs >= 1, ">= 1")
        check("seed", self.seed, self.seed >= 0, ">= 0")
        check("ema", self.ema, self.ema is None or 0 < self.ema < 1, "> 0 and < 1, or None")
        check("patience", self.patience, self.patience is None or self.patience >= 1, ">= 1 or None")
        check("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "in [0, 1)")
        check("temperature", self.temperature, self.temperature > 0, "> 0")
        check("teacher_weight", self.teacher_weight, 0 <= self.teacher_weight <= 1, "in [0, 1]")
        check("auxiliary_weight", self.auxiliary_weight, self.auxiliary_weight >= 0, ">= 0")
        check("sizes", list(self.sizes), all(0 < factor <= MOST_ENLARGED for factor in self.sizes), "> 0 and <= 4")
        for name, weight in self.head_weights.items():
            check(f"head_weights.{name}", weight, weight >= 0, ">= 0")


def adjusted(
    recipe: TrainRecipe,
    *,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
) -> TrainRecipe:
    """Return a recipe with the values that are not None.

    With stages, `epochs` are those of all stages together, shared out as they are now, and `learning_rate` is that of
    the first stage; the others' rates change by the same factor.

    Raises:
        ConfigError: A value is out of range, or there are fewer epochs than stages.
    """
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size, "seed": seed}
    stages = recipe.stages
    if stages and epochs is not None:
        stages = _shared_out(stages, epochs)
    if stages and learning_rate is not None:
        factor = learning_rate / (stages[0].learning_rate or recipe.learning_rate)
        stages = tuple(
            one if one.learning_rate is None else replace(one, learning_rate=one.learning_rate * factor)
            for one in stages
        )
        given["learning_rate"] = recipe.learning_rate * factor
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(recipe, stages=stages, **changes)


def _shared_out(stages: tuple[Stage, ...], epochs: int) -> tuple[Stage, ...]:
    """Return the stages with `epochs` in all, each with its share and at least one."""
    check("epochs", epochs, epochs >= len(stages), f">= {len(stages)}, one for each of the recipe's stages")
    total, done, made = sum(stage.epochs for stage in stages), 0, []
    for index, stage in enumerate(stages):
        upto = sum(other.epochs for other in stages[: index + 1])
        own = round(epochs * upto / total) - done
        own = min(max(1, own), epochs - done - (len(stages) - index - 1))
        made.append(replace(stage, epochs=own))
        done += own
    return tuple(made)


def fine_tuning(recipe: TrainRecipe, *, rate: float, epochs: float) -> dict[str, Any]:
    """Return the fields of a recipe that goes on after `recipe`, with its learning rate and epochs scaled."""
    values = {entry.name: getattr(recipe, entry.name) for entry in fields(TrainRecipe)}
    scaled = {"learning_rate": recipe.learning_rate * rate, "epochs": max(4, round(recipe.epochs * epochs))}
    return values | scaled | {"stages": (), "warmup": 0, "sizes": ()}


def recipe_facts(recipe: TrainRecipe) -> dict[str, Any]:
    """Return what a recipe says, as JSON-able values by which a resume file knows its run.

    Fields that came later stand in it only where they are used, so that older resume files still fit.
    """
    facts = asdict(recipe)
    if recipe.ema is None:
        del facts["ema"]
    if not recipe.sizes:
        del facts["sizes"]
    if not recipe.augmentation.mosaic:
        del facts["augmentation"]["mosaic"]
    return facts


def learning_rate_at(recipe: TrainRecipe, epoch: int) -> float:
    """Return the learning rate of `epoch` (0-based), plateaus left out."""
    if epoch < recipe.warmup:
        return recipe.learning_rate * (epoch + 1) / (recipe.warmup + 1)
    progress = (epoch - recipe.warmup) / max(1, recipe.epochs - recipe.warmup)
    if recipe.schedule == "cosine":
        return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
    if recipe.schedule == "step":
        return recipe.learning_rate * float(0.1 ** ((progress >= 0.5) + (progress >= 0.75)))
    if recipe.schedule == "exponential":
        return recipe.learning_rate * float(0.01**progress)
    return recipe.learning_rate


def plateau_factor(how: Plateau | None, values: Sequence[float], *, rate: float) -> float:
    """Return what plateaus so far make of the learning rate.

    It follows from the finished epochs alone, so a resumed run has it too.

    Args:
        how: None gives 1.
        values: Validation values of the finished epochs; smaller is better.
        rate: The schedule's rate, for the smallest one.
    """
    if how is None:
        return 1.0
    factor, best, waited = 1.0, math.inf, 0
    for value in values:
        waited = 0 if value < best else waited + 1
        best = min(best, value)
        if waited >= how.patience:
            factor, waited = factor * how.factor, 0
    return max(factor, min(1.0, how.smallest / rate))
