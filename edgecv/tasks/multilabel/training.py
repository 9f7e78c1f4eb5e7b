"""Losses of independent labels. Tensors are tensorflow's."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.tasks.protocol import Array
from edgecv.values.specs import Head


class MultilabelTraining:
    """Binary cross-entropy, the mean over the labels. Raises ConfigError for outputs that are no probabilities."""

    def __init__(self, head: Head) -> None:
        if head.activation not in ("probabilities", "logits"):
            raise ConfigError(
                f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
                hint=f"{head.task} takes probabilities or logits",
            )
        self._from_logits = head.activation == "logits"
        self.targets = (TensorSpec((len(head.labels) or None,), "float32"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        return (np.asarray(truth, np.float32),)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return None: labels are not alternatives."""
        return None

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        entropy = require("tf_keras", why="to train").losses.binary_crossentropy
        mean: Any = require("tensorflow", why="to train").reduce_mean
        return mean(entropy(targets[0], outputs[0], from_logits=self._from_logits))

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return (samples with every label right, samples)."""
        tf = require("tensorflow", why="to train")
        right = tf.equal(outputs[0] > (0.0 if self._from_logits else 0.5), targets[0] > 0.5)
        exact = tf.cast(tf.reduce_all(right, axis=-1), tf.float32)
        return tf.stack([tf.reduce_sum(exact), tf.cast(tf.size(exact), tf.float32)])

    def value(self, sums: Array) -> float:
        return float(sums[0] / sums[1])

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        tf = require("tensorflow", why="to train")
        return tf.reduce_mean(tf.square(outputs[0] - teacher[0]))

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return rng.permutation(len(truths)).astype(np.int64)
