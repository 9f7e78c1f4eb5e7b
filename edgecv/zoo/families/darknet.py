"""Darknet-19 and Darknet-53, classifiers and the backbones of YOLO.

Sources: Redmon, Farhadi 2017, "YOLO9000: Better, Faster, Stronger", table 6; Redmon, Farhadi 2018, "YOLOv3: An
Incremental Improvement", table 1; darknet19.cfg and darknet53.cfg of github.com/pjreddie/darknet.
"""

from __future__ import annotations

import functools
import string
from dataclasses import replace
from typing import Any

from edgecv.modelio import env
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, notes

SLOPE = 0.1
"""Of the leaky ReLU below 0."""
EPSILON = 1e-5
"""Of batch normalisation. Source: normalize_kernel in Darknet's blas_kernels.cu, on which its weights were trained."""
STAGES_19 = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
"""Of Darknet-19: channels of convolutions 3x3, 1x1, 3x3, …; a 2x2 max pool stands between two stages."""
STAGES_53 = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))
"""Of Darknet-53: channels and residual units; each stage begins with a 3x3 convolution of stride 2."""
CROPPED = replace(inputs.UNIT, resize="center_crop")


def conv(x: Any, filters: int, kernel: int, *, name: str, strides: int = 1, edge: bool = False) -> Any:
    """Convolution `name` without bias, batch normalisation `name`_bn, activation `name`_act.

    Darknet puts as many zeros on each side, also before a stride, where "same" puts them after the last row and column.

    Args:
        x: Maps.
        filters: Channels of the result.
        kernel: Its side.
        name: Of the convolution.
        strides: Step.
        edge: ReLU6 and "same" in place of leaky ReLU and Darknet's zeros.
    """
    layers, padding = env.keras().layers, "same"
    if strides > 1 and not edge:
        x, padding = blocks.zero_pad(x, kernel // 2, name=f"{name}_pad"), "valid"
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False, name=name)(x)
    return activate(layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x), name=f"{name}_act", edge=edge)


def activate(x: Any, *, name: str, edge: bool) -> Any:
    """Leaky ReLU as Darknet has it, or ReLU6."""
    return blocks.activate(x, "relu6", name=name) if edge else env.keras().layers.LeakyReLU(SLOPE, name=name)(x)


def features_19(image: Any, width: float, *, edge: bool) -> tuple[Any, Any]:
    """Return what the fifth and the sixth stage of Darknet-19 give: 512 channels at stride 16, 1024 at stride 32."""
    x, found = image, []
    for stage, channels in enumerate(STAGES_19, start=1):
        for place, filters in enumerate(channels):
            name = f"conv{stage}{string.ascii_lowercase[place]}"
            x = conv(x, blocks.scaled(filters, width), 1 if place % 2 else 3, name=name, edge=edge)
        found.append(x)
        x = blocks.max_pool(x, 2, name=f"pool{stage}") if stage < len(STAGES_19) else x
    return found[-2], found[-1]


def features_53(image: Any, width: float, *, edge: bool) -> tuple[Any, Any, Any]:
    """Return what the last three stages of Darknet-53 give: 256, 512, 1024 channels at strides 8, 16, 32."""
    x, found = conv(image, blocks.scaled(32, width), 3, name="stem", edge=edge), []
    for stage, (channels, units) in enumerate(STAGES_53, start=1):
        filters = blocks.scaled(channels, width)
        x = conv(x, filters, 3, strides=2, name=f"stage{stage}_down", edge=edge)
        for unit in range(1, units + 1):
            name = f"stage{stage}_unit{unit}"
            inner = conv(x, filters // 2, 1, name=f"{name}_reduce", edge=edge)
            inner = conv(inner, filters, 3, name=f"{name}_expand", edge=edge)
            x = blocks.residual(inner, x, name=name, activation=None)
        found.append(x)
    return found[-3], found[-2], found[-1]


def build_darknet19(request: Build, *, edge: bool) -> Any:
    """19 convolutions, the last of which gives a map a label, whose mean is the label's score."""
    image = blocks.image_input(request.input_shape)
    _, x = features_19(image, request.width, edge=edge)
    x = env.keras().layers.Conv2D(request.labels, 1, name="scores")(x)
    x = blocks.global_average(x)
    return blocks.model(image, blocks.activate(x, "softmax", name="output"), name="darknet19")


def build_darknet53(request: Build, *, edge: bool) -> Any:
    """52 convolutions in residual units, a global mean and a dense layer."""
    image = blocks.image_input(request.input_shape)
    x = blocks.global_average(features_53(image, request.width, edge=edge)[-1])
    return blocks.model(image, blocks.classifier(x, request.labels), name="darknet53")


def _entry(name: str, title: str, build: Any, size: int, source: str) -> ZooEntry:
    titles = {"canonical": "leaky ReLU, as in Darknet", "edge": "ReLU6 for leaky ReLU, which the Edge TPU lacks"}
    return ZooEntry(
        name=name,
        title=title,
        input_shape=(size, size, 3),
        small_shape=(64, 64, 3),
        heads=labels.classifier_head(labels.IMAGENET),
        variants={
            variant: Variant(title=text, build=functools.partial(build, edge=variant == "edge"), preprocessing=CROPPED)
            for variant, text in titles.items()
        },
        source=source,
        notes={"": notes.BIG, "edgetpu": notes.LEAKY},
        scalable=True,
    )


ENTRIES = (
    _entry(
        "darknet19", "Darknet-19: 3x3 and 1x1 convolutions in turns", build_darknet19, 224,
        "Redmon, Farhadi, YOLO9000: Better, Faster, Stronger, CVPR 2017",
    ),
    _entry(
        "darknet53", "Darknet-53: residual units, strides for pools", build_darknet53, 256,
        "Redmon, Farhadi, YOLOv3: An Incremental Improvement, 2018",
    ),
)  # fmt: skip
