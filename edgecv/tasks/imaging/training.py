"""Learning pictures pixel by pixel: targets at the input's size times `scale`, in levels, with what does not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.tasks import sampling
from edgecv.tasks.frame import Frame
from edgecv.tasks.imaging.likeness import PEAK, WINDOW
from edgecv.tasks.imaging.prediction import as_colors
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.values.specs import Head

Array = NDArray[Any]

LUMA = (0.299, 0.587, 0.114)
"""Gray of RGB. Source: ITU-R BT.601, as of preprocessing."""


@dataclass(frozen=True)
class ImagingTraining:
    """The training of one head, whose outputs are (n, h, w, 1) or (n, h, w, 3).

    Attributes:
        low, high: Values of black and white in the outputs.
        scale: Of the picture's sides to those of the input.
    """

    low: float
    high: float
    scale: int

    @classmethod
    def of(cls, head: Head, settings: Any) -> ImagingTraining:
        """Return the training of a head with its ImagingSettings. Raises ConfigError for outputs not "linear"."""
        if head.activation != "linear":
            raise ConfigError(
                f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
                hint=f"{head.task} takes linear",
            )
        return cls(settings.low, settings.high, settings.scale)

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        return (TensorSpec((None, None, 4), "uint8"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        """Return uint8 (H, W, 4): red, green, blue, and 1 where the input shows the image, else 0."""
        pixels = as_colors(np.asarray(truth))
        if frame is None:
            return (_with_counted(pixels, np.ones(pixels.shape[:2], bool)),)
        grid = sampling.input_in_image(self._scaled(frame))
        values = np.clip(np.rint(sampling.bilinear(pixels, grid)), 0, PEAK).astype(np.uint8)
        return (_with_counted(values, sampling.inside(grid)),)

    def _scaled(self, frame: Frame) -> Frame:
        """The frame between the true picture and an input of as many pixels."""
        (a, b, c), (d, e, f) = frame.matrix
        k = self.scale
        sizes = [(height * k, width * k) for height, width in (frame.size, frame.input_size)]
        return Frame(sizes[0], sizes[1], ((a, b, c * k), (d, e, f * k)))

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return None: there are no classes."""
        return None

    def pictures(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Tuple[Any, Any, Any]:
        """Return truths and outputs as float32 (n, h, w, C) of 0..1, and which pixels count, (n, h, w, 1).

        Raises:
            ConfigError: The outputs are of another size than the input times `scale`.
        """
        tf = require("tensorflow", why="to train")
        made = (tf.cast(outputs[0], tf.float32) - self.low) / (self.high - self.low)
        whole = tf.cast(targets[0], tf.float32)
        wanted, found = tuple(whole.shape[1:3]), tuple(made.shape[1:3])
        if None not in (*wanted, *found) and wanted != found:
            raise ConfigError(
                f"the network gives pictures of {found[1]}x{found[0]} pixels, its head's scale of {self.scale} asks "
                f"for {wanted[1]}x{wanted[0]}",
                hint="set the head's scale to the output's sides over the input's",
            )
        right = whole[..., :3] / PEAK
        if made.shape[-1] == 1:
            right = tf.reduce_sum(right * tf.constant(LUMA), axis=-1, keepdims=True)
        return right, made, whole[..., 3:]

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the mean squared or absolute error of 0..1, or Huber's with delta 1/255, over pixels that count."""
        tf = require("tensorflow", why="to train")
        right, made, counted = self.pictures(targets, outputs)
        difference = made - right
        if options.regression == "mse":
            error = tf.square(difference)
        elif options.regression == "mae":
            error = tf.abs(difference)
        else:
            size, delta = tf.abs(difference), 1.0 / PEAK
            error = tf.where(size < delta, 0.5 * tf.square(size) / delta, size - 0.5 * delta)
        channels = tf.cast(tf.shape(made)[-1], tf.float32)
        return tf.reduce_sum(error * counted) / tf.maximum(tf.reduce_sum(counted) * channels, 1.0)

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return (sum of the pictures' structural similarities, pictures), at the output's size; padding is alike."""
        tf = require("tensorflow", why="to train")
        right, made, counted = self.pictures(targets, outputs)
        made = tf.clip_by_value(made, 0.0, 1.0)
        sides = [side or WINDOW for side in made.shape[1:3]]
        found = tf.image.ssim(right * counted, made * counted, max_val=1.0, filter_size=min(WINDOW, *sides))
        return tf.stack([tf.reduce_sum(found), tf.cast(tf.size(found), tf.float32)])

    def value(self, sums: Array) -> float:
        return float(sums[0] / sums[1])

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        tf = require("tensorflow", why="to train")
        return tf.reduce_mean(tf.square((teacher[0] - outputs[0]) / (self.high - self.low)))

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return rng.permutation(len(truths)).astype(np.int64)


def _with_counted(pixels: Array, counted: Array) -> Array:
    return np.concatenate([pixels, counted[:, :, None].astype(np.uint8)], axis=2)
