"""The loss of a whole model: the weighted sum of what the task of each head learns by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.modelio.boundary import output_names
from edgecv.modelio.env import tensorflow
from edgecv.tasks.learning import LossOptions, TrainingTask
from edgecv.tasks.protocol import Array
from edgecv.tasks.registry import task_of
from edgecv.train.recipes import TrainRecipe
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import ModelSpec


class Heads:
    """The heads of a model while it trains: what each learns by, and which targets and outputs are its own.

    Outputs that no head reads are auxiliary classifiers on the first head's target.

    Args:
        model: A tf_keras model.
        spec: Its contract.
        recipe: Weights and smoothing.
        class_weights: Of the first head's classes, float32 (classes,); None weighs all alike.
        first: What the first head learns by; None for its task's own.

    Raises:
        ConfigError: A head has no loss, or the recipe weighs a head that the model lacks.
        UnsupportedModelError: A head reads an output that the model lacks.
    """

    def __init__(
        self, model: Any, spec: ModelSpec, recipe: TrainRecipe, *, class_weights: Array | None = None,
        first: TrainingTask | None = None,
    ) -> None:  # fmt: skip
        names = [head.name for head in spec.heads]
        unknown = sorted(set(recipe.head_weights) - set(names))
        if unknown:
            raise ConfigError(f"head_weights names {', '.join(unknown)}", hint=f"the model has {', '.join(names)}")
        self.tasks: list[TrainingTask] = [task_of(head).training(head) for head in spec.heads]
        if first is not None:
            self.tasks[0] = first
        self._places = bind_outputs(spec, output_names(model), spec.name)
        read = {place for own in self._places for place in own}
        self._auxiliary = [place for place in range(len(model.outputs)) if place not in read]
        self._weights = [float(recipe.head_weights.get(name, 1.0)) for name in names]
        self._auxiliary_weight = recipe.auxiliary_weight
        self._plain = LossOptions(regression=recipe.regression_loss, temperature=recipe.temperature)
        self._options = replace(self._plain, label_smoothing=recipe.label_smoothing, class_weights=class_weights)

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return the scalar training loss; targets as `batches.Arrays`, every output of the model."""
        return self._loss(targets, outputs, self._options)

    def plain_loss(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return the loss without smoothing and class weights, by which epochs are compared."""
        return self._loss(targets, outputs, self._plain)

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
        """Return what adds up to the validation value of each head."""
        rows = zip(self.tasks, self._own_targets(targets), self._own_outputs(outputs), strict=True)
        return [task.statistics(own, out) for task, own, out in rows]

    def values(self, sums: Sequence[Array]) -> list[float]:
        """Return the validation value of each head from its summed statistics."""
        return [task.value(own) for task, own in zip(self.tasks, sums, strict=True)]

    def follow(self, teacher: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return the loss of the first head following a teacher's outputs of the same order."""
        return self.tasks[0].distil(self._own_outputs(teacher)[0], self._own_outputs(outputs)[0], self._options)

    def _loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        owned, parts = self._own_targets(targets), []
        for place, (task, own, out) in enumerate(zip(self.tasks, owned, self._own_outputs(outputs), strict=True)):
            # Class weights are of the first head's classes.
            mine = options if place == 0 else replace(options, class_weights=None)
            parts.append(task.loss(own, out, mine))
        total = _weighted(parts, self._weights)
        for place in self._auxiliary:
            total += self._auxiliary_weight * self.tasks[0].loss(owned[0], [outputs[place]], options)
        return total

    def _own_outputs(self, outputs: Sequence[Any]) -> list[list[Any]]:
        return [[outputs[place] for place in own] for own in self._places]

    def _own_targets(self, targets: Sequence[Any]) -> list[list[Any]]:
        left, found = list(targets), []
        for task in self.tasks:
            count = len(task.targets)
            found.append(left[:count])
            left = left[count:]
        return found


def _weighted(parts: Sequence[Any], weights: Sequence[float]) -> Any:
    if len(parts) == 1 and list(weights) == [1.0]:
        return parts[0]
    return tensorflow().add_n([weight * part for weight, part in zip(weights, parts, strict=True)])
