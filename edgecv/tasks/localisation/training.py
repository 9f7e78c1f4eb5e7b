"""How localisation is learned: a cross-entropy and a loss of four numbers. Tensors are tensorflow's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.optional import require
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.tasks.localisation import coding

if TYPE_CHECKING:
    from edgecv.tasks.localisation.task import LocalisationSettings

Array = NDArray[Any]

LEAST = 1e-7  # of a probability whose logarithm is taken. Source: Keras, `epsilon()`.


class LocalisationTraining:
    """Learning the class and the box of one object.

    Args:
        settings: Of the head.
        logits: Whether the class scores are logits; else probabilities.
        classes: How many there are.
    """

    def __init__(self, settings: LocalisationSettings, *, logits: bool, classes: int) -> None:
        self.settings, self.logits, self.classes = settings, logits, classes

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        """A class, and four numbers as the network says them."""
        return TensorSpec((), "int64"), TensorSpec((4,), "float32")

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        """Return the class, int64 (), and the box in input coordinates, float32 (4,)."""
        return np.asarray(truth.class_id[0], np.int64), coding.encoded(truth.xyxy[0], self.settings, frame)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return samples / (classes * samples of the class), float32 (classes,); 0 for a class without samples."""
        counts = np.bincount([int(truth.class_id[0]) for truth in truths], minlength=self.classes)
        weights = len(truths) / (len(counts) * np.maximum(counts, 1))
        return np.where(counts > 0, weights, 0.0).astype(np.float32)

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return `class_weight * cross-entropy + box_weight * box loss`, means over the batch.

        The box loss is the mean over the four numbers, by the head's settings; the recipe's regression loss is of
        regression heads alone.
        """
        tf = _tensorflow()
        classes = tf.reshape(targets[0], [-1])
        lost = self._entropy(classes, outputs[0], options.label_smoothing)
        if options.class_weights is not None:
            lost *= tf.gather(tf.constant(options.class_weights, tf.float32), classes)
        box = self._box_loss(targets[1], outputs[1])
        return self.settings.class_weight * tf.reduce_mean(lost) + self.settings.box_weight * box

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return the sum of the overlaps in the input, and the number of samples: float32 (2,)."""
        tf = _tensorflow()
        overlap = _overlap(self._corners(targets[1]), self._corners(outputs[1]))
        return tf.stack([tf.reduce_sum(overlap), tf.cast(tf.size(overlap), tf.float32)])

    def value(self, sums: Array) -> float:
        """Return the mean IoU, measured in the input's own coordinates; 0 without samples."""
        return float(sums[0] / max(float(sums[1]), 1.0))

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the weighted sum of following the teacher's softened classes, and its boxes.

        Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2, for the classes,
        with its factor of the squared temperature; Chen et al. 2017, "Learning Efficient Object Detection Models with
        Knowledge Distillation", for boxes.
        """
        tf = _tensorflow()
        soft, own = (tf.nn.log_softmax(self._logits(side[0]) / options.temperature) for side in (teacher, outputs))
        divergence = tf.reduce_mean(tf.reduce_sum(tf.exp(soft) * (soft - own), axis=-1))
        box = self._box_loss(teacher[1], outputs[1])
        return self.settings.class_weight * options.temperature**2 * divergence + self.settings.box_weight * box

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        """Return a random order of the samples, int64 (n,)."""
        return rng.permutation(len(truths))

    def _logits(self, scores: Any) -> Any:
        tf = _tensorflow()
        values = tf.cast(scores, tf.float32)
        return values if self.logits else tf.math.log(tf.clip_by_value(values, LEAST, 1.0))

    def _entropy(self, classes: Any, scores: Any, smoothing: float) -> Any:
        """Cross-entropy of each sample, with `smoothing` of the target spread over all classes."""
        tf = _tensorflow()
        logs = tf.nn.log_softmax(self._logits(scores))
        told = tf.gather(logs, classes, batch_dims=1)
        return -(1.0 - smoothing) * told - smoothing * tf.reduce_mean(logs, axis=-1)

    def _box_loss(self, wanted: Any, said: Any) -> Any:
        tf = _tensorflow()
        error = tf.abs(tf.cast(wanted, tf.float32) - tf.cast(said, tf.float32))
        if self.settings.box_loss == "mae":
            return tf.reduce_mean(error)
        if self.settings.box_loss == "huber":
            return tf.reduce_mean(tf.where(error <= 1.0, 0.5 * tf.square(error), error - 0.5))
        return tf.reduce_mean(tf.square(error))

    def _corners(self, values: Any) -> Any:
        """As `coding.decoded` without frames, in tensorflow."""
        tf = _tensorflow()
        values = tf.reshape(tf.cast(values, tf.float32), [-1, 4])
        if self.settings.box == "xyxy":
            low, high = tf.minimum(values[:, :2], values[:, 2:]), tf.maximum(values[:, :2], values[:, 2:])
        else:
            sizes = tf.maximum(values[:, 2:], 0.0)
            half = 0.5 * tf.reverse(tf.square(sizes) if self.settings.sqrt else sizes, [1])
            low, high = values[:, :2] - half, values[:, :2] + half
        return tf.clip_by_value(tf.concat([low, high], axis=1), 0.0, 1.0)


def _overlap(a: Any, b: Any) -> Any:
    """As `boxes.iou_rows`, in tensorflow."""
    tf = _tensorflow()
    shared = tf.reduce_prod(tf.maximum(tf.minimum(a[:, 2:], b[:, 2:]) - tf.maximum(a[:, :2], b[:, :2]), 0.0), axis=1)
    areas = tf.reduce_prod(a[:, 2:] - a[:, :2], axis=1) + tf.reduce_prod(b[:, 2:] - b[:, :2], axis=1)
    return tf.math.divide_no_nan(shared, areas - shared)


def _tensorflow() -> Any:
    return require("tensorflow", why="to train")
