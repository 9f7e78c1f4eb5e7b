"""The loss that fits what a head's numbers are."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from edgecv.errors import ConfigError
from edgecv.modelio.env import keras, tensorflow
from edgecv.specs import Head

Loss = Callable[[Any, Any], Any]
"""(labels int64 (n,), outputs float32 (n, units)) -> scalar float32 tensor, the mean over the batch."""


def loss_for(head: Head, *, label_smoothing: float = 0.0) -> Loss:
    """Return the training loss of a head.

    Probabilities and logits: cross-entropy. Distances: cross-entropy of softmax(-d), which is LeCun's MAP criterion
    with the rubbish class left out (j -> infinity). Linear: mean squared error.
    Source: LeCun, Bottou, Bengio, Haffner 1998, eq. 9.

    Args:
        head: What the outputs are.
        label_smoothing: 0 <= x < 1; classification only.

    Raises:
        ConfigError: The head's task has no loss for integer labels, or its activation does not fit the task.
    """
    if head.task == "regression" and head.activation == "linear":
        return _squared_error
    losses: Mapping[str, Callable[[Any, Any], Any]] = {
        "probabilities": lambda target, out: keras().losses.categorical_crossentropy(target, out),
        "logits": _cross_entropy,
        "distances": lambda target, out: _cross_entropy(target, -out),
    }
    if head.task != "classification" or head.activation not in losses:
        raise ConfigError(
            f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
            hint="classification takes probabilities, logits or distances; regression takes linear",
        )
    return _classification(losses[head.activation], label_smoothing)


def is_regression(head: Head) -> bool:
    """Say whether smaller validation values are better (mean absolute error) instead of larger (accuracy)."""
    return head.task == "regression"


def _classification(entropy: Callable[[Any, Any], Any], smoothing: float) -> Loss:
    def loss(labels: Any, outputs: Any) -> Any:
        tf = tensorflow()
        units = outputs.shape[-1]
        target = tf.one_hot(labels, units) * (1.0 - smoothing) + smoothing / units
        return tf.reduce_mean(entropy(target, outputs))

    return loss


def _cross_entropy(target: Any, logits: Any) -> Any:
    return tensorflow().nn.softmax_cross_entropy_with_logits(target, logits)


def _squared_error(labels: Any, outputs: Any) -> Any:
    tf = tensorflow()
    return tf.reduce_mean(tf.square(outputs[:, 0] - tf.cast(labels, outputs.dtype)))
