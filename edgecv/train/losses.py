"""The loss that fits what a model's outputs are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecv.core.errors import ConfigError
from edgecv.modelio.env import keras, tensorflow
from edgecv.train.recipes import TrainRecipe
from edgecv.values.specs import Head, ModelSpec

Loss = Callable[[Any, Any], Any]
"""(targets, outputs float32 (n, units)) -> scalar float32 tensor, the mean over the batch. Targets are int64 (n,) for
classification and float32 (n, units) for the other tasks."""

ModelLoss = Callable[[Sequence[Any], Sequence[Any]], Any]
"""(targets of every head, outputs of the model) -> scalar float32 tensor."""


def model_loss(spec: ModelSpec, recipe: TrainRecipe, *, class_weights: npt.NDArray[np.float32] | None) -> ModelLoss:
    """Return the training loss of a model: the weighted sum over its heads, auxiliary classifiers included.

    Outputs beyond the spec's heads are auxiliary classifiers on the first head's target.

    Args:
        spec: Its heads.
        recipe: Weights and smoothing.
        class_weights: Of the first head's classes, (classes,); None weighs all alike.

    Raises:
        ConfigError: A head has no loss, or the recipe weighs a head that the model lacks.
    """
    names = [head.name for head in spec.heads]
    unknown = sorted(set(recipe.head_weights) - set(names))
    if unknown:
        raise ConfigError(f"head_weights names {', '.join(unknown)}", hint=f"the model has {', '.join(names)}")
    losses = [
        loss_for(
            head,
            label_smoothing=recipe.label_smoothing,
            regression=recipe.regression_loss,
            class_weights=class_weights if index == 0 else None,
        )
        for index, head in enumerate(spec.heads)
    ]
    weights = [float(recipe.head_weights.get(name, 1.0)) for name in names]

    def loss(targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        parts = [one(target, out) for one, target, out in zip(losses, targets, outputs, strict=False)]
        total = _weighted(parts, weights)
        for auxiliary in outputs[len(losses) :]:
            total += recipe.auxiliary_weight * losses[0](targets[0], auxiliary)
        return total

    return loss


def _weighted(parts: Sequence[Any], weights: Sequence[float]) -> Any:
    if len(parts) == 1 and weights == [1.0]:
        return parts[0]
    return tensorflow().add_n([weight * part for weight, part in zip(weights, parts, strict=True)])


def loss_for(
    head: Head,
    *,
    label_smoothing: float = 0.0,
    regression: str = "mse",
    class_weights: npt.NDArray[np.float32] | None = None,
) -> Loss:
    """Return the training loss of a head.

    Classification by probabilities and logits: cross-entropy. Distances: cross-entropy of softmax(-d), which is LeCun's
    MAP criterion with the rubbish class left out (j -> infinity). Multilabel: binary cross-entropy, the mean over the
    labels. Regression: mean squared or absolute error, or Huber's loss with delta 1.
    Source: LeCun, Bottou, Bengio, Haffner 1998, eq. 9.

    Args:
        head: What the outputs are.
        label_smoothing: 0 <= x < 1; classification only.
        regression: "mse", "mae" or "huber".
        class_weights: (classes,); None weighs all alike.

    Raises:
        ConfigError: The head's task has no loss, or its activation does not fit the task.
    """
    if head.task == "regression" and head.activation == "linear":
        return _REGRESSION[regression]
    if head.task == "multilabel" and head.activation in ("probabilities", "logits"):
        return _binary(from_logits=head.activation == "logits")
    losses: Mapping[str, Callable[[Any, Any], Any]] = {
        "probabilities": lambda target, out: keras().losses.categorical_crossentropy(target, out),
        "logits": _cross_entropy,
        "distances": lambda target, out: _cross_entropy(target, -out),
    }
    if head.task != "classification" or head.activation not in losses:
        raise ConfigError(
            f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
            hint="classification takes probabilities, logits or distances; multilabel takes probabilities or logits; "
            "regression takes linear",
        )
    return _classification(losses[head.activation], label_smoothing, class_weights)


def is_regression(head: Head) -> bool:
    """Say whether smaller validation values are better (mean absolute error) instead of larger (accuracy)."""
    return head.task == "regression"


def balanced(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    """Return a weight per class: samples / (classes * samples of the class), so that every class counts alike.

    Args:
        labels: int64 (n,), 0..classes-1.
        classes: Their number; one without samples gets the weight 0.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (classes * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def _classification(
    entropy: Callable[[Any, Any], Any], smoothing: float, weights: npt.NDArray[np.float32] | None
) -> Loss:
    def loss(labels: Any, outputs: Any) -> Any:
        tf = tensorflow()
        units = outputs.shape[-1]
        target = tf.one_hot(labels, units) * (1.0 - smoothing) + smoothing / units
        if weights is None:
            return tf.reduce_mean(entropy(target, outputs))
        return tf.reduce_mean(entropy(target, outputs) * tf.gather(tf.constant(weights), labels))

    return loss


def _cross_entropy(target: Any, logits: Any) -> Any:
    return tensorflow().nn.softmax_cross_entropy_with_logits(target, logits)


def _binary(*, from_logits: bool) -> Loss:
    def loss(targets: Any, outputs: Any) -> Any:
        tf = tensorflow()
        return tf.reduce_mean(keras().losses.binary_crossentropy(targets, outputs, from_logits=from_logits))

    return loss


def _difference(targets: Any, outputs: Any) -> Any:
    tf = tensorflow()
    return outputs - tf.reshape(tf.cast(targets, outputs.dtype), tf.shape(outputs))


def _squared_error(targets: Any, outputs: Any) -> Any:
    tf = tensorflow()
    return tf.reduce_mean(tf.square(_difference(targets, outputs)))


def _absolute_error(targets: Any, outputs: Any) -> Any:
    tf = tensorflow()
    return tf.reduce_mean(tf.abs(_difference(targets, outputs)))


def _huber(targets: Any, outputs: Any) -> Any:
    tf = tensorflow()
    size = tf.abs(_difference(targets, outputs))
    return tf.reduce_mean(tf.where(size < 1.0, 0.5 * tf.square(size), size - 0.5))


_REGRESSION: Mapping[str, Loss] = {"mse": _squared_error, "mae": _absolute_error, "huber": _huber}


def validation_metric(head: Head) -> Loss:
    """Return what a head is judged by: accuracy, share of samples with every label right, or mean absolute error."""
    if head.task == "regression":
        return _absolute_error
    if head.task == "multilabel":
        return _exact_match(0.0 if head.activation == "logits" else 0.5)
    return _accuracy(-1.0 if head.activation == "distances" else 1.0)


def _accuracy(sign: float) -> Loss:
    def metric(labels: Any, outputs: Any) -> Any:
        tf = tensorflow()
        return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(sign * outputs, axis=-1), labels), tf.float32))

    return metric


def _exact_match(threshold: float) -> Loss:
    def metric(targets: Any, outputs: Any) -> Any:
        tf = tensorflow()
        right = tf.equal(outputs > threshold, targets > 0.5)
        return tf.reduce_mean(tf.cast(tf.reduce_all(right, axis=-1), tf.float32))

    return metric


def distillation_loss(head: Head, *, temperature: float) -> Loss:
    """Return the loss of following a teacher: (the teacher's outputs, the student's outputs) -> scalar.

    Classification: `T^2` times the cross-entropy of both distributions at temperature T. Source: Hinton, Vinyals, Dean
    2015, "Distilling the Knowledge in a Neural Network", section 2. Other tasks: mean squared difference.
    """
    if head.task != "classification":
        return _squared_error
    to_logits: Callable[[Any], Any] = {
        "probabilities": lambda out: tensorflow().math.log(tensorflow().maximum(out, 1e-7)),
        "distances": lambda out: -out,
    }.get(head.activation, lambda out: out)

    def loss(teacher: Any, student: Any) -> Any:
        tf = tensorflow()
        soft = tf.nn.softmax(to_logits(teacher) / temperature)
        return temperature**2 * tf.reduce_mean(_cross_entropy(soft, to_logits(student) / temperature))

    return loss
