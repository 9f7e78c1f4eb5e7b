"""Losses of classifiers. Tensors are tensorflow's."""

from __future__ import annotations

import math
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.tasks.protocol import Array
from edgecv.values.specs import Head

TWO = 2


def _tf() -> Any:
    return require("tensorflow", why="to train")


class ClassificationTraining:
    """Cross-entropy of probabilities or logits, binary where one output stands for two classes; for distances, of
    softmax(-d).

    The last is LeCun's MAP criterion with the rubbish class left out (j -> infinity).
    Source: LeCun, Bottou, Bengio, Haffner 1998, eq. 9.

    Raises:
        ConfigError: The head's outputs are of another kind.
    """

    targets = (TensorSpec((), "int64"),)

    def __init__(self, head: Head, threshold: Optional[float] = None) -> None:
        if head.activation not in _ENTROPIES:
            raise ConfigError(
                f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
                hint=f"{head.task} takes {', '.join(_ENTROPIES)}",
            )
        self._head = head
        self._threshold = threshold
        self._entropy = _ENTROPIES[head.activation]

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        return (np.asarray(truth, np.int64),)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return samples / (classes * samples of the class), float32; 0 for a class without samples."""
        counts = np.bincount(np.asarray(truths, np.int64), minlength=len(self._head.labels))
        weights = len(truths) / (len(counts) * np.maximum(counts, 1))
        return np.where(counts > 0, weights, 0.0).astype(np.float32)

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        tf = _tf()
        labels, out, smoothing = targets[0], outputs[0], options.label_smoothing
        classes = max(out.shape[-1], TWO)
        target = tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
        entropy = self._entropy(target, out) if out.shape[-1] > 1 else self._binary(target[:, 1:], out)
        if options.class_weights is None:
            return tf.reduce_mean(entropy)
        return tf.reduce_mean(entropy * tf.gather(tf.constant(options.class_weights), labels))

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return (right answers, samples)."""
        tf = _tf()
        right = tf.cast(tf.equal(self._answers(outputs[0]), targets[0]), tf.float32)
        return tf.stack([tf.reduce_sum(right), tf.cast(tf.size(right), tf.float32)])

    def value(self, sums: Array) -> float:
        return float(sums[0] / sums[1])

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return `T^2` times the cross-entropy of both distributions at temperature T.

        Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.
        """
        tf, temperature = _tf(), options.temperature
        soft = tf.nn.softmax(self._logits(teacher[0]) / temperature)
        return temperature**2 * tf.reduce_mean(_cross_entropy(soft, self._logits(outputs[0]) / temperature))

    def _logits(self, out: Any) -> Any:
        """Return logits (n, classes): those of one value are 0 and its own, whose softmax is the sigmoid."""
        tf, to_logits = _tf(), _LOGITS[self._head.activation]
        if out.shape[-1] > 1:
            return to_logits(out)
        is_logit = self._head.activation == "logits"
        second = out if is_logit else to_logits(out) - to_logits(1.0 - out)
        return tf.concat([tf.zeros_like(second), second], axis=-1)

    def _answers(self, out: Any) -> Any:
        """Return the class of each sample, int64 (n,), as the task's threshold says."""
        tf, threshold = _tf(), self._threshold
        logits = self._logits(out)
        if threshold is None:
            return tf.argmax(logits, axis=-1)
        return tf.cast(logits[:, 1] - logits[:, 0] > math.log(threshold / (1.0 - threshold)), tf.int64)

    def _binary(self, target: Any, out: Any) -> Any:
        entropy = require("tf_keras", why="to train").losses.binary_crossentropy
        return entropy(target, out, from_logits=self._head.activation == "logits")

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return rng.permutation(len(truths)).astype(np.int64)


def _cross_entropy(target: Any, logits: Any) -> Any:
    return _tf().nn.softmax_cross_entropy_with_logits(target, logits)


def _of_probabilities(target: Any, out: Any) -> Any:
    return require("tf_keras", why="to train").losses.categorical_crossentropy(target, out)


_ENTROPIES: Mapping[str, Callable[[Any, Any], Any]] = {
    "probabilities": _of_probabilities,
    "logits": _cross_entropy,
    "distances": lambda target, out: _cross_entropy(target, -out),
}
_LOGITS: Mapping[str, Callable[[Any], Any]] = {
    "probabilities": lambda out: _tf().math.log(_tf().maximum(out, 1e-7)),
    "logits": lambda out: out,
    "distances": lambda out: -out,
}
