"""Fully convolutional networks: VGG16 with its dense layers as convolutions, and scores enlarged to the image's size.

Convolutions keep the size of maps ("same") in place of the published 100 zeros around the image and the crop of the
result, so that scores and pixels lie over each other at any size that is a multiple of 32.

Source: Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for Semantic Segmentation", sections 3.3 and 4.2.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from edgecv.modelio import env
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, vgg
from edgecv.zoo.families import notes as remarks

HIDDEN, EDGE_HIDDEN = 4096, 512
"""Channels of the two layers that were dense: as published, and for devices."""
DEEPEST, SKIPS = 32, {"block4_pool": 16, "block3_pool": 8}
"""Input pixels between two scores of the last map, and of the maps that join in, in their order."""


def build(request: Build, *, stride: int, hidden: int = HIDDEN, doubling: bool = False) -> Any:
    """VGG16's convolutions, two more, scores; the scores of finer maps are added until one is of `stride` pixels.

    Args:
        request: Of inputs whose sides are multiples of 32.
        stride: 32, 16 or 8: of the finest map that has scores.
        hidden: Channels of the two layers that were dense.
        doubling: Whether scores grow to the input's size by steps of two; else by one large step at the end.
    """
    height, width = request.input_shape[:2]
    if height % DEEPEST or width % DEEPEST:
        raise ValueError(f"height and width must be multiples of {DEEPEST}, got {height}x{width}")
    image = blocks.image_input(request.input_shape)
    trunk = blocks.model(image, vgg.convolutions(image, request.width)[-1], name="vgg16")
    x = blocks.max_pool(trunk.output, 2, name="block5_pool")
    filters = blocks.scaled(hidden, request.width)
    x = blocks.dropout(blocks.conv(x, filters, 7, name="fc6"), 0.5, name="drop6")
    x = blocks.dropout(blocks.conv(x, filters, 1, name="fc7"), 0.5, name="drop7")
    x = _scores(x, request.labels, "score")
    for name, step in SKIPS.items():
        if step >= stride:
            finer = _scores(trunk.get_layer(name).output, request.labels, f"score_{name}")
            x = blocks.bilinear_transposed(x, 2, name=f"up{step}")
            x = env.keras().layers.Add(name=f"sum{step}")([x, finer])
    steps = [2] * int(math.log2(stride)) if doubling else [stride]
    for index, factor in enumerate(steps, start=1):
        x = blocks.bilinear_transposed(x, factor, name="mask" if index == len(steps) else f"up_{index}")
    return vgg.with_weights(blocks.model(image, x, name=f"fcn{stride}s"), request)


def _scores(x: Any, classes: int, name: str) -> Any:
    return blocks.conv(x, classes, 1, name=name, activation="linear")


def _entry(stride: int, title: str) -> ZooEntry:
    plain = functools.partial(build, stride=stride)
    return ZooEntry(
        name=f"fcn{stride}s",
        title=f"fully convolutional VGG16, {title}",
        input_shape=(224, 224, 3),
        small_shape=(32, 32, 3),
        heads=labels.mask_head(labels.VOC_MASKS, void=labels.VOC_VOID),
        variants={
            "canonical": Variant(
                title=f"4,096 channels, {stride} times larger in one step", build=plain, preprocessing=inputs.CAFFE
            ),
            "edge": Variant(
                title="512 channels, larger by steps of two",
                build=functools.partial(plain, hidden=EDGE_HIDDEN, doubling=True),
                preprocessing=inputs.CAFFE,
            ),
        },
        source="Long, Shelhamer, Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR 2015",
        notes={
            "": "scores of every class at the image's size: the large transposed convolution takes much memory",
            "cpu": "XNNPACK's int8 kernel of transposed convolutions is slow on x86: take deeplab_mnv2",
            "edgetpu": remarks.BIG,
        },
        scalable=True,
        pretrained=True,
    )


ENTRIES = (
    _entry(32, "scores of its last map alone"),
    _entry(16, "with scores of its fourth pool"),
    _entry(8, "with scores of its fourth and third pool"),
)
