"""Single-shot detectors: boxes and classes from maps of six scales in one pass.

Sources: Liu et al. 2016, "SSD: Single Shot MultiBox Detector"; Sandler et al. 2018, "MobileNetV2: Inverted Residuals
and Linear Bottlenecks", section 6.2, for SSDLite.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.tasks.detection import anchors as priors
from edgecv.values.specs import Head
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import applications, inputs, labels, vgg
from edgecv.zoo.families import notes as remarks

SSD300_SIDE = 300
SCALES = 6
ANCHORS = tuple(2 + 2 * len(ratios) for ratios in priors.SSD300_RATIOS)
LITE_ANCHORS = (3, 6, 6, 6, 6, 6)
"""Of a cell at each scale."""
ONE_CELL = ((1, 1),) * SCALES
NORM_SCALE = 20.0
"""What the channels of conv4_3 start with once their length is 1. Source: Liu et al. 2016, section 3.1."""
EXTRAS = ((256, 512), (128, 256), (128, 256), (128, 256))
LITE_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
"""Filters of the two convolutions before each further scale."""


def build_ssd300(request: Build, *, norm: str = "l2") -> Any:
    """VGG16 with a dilated convolution for its first dense layer; maps 38, 19, 10, 5, 3, 1 for an input of 300.

    `norm`: of the first map, "l2" with a weight for each channel, or "batch".
    """
    image = blocks.image_input(request.input_shape)
    filters = functools.partial(blocks.scaled, width=request.width)
    ends = vgg.convolutions(image, request.width, padding="same")
    first, x = ends[3], ends[4]
    x = blocks.pool(x, 3, strides=1, name="block5_pool")
    x = _dilated(x, filters(1024), rate=6, name="fc6")
    x = blocks.conv(x, filters(1024), 1, name="fc7")
    maps = [_length_normalised(first) if norm == "l2" else _batch_normalised(first), x]
    for index, (inner, outer) in enumerate(EXTRAS, start=1):
        halving = index <= 2
        x = blocks.conv(x, filters(inner), 1, name=f"extra{index}a")
        x = blocks.conv(
            x,
            filters(outer),
            3,
            strides=2 if halving else 1,
            padding="same" if halving else "valid",
            name=f"extra{index}b",
        )
        maps.append(x)
    model = blocks.model(image, _heads(maps, ANCHORS, request.labels, _plain_head), name="ssd300")
    return vgg.with_weights(model, request)


def build_ssdlite(request: Build) -> Any:
    """MobileNetV2 with depthwise convolutions in its extras and heads; maps 20, 10, 5, 3, 2, 1 for an input of 320."""
    image = blocks.image_input(request.input_shape)
    backbone = applications.backbone("MobileNetV2", request, image=image, alpha=request.width)
    x = backbone.output
    maps = [backbone.get_layer("block_13_expand_relu").output, x]
    for index, (inner, outer) in enumerate(LITE_EXTRAS, start=1):
        x = _lite_extra(x, blocks.scaled(inner, request.width), blocks.scaled(outer, request.width), f"extra{index}")
        maps.append(x)
    return blocks.model(image, _heads(maps, LITE_ANCHORS, request.labels, _lite_head), name="ssdlite_mnv2")


def ssd300_settings(shape: tuple[int, ...], names: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return the settings of the head for an input shape. Raises ConfigError unless it is square."""
    side = _side(shape, "ssd300")
    sizes = [size * side / SSD300_SIDE for size in priors.SSD300_SIZES]
    boxes = priors.ssd((side, side), ONE_CELL, sizes=sizes, steps=None)
    # The published steps: powers of two where maps halve, the input's share of a cell where padding ends.
    strides = [8.0 * 2**index for index in range(4)] + [side / grid for grid in _grids(side)[4:]]
    return _settings(boxes, ANCHORS, strides)


def ssdlite_settings(shape: tuple[int, ...], names: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return the settings of the head for an input shape. Raises ConfigError unless it is square."""
    side = _side(shape, "ssdlite_mnv2")
    grids = [math.ceil(side / 2**halvings) for halvings in range(4, 4 + SCALES)]
    return _settings(priors.ssdlite((side, side), ONE_CELL), LITE_ANCHORS, [side / grid for grid in grids])


def _grids(side: int) -> list[int]:
    halved = [math.ceil(side / 2**halvings) for halvings in range(3, 7)]
    return [*halved, max(1, halved[-1] - 2), max(1, halved[-1] - 4)]


def _side(shape: tuple[int, ...], name: str) -> int:
    if shape[0] != shape[1]:
        raise ConfigError(
            f"{name} takes square inputs, got {shape[0]}x{shape[1]}",
            hint="its anchors are shares of one side; letterboxing keeps the aspect of images",
        )
    return int(shape[0])


def _settings(boxes: Any, counts: tuple[int, ...], strides: list[float]) -> Mapping[str, Any]:
    """Settings of anchors of one cell, xyxy, scale after scale, with so many at each."""
    sides = (boxes[:, 2:] - boxes[:, :2]).tolist()
    listed = [[sides.pop(0) for _ in range(count)] for count in counts]
    return {"decoder": "ssd", "anchors": listed, "strides": strides, "variances": [0.1, 0.2], "background": True}


def _dilated(x: Any, filters: int, *, rate: int, name: str) -> Any:
    layer = env.keras().layers.Conv2D(filters, 3, dilation_rate=rate, padding="same", activation="relu", name=name)
    return layer(x)


def _length_normalised(x: Any) -> Any:
    """Channels of length 1 at each position, times a weight each. Source: Liu, Rabinovich, Berg 2015, "ParseNet"."""
    from edgecv.modelio import layers

    x = env.keras().layers.UnitNormalization(axis=-1, name="block4_norm")(x)
    return layers.ChannelScale(NORM_SCALE, name="block4_scale")(x)


def _batch_normalised(x: Any) -> Any:
    return env.keras().layers.BatchNormalization(name="block4_bn")(x)


def _lite_extra(x: Any, inner: int, outer: int, name: str) -> Any:
    x = blocks.conv_norm(x, inner, 1, name=f"{name}a", activation="relu6")
    x = _depthwise_norm(x, strides=2, name=f"{name}b")
    return blocks.conv_norm(x, outer, 1, name=f"{name}c", activation="relu6")


def _depthwise_norm(x: Any, *, name: str, strides: int = 1) -> Any:
    layers = env.keras().layers
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=name)(x)
    return blocks.activate(layers.BatchNormalization(name=f"{name}_bn")(x), "relu6", name=f"{name}_act")


def _heads(maps: list[Any], anchors: tuple[int, ...], classes: int, head: Callable[..., Any]) -> list[Any]:
    """Boxes and scores of each map, in the order of `OUTPUTS`; `classes` without the background."""
    return [
        head(x, count * values, name=f"{kind}_{index}")
        for index, (x, count) in enumerate(zip(maps, anchors, strict=True))
        for kind, values in (("boxes", 4), ("scores", classes + 1))
    ]


def _plain_head(x: Any, filters: int, *, name: str) -> Any:
    return env.keras().layers.Conv2D(filters, 3, padding="same", name=name)(x)


def _lite_head(x: Any, filters: int, *, name: str) -> Any:
    x = _depthwise_norm(x, name=f"{name}_dw")
    return env.keras().layers.Conv2D(filters, 1, name=name)(x)


OUTPUTS = tuple(f"{kind}_{index}" for index in range(SCALES) for kind in ("boxes", "scores"))


def _head(names: tuple[str, ...]) -> tuple[Head, ...]:
    return (Head(name="objects", task="detection", activation="logits", labels=names, outputs=OUTPUTS),)


ENTRIES = (
    ZooEntry(
        name="ssd300",
        title="SSD300, VGG16 backbone, 8,732 boxes",
        input_shape=(300, 300, 3),
        small_shape=(257, 257, 3),
        heads=_head(labels.VOC),
        variants={
            "canonical": Variant(
                title="the first map scaled to length 1",
                build=build_ssd300,
                preprocessing=inputs.CAFFE,
                settings=ssd300_settings,
            ),
            "edge": Variant(
                title="batch normalisation of the first map in place of lengths",
                build=functools.partial(build_ssd300, norm="batch"),
                preprocessing=inputs.CAFFE,
                settings=ssd300_settings,
            ),
        },
        source="Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016",
        notes={
            "": "26 M weights and 31 G multiply-accumulates: ssdlite_mnv2 is the detector for devices",
            "gpu": "the length normalisation has no kernel: the edge variant has batch normalisation",
            "edgetpu": remarks.BIG,
        },
        scalable=True,
        pretrained=True,
    ),
    ZooEntry(
        name="ssdlite_mnv2",
        title="SSDLite, MobileNetV2 backbone, 2,034 boxes",
        input_shape=(320, 320, 3),
        small_shape=(96, 96, 3),
        heads=_head(labels.COCO_CATEGORIES),
        variants={
            "canonical": Variant(
                title="depthwise convolutions in extras and heads",
                build=build_ssdlite,
                preprocessing=inputs.SYMMETRIC,
                settings=ssdlite_settings,
            )
        },
        source="Sandler et al., MobileNetV2, CVPR 2018, section 6.2",
        notes={"": "boxes and scores are outputs of their own for each scale, since one int8 scale cannot hold both"},
        scalable=True,
        pretrained=True,
    ),
)
