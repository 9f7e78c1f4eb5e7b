"""AlexNet, its small form for grey images, and ZFNet, which is AlexNet with a finer stem.

Sources: Krizhevsky, Sutskever, Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks";
Zeiler, Fergus 2014, "Visualizing and Understanding Convolutional Networks", figure 3.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edgecv.values.specs import Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, notes

STAGES = (1, 2, 3, 4, 5)
KERNELS = {1: 11, 2: 5, 3: 3, 4: 3, 5: 3}
NORMALISED = (1, 2)
TOWERS_MEET = 3
SPLIT = (2, 4, 5)
"""Stages whose convolutions see only their own tower's maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseNorm:
    """Constants of local response normalisation over 5 channels; section 3.3 of the paper by default."""

    bias: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What tells one network of the family from another.

    Attributes:
        widths: Filters of the five convolutions.
        stem: Kernel and stride of the first.
        second_stride: Of the second.
        padded: A row and a column of zeros go around the image and what the first two pools take; the second
            convolution is not padded (ZFNet).
        response: Local response normalisation after the first two convolutions; None for none.
        norm: Batch normalisation after every convolution.
        groups: Of the second, fourth and fifth convolution.
        towers: As many separate paths of plain convolutions; joined before the third and at the end.
        last_pool: Whether a pool follows the fifth convolution.
        hidden: Dense layers before the classifier; none of them and a global average pool when empty.
        rate: Of the dropout after each; None for none.
    """

    widths: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    stem: tuple[int, int] = (11, 4)
    second_stride: int = 1
    padded: bool = False
    response: ResponseNorm | None = None
    norm: bool = False
    groups: int = 1
    towers: int = 1
    last_pool: bool = True
    hidden: tuple[int, ...] = (4096, 4096)
    rate: float | None = 0.5


def builder(plan: Plan, name: str) -> Callable[[Build], Any]:
    """Return what builds the network of a plan."""

    def build(request: Build) -> Any:
        image = blocks.image_input(request.input_shape)
        return blocks.model(image, _head(maps(image, plan), plan, request.labels), name=name)

    return build


def maps(image: Any, plan: Plan) -> Any:
    """Return what the five stages make of an image."""
    paths = [image] * plan.towers
    for stage in STAGES:
        if stage == TOWERS_MEET and plan.towers > 1:
            paths = [blocks.concat(paths, name="join")] * plan.towers
        paths = [_stage(x, stage, plan, suffix=_suffix(plan, index)) for index, x in enumerate(paths)]
    return blocks.concat(paths, name="join_last") if plan.towers > 1 else paths[0]


def _suffix(plan: Plan, index: int) -> str:
    return string.ascii_lowercase[index] if plan.towers > 1 else ""


def _stage(x: Any, stage: int, plan: Plan, *, suffix: str) -> Any:
    x = _convolution(x, stage, plan, name=f"conv{stage}{suffix}", pad=f"pad{stage}{suffix}")
    if stage not in NORMALISED:
        return _pool(x, f"pool{stage}{suffix}") if stage == STAGES[-1] and plan.last_pool else x
    if plan.response is not None:
        x = _response_norm(x, plan.response, name=f"lrn{stage}{suffix}")
    x = blocks.zero_pad(x, 1, name=f"pool{stage}{suffix}_pad") if plan.padded else x
    return _pool(x, f"pool{stage}{suffix}")


def _convolution(x: Any, stage: int, plan: Plan, *, name: str, pad: str) -> Any:
    kernel, strides = plan.stem if stage == 1 else (KERNELS[stage], plan.second_stride if stage == 2 else 1)
    filters = plan.widths[stage - 1] // plan.towers
    padding = "valid" if stage == 1 or (stage == 2 and plan.padded) else "same"
    x = blocks.zero_pad(x, 1, name=pad) if stage == 1 and plan.padded else x
    if plan.norm:
        return blocks.conv_norm(x, filters, kernel, strides=strides, padding=padding, name=name)
    groups = plan.groups if stage in SPLIT else 1
    return blocks.conv(x, filters, kernel, strides=strides, padding=padding, groups=groups, name=name)


def _response_norm(x: Any, constants: ResponseNorm, *, name: str) -> Any:
    from edgecv.modelio import layers

    layer = layers.LocalResponseNormalization(
        2, bias=constants.bias, alpha=constants.alpha, beta=constants.beta, name=name
    )
    return layer(x)


def _pool(x: Any, name: str) -> Any:
    return blocks.pool(x, 3, strides=2, padding="valid", name=name)


def _head(x: Any, plan: Plan, units: int) -> Any:
    if not plan.hidden:
        return blocks.classifier(blocks.global_average(x), units)
    return blocks.dense_head(x, plan.hidden, units, rate=plan.rate)


ALEXNET = Plan(response=ResponseNorm())
BOOK = Plan(response=ResponseNorm(bias=1.0, alpha=2e-5), last_pool=False)
QUARTER = Plan(widths=(24, 64, 96, 96, 64), stem=(11, 2), hidden=(1024, 1024), rate=None)
ZFNET = Plan(stem=(7, 2), second_stride=2, padded=True, response=ResponseNorm(), rate=None)
EDGE_TITLE = "batch normalisation, global average pool in place of the hidden dense layers"


def _edge(plan: Plan) -> Plan:
    return replace(plan, response=None, norm=True, hidden=(), rate=None)


def _variant(title: str, plan: Plan, name: str, preprocessing: Preprocessing = inputs.UNIT) -> Variant:
    return Variant(title=title, build=builder(plan, name), preprocessing=preprocessing)


ENTRIES = (
    ZooEntry(
        name="alexnet",
        title="AlexNet",
        input_shape=(227, 227, 3),
        small_shape=(67, 67, 3),
        heads=labels.classifier_head(labels.IMAGENET),
        variants={
            "canonical": _variant("one tower, with response normalisation", ALEXNET, "alexnet"),
            "grouped": _variant(
                "two towers, as published, by grouped convolutions", replace(ALEXNET, groups=2), "alexnet_grouped"
            ),
            "towers": _variant(
                "two towers, as published, by plain convolutions", replace(ALEXNET, towers=2), "alexnet_towers"
            ),
            "book": _variant("without the last pool: 202 million weights", BOOK, "alexnet_book"),
            "edge": _variant(EDGE_TITLE, _edge(ALEXNET), "alexnet_edge"),
        },
        source="Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012",
        notes={
            "": f"{notes.LRN}; {notes.DENSE}",
            "gpu": f"{notes.LRN_TARGET}; {notes.GROUPED_GPU}",
            "edgetpu": f"{notes.LRN_TARGET}; {notes.GROUPED}; {notes.BIG}",
        },
    ),
    ZooEntry(
        name="alexnet_quarter",
        title="AlexNet with a quarter of the filters, 128x128 grey images",
        input_shape=(128, 128, 1),
        small_shape=(39, 39, 1),
        heads=labels.classifier_head(labels.numbered(8)),
        variants={
            "canonical": _variant("without response normalisation", QUARTER, "alexnet_quarter", inputs.GRAY),
            "book": _variant(
                "with one more dense layer, as wide as the flattened maps",
                replace(QUARTER, hidden=(2304, 1024, 1024)),
                "alexnet_quarter_book",
                inputs.GRAY,
            ),
            "edge": _variant(EDGE_TITLE, _edge(QUARTER), "alexnet_quarter_edge", inputs.GRAY),
        },
        source="after Krizhevsky, Sutskever, Hinton 2012, with a quarter of its filters and dense units",
        notes={"": notes.DENSE},
    ),
    ZooEntry(
        name="zfnet",
        title="ZFNet: AlexNet with a 7x7 stem of stride 2",
        input_shape=(224, 224, 3),
        small_shape=(53, 53, 3),
        heads=labels.classifier_head(labels.IMAGENET),
        variants={
            "canonical": _variant("with response normalisation", ZFNET, "zfnet"),
            "edge": _variant(EDGE_TITLE, _edge(ZFNET), "zfnet_edge"),
        },
        source="Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014",
        notes={
            "": f"{notes.LRN}; {notes.DENSE}",
            "gpu": notes.LRN_TARGET,
            "edgetpu": f"{notes.LRN_TARGET}; {notes.BIG}",
        },
    ),
)
