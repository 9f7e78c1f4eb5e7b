"""Building blocks of the architectures: stem, learner, head. NHWC, functional tf_keras.

Every block takes a symbolic tensor and returns one. Names are required and never change: they become the map from
a file's operators to source layers.
"""

from __future__ import annotations

import string
from typing import Any

from edgecv.modelio import env


def image_input(shape: tuple[int, ...], *, name: str = "image") -> Any:
    """Return the input, (batch, *shape) float32."""
    return env.keras().Input(shape, name=name)


def conv(
    x: Any,
    filters: int,
    kernel: int,
    *,
    name: str,
    strides: int = 1,
    padding: str = "same",
    activation: str = "relu",
) -> Any:
    """Square convolution with bias and activation."""
    layer = env.keras().layers.Conv2D(
        filters, kernel, strides=strides, padding=padding, activation=activation, name=name
    )
    return layer(x)


def max_pool(x: Any, size: int, *, name: str) -> Any:
    """Maximum over non-overlapping windows; an incomplete last one is dropped."""
    return env.keras().layers.MaxPooling2D(size, name=name)(x)


def average_pool(x: Any, size: int, *, name: str) -> Any:
    """Mean over non-overlapping windows; an incomplete last one is dropped."""
    return env.keras().layers.AveragePooling2D(size, name=name)(x)


def conv_learner(x: Any, filters: tuple[int, ...], *, stage: int) -> Any:
    """3x3 convolutions in a row, named conv<stage>a, conv<stage>b, …, then a 2x2 max pool named pool<stage>."""
    for index, width in enumerate(filters):
        x = conv(x, width, 3, name=f"conv{stage}{string.ascii_lowercase[index]}")
    return max_pool(x, 2, name=f"pool{stage}")


def flatten(x: Any, *, name: str = "flatten") -> Any:
    """(batch, h, w, c) to (batch, h * w * c), in C order."""
    return env.keras().layers.Flatten(name=name)(x)


def dense(x: Any, units: int, *, name: str, activation: str = "relu") -> Any:
    """Fully connected layer with bias and activation."""
    return env.keras().layers.Dense(units, activation=activation, name=name)(x)


def dropout(x: Any, rate: float, *, name: str) -> Any:
    """Zero a share of the values while training; nothing in inference."""
    return env.keras().layers.Dropout(rate, name=name)(x)


def classifier(x: Any, labels: int, *, name: str = "output") -> Any:
    """Dense layer with softmax: probabilities, (batch, labels)."""
    return dense(x, labels, activation="softmax", name=name)


def dense_head(x: Any, hidden: tuple[int, ...], labels: int, *, rate: float) -> Any:
    """Flatten, then dense layers fc1, fc2, … with a dropout drop1, drop2, … after each, then the classifier."""
    x = flatten(x)
    for index, units in enumerate(hidden, start=1):
        x = dropout(dense(x, units, name=f"fc{index}"), rate, name=f"drop{index}")
    return classifier(x, labels)


def model(inputs: Any, outputs: Any, *, name: str) -> Any:
    """Return the functional model from `inputs` to `outputs`."""
    return env.keras().Model(inputs, outputs, name=name)
