"""What a style network learns by: features like the picture that came in, textures like the style.

Source: Johnson, Alahi, Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", section 3.
"""

from __future__ import annotations

from typing import Any, Optional, Protocol, Sequence, Tuple

import numpy as np

from edgecv.modelio.env import tensorflow
from edgecv.tasks.learning import LossOptions, TensorSpec, TrainingTask
from edgecv.train.style.backbones import Backbone
from edgecv.train.style.losses import StyleLoss
from edgecv.values.scores import Metric

Array = np.ndarray[Any, Any]

METRIC = Metric("perceptual_loss", unit="loss", better="lower")


class PictureTraining(TrainingTask, Protocol):
    """The training of a head that makes pictures."""

    def pictures(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Tuple[Any, Any, Any]:
        """Return truths and outputs as float32 (n, h, w, C) of 0..1, and which pixels count, (n, h, w, 1)."""
        ...


class PerceptualTraining:
    """The training of a head whose truth is the picture that went in.

    Args:
        own: What reads the head's targets and outputs.
        style: float32 (h, w, 3) RGB, 0..1.
        network: Gives the layers of `loss`.
        loss: Content, style, and differences of neighbours.
    """

    def __init__(self, own: PictureTraining, style: Array, network: Backbone, loss: StyleLoss) -> None:
        self._own, self._network, self._loss = own, network, loss
        painted = loss.targets(network.features(tensorflow().constant(style[None])))
        # Constants of the traced step, whichever graph traces it.
        self._style = {layer: matrix.numpy() for layer, matrix in painted.items()}

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        return self._own.targets

    def encode(self, truth: Any, frame: Any) -> Tuple[Array, ...]:
        return self._own.encode(truth, frame)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return None: there are no classes."""
        return None

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the weighted sum of both parts and of the differences of neighbours, the mean over the pictures."""
        content, made, counted = self._own.pictures(targets, outputs)
        # Where an input shows no image there is nothing to be like.
        content, made = content * counted, made * counted
        parts = self._loss.parts(self._network.features(made), self._network.features(content), self._style)
        return parts["content"] + parts["style"] + self._loss.variation(made)

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return (sum of the losses, pictures)."""
        tf = tensorflow()
        count = tf.cast(tf.shape(outputs[0])[0], tf.float32)
        return tf.stack([self.loss(targets, outputs, LossOptions()) * count, count])

    def value(self, sums: Array) -> float:
        return float(sums[0] / sums[1])

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        return self._own.distil(teacher, outputs, options)

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return self._own.order(truths, rng)
