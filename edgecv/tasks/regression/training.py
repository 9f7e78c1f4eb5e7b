"""Losses of values. Tensors are tensorflow's."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.tasks.protocol import Array
from edgecv.values.specs import Head


class RegressionTraining:
    """Mean squared or absolute error, or Huber's loss with delta 1. Raises ConfigError for outputs not "linear"."""

    def __init__(self, head: Head) -> None:
        if head.activation != "linear":
            raise ConfigError(
                f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
                hint=f"{head.task} takes linear",
            )
        self.targets = (TensorSpec((len(head.labels) or None,), "float32"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        return (np.asarray(truth, np.float32),)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return None: there are no classes."""
        return None

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        tf = require("tensorflow", why="to train")
        difference = _difference(targets[0], outputs[0])
        if options.regression == "mse":
            return tf.reduce_mean(tf.square(difference))
        size = tf.abs(difference)
        if options.regression == "mae":
            return tf.reduce_mean(size)
        return tf.reduce_mean(tf.where(size < 1.0, 0.5 * tf.square(size), size - 0.5))

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return (absolute errors, values)."""
        tf = require("tensorflow", why="to train")
        size = tf.abs(_difference(targets[0], outputs[0]))
        return tf.stack([tf.reduce_sum(size), tf.cast(tf.size(size), tf.float32)])

    def value(self, sums: Array) -> float:
        return float(sums[0] / sums[1])

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        tf = require("tensorflow", why="to train")
        return tf.reduce_mean(tf.square(_difference(teacher[0], outputs[0])))

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return rng.permutation(len(truths)).astype(np.int64)


def _difference(targets: Any, outputs: Any) -> Any:
    tf = require("tensorflow", why="to train")
    return outputs - tf.reshape(tf.cast(targets, outputs.dtype), tf.shape(outputs))
