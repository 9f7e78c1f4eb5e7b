"""Normalisation over groups of channels in few operators: keras' own takes tensors of five axes, and a mask of ones.

The statistics of a group are those of its channels: its mean is the mean of theirs, its variance the mean of theirs
plus that of their means' squared distances. So the maps of an image are read for channels only, which every runtime has
kernels for, and what is left to do for groups is on as many numbers as there are channels.

Source: the law of total variance; channels of a group have as many values each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgecv.modelio import env


@contextmanager
def lean() -> Iterator[None]:
    """Make keras' GroupNormalization compute so while a model is traced: with the same weights, to the same answers."""
    layer = env.keras().layers.GroupNormalization
    own = layer.call

    def call(self: Any, inputs: Any, mask: Any = None) -> Any:
        shape = inputs.shape
        last = self.axis in (-1, shape.rank - 1)
        if mask is not None or not last or shape.rank < 3 or None in shape or shape[0] != 1:
            return own(self, inputs, mask=mask)
        return _normalised(self, inputs)

    layer.call = call
    try:
        yield
    finally:
        layer.call = own


def _normalised(layer: Any, x: Any) -> Any:
    tf = env.tensorflow()
    mean, variance, grouped = _statistics(x, int(layer.groups))
    scale = tf.math.rsqrt(variance + layer.epsilon)
    if layer.scale or scale.shape != grouped:  # a factor a group becomes one a channel
        scale = scale * (tf.reshape(layer.gamma, grouped) if layer.scale else tf.ones(grouped))
    shift = tf.reshape(layer.beta, grouped) - mean * scale if layer.center else -mean * scale
    each = (1,) * (x.shape.rank - 1) + (x.shape[-1],)
    return x * tf.reshape(scale, each) + tf.reshape(shift, each)


def _statistics(x: Any, groups: int) -> tuple[Any, Any, tuple[int, ...]]:
    """Return mean and variance of each group, and the shape that a weight a channel takes beside them."""
    tf = env.tensorflow()
    places, channels = list(range(1, x.shape.rank - 1)), int(x.shape[-1])
    mean = tf.reduce_mean(x, places, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), places, keepdims=True)
    if groups == channels:
        return mean, variance, tuple(mean.shape)
    grouped = (1, groups, channels // groups)
    means = tf.reshape(mean, grouped)
    mean = tf.reduce_mean(means, 2, keepdims=True)
    apart = tf.math.squared_difference(means, mean)
    return mean, tf.reduce_mean(tf.reshape(variance, grouped) + apart, 2, keepdims=True), grouped
