"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6 in place of swish.

Source: Tan, Le 2019, "EfficientNet: Rethinking Model Scaling", table 1, with the authors' changes for small devices.
"""

from __future__ import annotations

from typing import Any

from edgecv.zoo import blocks
from edgecv.zoo.entry import Build
from edgecv.zoo.families import pretrained

# Expansion, channels, repeats, stride of the first, kernel.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, LAST, RATE = 32, 1280, 0.2


def build(request: Build) -> Any:
    """Sixteen inverted residuals between a strided stem and a classifier. Raises ConfigError for ImageNet weights."""
    image = blocks.image_input(request.input_shape)
    x = blocks.conv_norm(image, STEM, 3, strides=2, name="stem", activation="relu6")
    for stage, (expansion, filters, repeats, stride, kernel) in enumerate(STAGES, start=1):
        for index in range(repeats):
            strides, name = stride if index == 0 else 1, f"block{stage}_{index + 1}"
            x = blocks.inverted_residual(x, expansion, filters, strides=strides, kernel=kernel, name=name)
    x = blocks.global_average(blocks.conv_norm(x, LAST, 1, name="last", activation="relu6"))
    x = blocks.classifier(blocks.dropout(x, RATE, name="drop"), request.labels)
    return pretrained.load(blocks.model(image, x, name="efficientnet_lite0"), request)
