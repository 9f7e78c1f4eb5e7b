"""A detector of three quarters of a million weights for images of 64 to 320 pixels, to be trained on data of one's own.

Residual units of 3x3 convolutions with ReLU6, two scales, classes by a softmax. Every operator has an int8 kernel on
every target. Anchors are shares of the input's side, so that they fit every input size.

Its layers up to stride 16 are those of a classifier, which learns on images without boxes: a detector starts from it by
`edgecv train yolo_small --backbone`.

Sources of its parts: Redmon, Farhadi 2017 and 2018 (the head of YOLO v2 at two scales, as YOLO v3 has them; the units
of Darknet-53); Lin et al. 2017, "Focal Loss for Dense Object Detection", section 4.1, for the first objectness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Head, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels
from edgecv.zoo.families.yolo import multiple_of

STEM = (16, 32)
"""Channels of the first two convolutions, each of stride 2."""
STAGES = ((64, 2), (128, 2))
"""Channels and residual units of the stages at strides 8 and 16."""
NECK = (128, 64)
"""Channels in front of the heads, coarse first."""
HEAD = 64
STRIDES = (16, 8)
SHARES = ((0.28, 0.42, 0.65), (0.06, 0.11, 0.18))
"""Sides of the square anchors as shares of the input's side, coarse first; training takes those of its data instead."""
PRIOR = 0.01
"""Objectness before training: a network that starts with objects everywhere spends its first epochs on forgetting."""
MOMENTUM = 0.9
"""Of the running means of normalisation: an epoch of a few hundred images has few steps to learn them in."""
REACH = 2.0
"""How far a centre may leave its cell, so that an object has four cells that may answer for it."""
MATCH = 0.4
"""Likeness of sizes from which an anchor answers for an object beside the best one."""

FOCAL = 1.5
SCORE = 0.4
"""Least confidence that is told: on scenes and blood cells, below it most boxes beside the right ones are wrong."""


def build_yolo_small(request: Build) -> Any:
    """Maps of boxes and scores at strides 16 and 8; the fine scale sees the coarse one's maps, enlarged."""
    multiple_of(STRIDES[0], request.input_shape)
    image = blocks.image_input(request.input_shape)
    fine, coarse = _backbone(image, request.width)
    wide, narrow = (blocks.scaled(filters, request.width) for filters in NECK)
    coarse = _conv(coarse, wide, 3, name="neck0")
    x = _conv(coarse, narrow, 1, name="up_conv")
    x = env.keras().layers.UpSampling2D(2, name="up_repeat")(x)
    fine = _conv(blocks.concat([x, fine], name="up_concat"), narrow, 3, name="neck1")
    own = blocks.scaled(HEAD, request.width)
    outputs = [*_head(coarse, request.labels, own, 0), *_head(fine, request.labels, own, 1)]
    return blocks.model(image, outputs, name="yolo_small")


def build_classifier(request: Build) -> Any:
    """The detector's layers up to stride 16, by the same names; then a global pool and a softmax."""
    multiple_of(STRIDES[0], request.input_shape)
    image = blocks.image_input(request.input_shape)
    _, coarse = _backbone(image, request.width)
    return blocks.model(
        image, blocks.classifier(blocks.global_average(coarse), request.labels), name="yolo_small_classifier"
    )


def _backbone(image: Any, width: float) -> tuple[Any, Any]:
    """Return 64 channels at stride 8 and 128 at stride 16."""
    x, found = image, []
    for place, filters in enumerate(STEM, start=1):
        x = _conv(x, blocks.scaled(filters, width), 3, strides=2, name=f"stem{place}")
    x = _unit(x, STEM[-1], width, name="stem_unit")
    for stage, (channels, units) in enumerate(STAGES, start=1):
        x = _conv(x, blocks.scaled(channels, width), 3, strides=2, name=f"stage{stage}_down")
        for unit in range(1, units + 1):
            x = _unit(x, channels, width, name=f"stage{stage}_unit{unit}")
        found.append(x)
    return found[0], found[1]


def _unit(x: Any, channels: int, width: float, *, name: str) -> Any:
    """A 1x1 convolution to half the channels, a 3x3 one back, and what came in added."""
    inner = _conv(x, blocks.scaled(channels // 2, width), 1, name=f"{name}_reduce")
    outer = _conv(inner, blocks.scaled(channels, width), 3, name=f"{name}_expand")
    return blocks.residual(outer, x, name=name, activation=None)


def _conv(x: Any, filters: int, kernel: int, *, name: str, strides: int = 1) -> Any:
    return blocks.conv_norm(x, filters, kernel, strides=strides, activation="relu6", name=name, momentum=MOMENTUM)


def _head(x: Any, classes: int, filters: int, place: int) -> list[Any]:
    """Boxes and scores, each behind a convolution of its own."""
    keras, anchors = env.keras(), len(SHARES[place])
    # The softmax over classes does not see the bias that all scores begin with; the objectness does.
    begin = keras.initializers.Constant(-math.log((1.0 - PRIOR) / PRIOR))
    where, what = (_conv(x, filters, 3, name=f"{kind}_conv_{place}") for kind in ("boxes", "scores"))
    scores = keras.layers.Conv2D(anchors * (1 + classes), 1, bias_initializer=begin, name=f"scores_{place}")
    return [keras.layers.Conv2D(4 * anchors, 1, name=f"boxes_{place}")(where), scores(what)]


def anchors_of(shape: tuple[int, ...], names: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the anchors for an input of `shape`, in its pixels."""
    height, width = shape[:2]
    return {"anchors": [[[share * width, share * height] for share in scale] for scale in SHARES]}


def _entry(name: str, title: str, shape: tuple[int, int, int], preprocessing: Preprocessing, names: Any) -> ZooEntry:
    head = Head(
        name="objects",
        task="detection",
        activation="logits",
        labels=names,
        outputs=tuple(f"{what}_{place}" for place in range(len(STRIDES)) for what in ("boxes", "scores")),
        settings={
            "decoder": "yolo_v2",
            "fit_anchors": True,
            "strides": [float(stride) for stride in STRIDES],
            "scale_xy": [REACH] * len(STRIDES),
            "match_iou": MATCH,
            "objectness_target": "iou",
            "focal": FOCAL,
            "score": SCORE,
        },
    )
    only = Variant(
        title="two scales, strides 16 and 8", build=build_yolo_small, preprocessing=preprocessing, settings=anchors_of
    )
    return ZooEntry(
        name=name,
        title=title,
        input_shape=shape,
        small_shape=(64, 64, shape[2]),
        heads=(head,),
        variants={"canonical": only},
        source="edgecv; of the parts of YOLO v2 and v3",
        scalable=True,
    )


def _classifier(detector: ZooEntry, names: tuple[str, ...]) -> ZooEntry:
    preprocessing = detector.variants["canonical"].preprocessing
    only = Variant(title="stem and stages, strides 2 to 16", build=build_classifier, preprocessing=preprocessing)
    return ZooEntry(
        name=f"{detector.name}_classifier",
        title=f"What {detector.name} sees by, as a classifier: a backbone to train first",
        input_shape=(64, 64, detector.input_shape[2]),
        small_shape=(32, 32, detector.input_shape[2]),
        heads=labels.classifier_head(names),
        variants={"canonical": only},
        source=detector.source,
        scalable=True,
    )


DETECTORS = (
    _entry("yolo_small", "Small detector of two scales, colour images", (256, 256, 3), inputs.UNIT, labels.VOC),
    _entry("yolo_small_gray", "Small detector of two scales, gray images", (64, 64, 1), inputs.GRAY, labels.DIGITS),
)
ENTRIES = (*DETECTORS, _classifier(DETECTORS[0], labels.CIFAR10), _classifier(DETECTORS[1], labels.DIGITS))
