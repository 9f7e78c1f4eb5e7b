"""How the second stage of a detector is learned: classes and boxes of regions that are cut out beforehand.

Source: Girshick 2015, "Fast R-CNN", section 2.3. The paper draws one region with an object for three without; here all
are taken, and those without weigh as much as three times those with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError
from edgecv.core.optional import require
from edgecv.tasks.detection.regions import RegionTruth
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.values.specs import Head

if TYPE_CHECKING:
    from edgecv.tasks.detection.settings import DetectionSettings

Array = NDArray[Any]

BACKGROUND = 3.0
"""What regions without an object weigh together, at most, in terms of those with one."""


class RegionTraining:
    """Learning the class of each region, and the offsets to its object's box.

    Args:
        head: With the decoder "regions".
        settings: Of it.
    """

    def __init__(self, head: Head, settings: DetectionSettings) -> None:
        if head.activation != "logits":
            raise ConfigError(
                f"head '{head.name}' gives '{head.activation}', training needs logits",
                hint='end the network without a softmax, and say activation = "logits"',
            )
        self.head, self.settings = head, settings
        self._units = 1 + len(head.labels)

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        """Of each region the offsets to its object, and its code: 0 background, then the classes; -1 counts nowhere."""
        return (TensorSpec((None, 5), "float32"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        """Return the targets of one sample. Raises DataError for anything but a `RegionTruth`."""
        if not isinstance(truth, RegionTruth):
            raise DataError(
                f"head '{self.head.name}' learns of regions, got {type(truth).__name__}",
                hint="train the whole detector: edgecv train",
            )
        return (np.column_stack([truth.offsets, truth.code]).astype(np.float32),)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return None: regions are weighed by whether they show an object."""
        return None

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the loss of a batch: cross-entropy of the classes, and Huber's of the offsets of objects."""
        tf = _tensorflow()
        offsets, scores = self._raw(outputs)
        code = tf.cast(targets[0][..., 4], tf.int32)
        held, empty = tf.cast(code > 0, tf.float32), tf.cast(code == 0, tf.float32)
        count = tf.maximum(tf.reduce_sum(held), 1.0)
        share = tf.minimum(1.0, BACKGROUND * count / tf.maximum(tf.reduce_sum(empty), 1.0))
        named = tf.one_hot(tf.maximum(code, 0), self._units)
        named = named * (1.0 - options.label_smoothing) + options.label_smoothing / self._units
        lost = tf.nn.softmax_cross_entropy_with_logits(named, scores) * (held + share * empty)
        apart = tf.abs(self._own(offsets, code) - targets[0][..., :4])
        huber = tf.where(apart < 1.0, 0.5 * tf.square(apart), apart - 0.5)
        return (tf.reduce_sum(lost) + tf.reduce_sum(held * tf.reduce_sum(huber, axis=-1))) / count

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return how many regions of each class are called right, and how many there are: float32, adds up."""
        tf = _tensorflow()
        _, scores = self._raw(outputs)
        code = tf.cast(targets[0][..., 4], tf.int32)
        right = tf.cast(tf.equal(tf.argmax(scores, axis=-1, output_type=tf.int32), code), tf.float32)
        named = tf.one_hot(code, self._units)  # -1 gives zeros
        return tf.concat([tf.reduce_sum(named * right[..., None], axis=(0, 1)), tf.reduce_sum(named, axis=(0, 1))], 0)

    def value(self, sums: Array) -> float:
        """Return the share of regions that are called right, the mean over classes that occur; 0 without regions."""
        right, count = np.asarray(sums, np.float64).reshape(2, -1)
        return float((right[count > 0] / count[count > 0]).mean()) if (count > 0).any() else 0.0

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the loss of following a teacher's scores on the same regions. Source: Hinton et al. 2015."""
        tf = _tensorflow()
        soft = tf.nn.softmax(self._raw(teacher)[1] / options.temperature)
        own = tf.nn.log_softmax(self._raw(outputs)[1] / options.temperature)
        return -tf.reduce_mean(tf.reduce_sum(soft * own, axis=-1)) * options.temperature**2

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        """Return a random order of the samples, int64 (n,)."""
        return rng.permutation(len(truths)).astype(np.int64)

    def _raw(self, outputs: Sequence[Any]) -> Tuple[Any, Any]:
        """Offsets (n, regions, boxes, 4) and scores (n, regions, units)."""
        tf = _tensorflow()
        boxes, scores = outputs[-2:]
        each = int(boxes.shape[-1]) // 4
        rows = int(np.prod(boxes.shape[1:-1]))
        return tf.reshape(boxes, (-1, rows, each, 4)), tf.reshape(scores, (-1, rows, self._units))

    def _own(self, offsets: Any, code: Any) -> Any:
        """The offsets of each region's class, (n, regions, 4)."""
        tf = _tensorflow()
        if int(offsets.shape[2]) == 1:
            return offsets[:, :, 0]
        return tf.gather(offsets, tf.maximum(code, 0), axis=2, batch_dims=2)


def _tensorflow() -> Any:
    return require("tensorflow", why="to train")
