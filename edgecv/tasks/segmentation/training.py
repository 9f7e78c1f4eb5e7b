"""Learning masks: targets at the input's size, cross-entropy and soft Dice over the pixels that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.tasks import sampling
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.tasks.segmentation import metrics
from edgecv.values.specs import Head

Array = NDArray[Any]

IGNORED = sampling.NOWHERE
SMALLEST = 1e-7  # probability that counts as zero: Keras' epsilon


@dataclass(frozen=True)
class SegmentationTraining:
    """The training of one head. Outputs are (n, h, w, K), or (n, h, w, 1) for two labels.

    Attributes:
        logits: Whether the outputs are logits; else probabilities.
        ignore_index: Of the truths; None when every pixel counts.
        dice_weight: Share of the soft Dice loss, 0..1.
        weights: Of the classes in the cross-entropy; empty weighs all alike.
        classes: Labels of the head.
        binary: Whether two labels share one channel where an output has one.
        covers: The box (x1, y1, x2, y2) of the input that the outputs are about; empty for the whole input.
        enlarged: Whether smaller outputs are interpolated to the input's size, as the runtime does; else each of their
            pixels is held against the label at its centre.
    """

    logits: bool
    ignore_index: Optional[int]
    dice_weight: float
    weights: Tuple[float, ...]
    classes: int
    binary: bool
    covers: Tuple[float, ...] = ()
    enlarged: bool = True

    @classmethod
    def of(cls, head: Head, settings: Any) -> SegmentationTraining:
        """Return the training of a head with its SegmentationSettings. Raises ConfigError when they cannot be."""
        if head.activation not in ("probabilities", "logits"):
            raise ConfigError(
                f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
                hint="segmentation takes probabilities or logits; put an argmax behind the model after training",
            )
        if not 0.0 <= settings.dice_weight <= 1.0:
            raise ConfigError(f"dice_weight of head '{head.name}' must be 0..1, got {settings.dice_weight}")
        weights = tuple(settings.class_weights)
        if weights and head.labels and len(weights) != len(head.labels):
            raise ConfigError(
                f"head '{head.name}' has {len(head.labels)} labels and {len(weights)} class_weights",
                hint="give one weight per label",
            )
        return cls(
            logits=head.activation == "logits",
            ignore_index=settings.ignore_index,
            dice_weight=settings.dice_weight,
            weights=weights,
            classes=len(head.labels),
            binary=len(head.labels) == 2,
            covers=tuple(settings.covers),
            enlarged=settings.resize == "bilinear" and not settings.covers,
        )

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return pixels / (classes * pixels of the class), float32, so that every class counts alike; 0 without any."""
        counts = np.zeros(self.classes, np.int64)
        for truth in truths:
            counts += np.bincount(self._known(truth), minlength=self.classes)
        weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
        return np.where(counts > 0, weights, 0.0).astype(np.float32)

    def _known(self, truth: Any) -> Array:
        labels = np.asarray(truth).reshape(-1)
        return labels if self.ignore_index is None else labels[labels != self.ignore_index]

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        return (TensorSpec((None, None), "int32"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        """Return the label map at the input's size, int32 (H, W); -1 where a pixel does not count.

        Outputs of smaller size are enlarged to it.
        """
        labels = np.asarray(truth).astype(np.int32)
        if self.ignore_index is not None:
            labels[labels == self.ignore_index] = IGNORED
        if frame is None:
            return (labels,)
        return (sampling.nearest(labels, sampling.input_in_image(frame), outside=IGNORED).astype(np.int32),)

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return (1 - dice_weight) * cross-entropy + dice_weight * (1 - soft Dice)."""
        tf = require("tensorflow", why="to train")
        logs = self._log_probabilities(self._enlarged(outputs[0], targets[0]), 1.0)
        labels = _at_size(targets[0], logs, self.covers)
        total = 0.0
        if self.dice_weight < 1.0:
            weights = options.class_weights if options.class_weights is not None else self.weights
            total += (1.0 - self.dice_weight) * _cross_entropy(tf, labels, logs, options.label_smoothing, weights)
        if self.dice_weight > 0.0:
            total += self.dice_weight * _dice_loss(tf, labels, tf.exp(logs))
        return total

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return the counts of `metrics`, flattened from (3, K)."""
        tf = require("tensorflow", why="to train")
        logs = self._log_probabilities(self._enlarged(outputs[0], targets[0]), 1.0)
        labels = _at_size(targets[0], logs, self.covers)
        classes = logs.shape[-1]
        right = tf.one_hot(labels, classes)  # all zeros for -1
        judged = tf.cast(labels >= 0, tf.float32)[..., None]
        said = tf.one_hot(tf.argmax(logs, axis=-1), classes) * judged
        return tf.concat([tf.reduce_sum(part, axis=[0, 1, 2]) for part in (right * said, said, right)], axis=0)

    def value(self, sums: Array) -> float:
        """Return the mean IoU, 0 when no pixel was judged: at the input's size, or at the outputs' that stay theirs."""
        value = float(metrics.mean_iou(np.asarray(sums, np.float64).reshape(3, -1)))
        return value if np.isfinite(value) else 0.0

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return T^2 times the cross-entropy of both distributions at temperature T, the mean over the pixels.

        Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2.
        """
        tf = require("tensorflow", why="to train")
        soft = tf.exp(self._log_probabilities(teacher[0], options.temperature))
        logs = self._log_probabilities(outputs[0], options.temperature)
        return options.temperature**2 * -tf.reduce_mean(tf.reduce_sum(soft * logs, axis=-1))

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return np.asarray(rng.permutation(len(truths)), np.int64)

    def _enlarged(self, output: Any, labels: Any) -> Any:
        """Scores at the size of label maps, as the runtime enlarges them.

        Source: Chen et al. 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", 4.1: shrinking
        the truth instead loses its details.
        """
        if not self.enlarged:
            return output
        tf = require("tensorflow", why="to train")
        size = tf.maximum(tf.shape(output)[1:3], tf.shape(labels)[1:3])
        return tf.image.resize(tf.cast(output, tf.float32), size)

    def _log_probabilities(self, output: Any, temperature: float) -> Any:
        """Natural logarithm of each class's probability at a temperature, float32 (n, h, w, K)."""
        tf = require("tensorflow", why="to train")
        values = tf.cast(output, tf.float32)
        if self.binary and values.shape[-1] == 1:
            parts = [tf.zeros_like(values), values] if self.logits else [1.0 - values, values]
            values = tf.concat(parts, axis=-1)
        if not self.logits:
            # softmax(log p) is p again. Added, not clipped, so that a pixel that is surely wrong keeps a gradient.
            values = tf.math.log(values + SMALLEST)
        return tf.nn.log_softmax(values / temperature, axis=-1)


def _at_size(labels: Any, outputs: Any, covers: Sequence[float]) -> Any:
    """Label maps (n, H, W) at the size of outputs (n, h, w, K): the label at the centre of each output pixel."""
    tf = require("tensorflow", why="to train")
    for axis, (low, high) in ((1, covers[1::2] or (None, None)), (2, covers[::2] or (None, None))):
        wanted, size = tf.shape(outputs)[axis], tf.shape(labels)[axis]
        if low is None or high is None:
            places = (2 * tf.range(wanted) + 1) * size // (2 * wanted)
        else:
            step = (high - low) / tf.cast(wanted, tf.float32)
            centres = low + (tf.range(wanted, dtype=tf.float32) + 0.5) * step
            places = tf.clip_by_value(tf.cast(tf.floor(centres), tf.int32), 0, size - 1)
        labels = tf.gather(labels, places, axis=axis)
    return labels


def _cross_entropy(tf: Any, labels: Any, logs: Any, smoothing: float, weights: Any) -> Any:
    """Mean over the pixels that count; weights multiply each pixel's part and do not change what it is divided by."""
    classes = logs.shape[-1]
    counted = tf.cast(labels >= 0, tf.float32)
    safe = tf.maximum(labels, 0)
    target = tf.one_hot(safe, classes) * (1.0 - smoothing) + smoothing / classes
    parts = -tf.reduce_sum(target * logs, axis=-1) * counted
    if len(weights):
        parts *= tf.gather(tf.constant(np.asarray(weights, np.float32)), safe)
    return tf.reduce_sum(parts) / tf.maximum(tf.reduce_sum(counted), 1.0)


def _dice_loss(tf: Any, labels: Any, probabilities: Any) -> Any:
    """1 - the mean of 2 sum(p t) / (sum(p) + sum(t)) over the classes that occur in the batch's truth.

    Source: Milletari, Navab, Ahmadi 2016, "V-Net", section 3, without the squares in the denominator, so that for
    hard masks it is Dice's coefficient.
    """
    right = tf.one_hot(labels, probabilities.shape[-1])
    said = probabilities * tf.cast(labels >= 0, tf.float32)[..., None]
    agreed, said_sum, right_sum = (tf.reduce_sum(part, axis=[0, 1, 2]) for part in (right * said, said, right))
    occurs = tf.cast(right_sum > 0, tf.float32)
    values = 2.0 * agreed / tf.maximum(said_sum + right_sum, SMALLEST)
    return 1.0 - tf.reduce_sum(values * occurs) / tf.maximum(tf.reduce_sum(occurs), 1.0)
