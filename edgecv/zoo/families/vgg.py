"""The convolutions of VGG16 as a backbone, under the layer names of tf_keras.applications.

Source: Simonyan, Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", configuration D.
"""

from __future__ import annotations

from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build
from edgecv.zoo.families.applications import application

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Filters and convolutions of each block."""


def convolutions(image: Any, width: float = 1.0, *, padding: str = "valid") -> list[Any]:
    """Return the last map of each of the five blocks: at 1, 1/2, 1/4, 1/8 and 1/16 of the input's size.

    `padding` is that of the four pools between them; "same" keeps an incomplete last window.
    """
    ends, x = [], image
    for block, (filters, count) in enumerate(BLOCKS, start=1):
        if block > 1:
            x = blocks.pool(x, 2, strides=2, padding=padding, name=f"block{block - 1}_pool")
        for index in range(1, count + 1):
            x = blocks.conv(x, blocks.scaled(filters, width), 3, name=f"block{block}_conv{index}")
        ends.append(x)
    return ends


def with_weights(model: Any, request: Build) -> Any:
    """Return a model whose VGG16 layers have the weights asked for; its other layers stay as they are.

    Raises:
        ConfigError: They cannot be had, or the model's channels are scaled.
    """
    if request.weights is None:
        return model
    if request.width != 1.0:
        raise ConfigError(
            f"weights are those of VGG16 in full width, got width {request.width}", hint="width 1, or no weights"
        )
    source = application("VGG16", request, include_top=False, input_shape=request.input_shape)
    for layer in source.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model
