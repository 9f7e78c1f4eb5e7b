"""A moving average of weights while they train: what is judged and kept, steadier than the weights of the last step.

Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; with a decay that warms up as
in TensorFlow's `tf.train.ExponentialMovingAverage`.
"""

from __future__ import annotations

from typing import Any

from edgecv.modelio.env import keras, tensorflow
from edgecv.train.state import Array


class Average:
    """The exponential moving average of what a model learns: trainable weights, and means of batch normalisation.

    Masks, counters and ranges of fake quantisation are no part of it: a model that stands on the average keeps its own.

    Args:
        model: Averaged from its present weights on; which weights train must not change afterwards.
        decay: Of the average after its warm-up, 0 < x < 1: after n updates it is min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, model: Any, decay: float) -> None:
        tf = tensorflow()
        self._decay, self._own = decay, _averaged(model)
        self._means = [tf.Variable(variable, trainable=False) for variable in self._own]
        self._updates = tf.Variable(0, trainable=False, dtype=tf.int64)

    def update(self) -> None:
        """Add the model's present weights: mean += (1 - decay) * (weight - mean). Can be traced."""
        tf = tensorflow()
        count = tf.cast(self._updates, tf.float32)
        share = 1.0 - tf.minimum(self._decay, (1.0 + count) / (10.0 + count))
        for mean, variable in zip(self._means, self._own, strict=True):
            mean.assign_add(tf.cast(share, mean.dtype) * (variable - mean))
        self._updates.assign_add(1)

    def put(self) -> None:
        """Give the model the averaged weights in place of its own."""
        for mean, variable in zip(self._means, self._own, strict=True):
            variable.assign(mean)

    def values(self) -> tuple[Array, ...]:
        """Return a copy of what `restore` takes: the number of updates, then the means."""
        return tuple(variable.numpy().copy() for variable in (self._updates, *self._means))

    def restore(self, values: tuple[Array, ...]) -> None:
        """Go on from the `values` of an average of the same model."""
        for variable, value in zip((self._updates, *self._means), values, strict=True):
            variable.assign(value)


def _averaged(model: Any) -> list[Any]:
    norms = [one for one in model.submodules if isinstance(one, keras().layers.BatchNormalization)]
    statistics = {id(variable) for norm in norms for variable in (norm.moving_mean, norm.moving_variance)}
    learnt = statistics | {id(variable) for variable in model.trainable_variables}
    return [variable for variable in model.weights if id(variable) in learnt]
