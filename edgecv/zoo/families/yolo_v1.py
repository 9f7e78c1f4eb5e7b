"""YOLO v1: class probabilities, confidences and boxes of a grid of cells, from dense layers.

Where Darknet has one last dense layer, there are three, in the order of its output: `classes` (cells x classes),
`confidences` (cells x boxes) and `boxes` (cells x boxes x 4). Weights and products are as many.

Sources: Redmon, Divvala, Girshick, Farhadi 2016, "You Only Look Once", figure 3; yolov1-tiny.cfg of
github.com/pjreddie/darknet.
"""

from __future__ import annotations

import functools
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Head
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import darknet, labels, notes, yolo

CELL = 64
"""Input pixels between two cells."""
BOXES = 2
"""Boxes of each cell."""
STAGES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((64, 7),),
    ((192, 3),),
    ((128, 1), (256, 3), (256, 1), (512, 3)),
    (*((256, 1), (512, 3)) * 4, (512, 1), (1024, 3)),
    (*((512, 1), (1024, 3)) * 2, (1024, 3), (1024, 3), (1024, 3), (1024, 3)),
)
"""Channels and kernels; a 2x2 max pool stands between two stages. Two convolutions have stride 2: `STRIDED`."""
STRIDED = ((1, 1), (5, 6))
"""Stage and place, from 1."""
TINY = (16, 32, 64, 128, 256, 512)
"""Channels of the tiny network's 3x3 convolutions, each with a 2x2 max pool behind it."""
UNITS = 4096


def build_yolo_v1(request: Build, *, edge: bool) -> Any:
    """24 convolutions and two dense layers; the edge variant has 1x1 convolutions on the cells for these."""
    image = _image(request)
    x = image
    for stage, convolutions in enumerate(STAGES, start=1):
        x = blocks.max_pool(x, 2, name=f"pool{stage - 1}") if stage > 1 else x
        for place, (filters, kernel) in enumerate(convolutions, start=1):
            strides = 2 if (stage, place) in STRIDED else 1
            name, channels = f"conv{stage}_{place}", blocks.scaled(filters, request.width)
            x = (darknet.conv if edge else _conv)(x, channels, kernel, strides=strides, name=name, edge=edge)
    if edge:
        return blocks.model(image, _cells(x, request.labels), name="yolo_v1")
    layers = env.keras().layers
    x = layers.Dense(blocks.scaled(UNITS, request.width), name="fc1")(blocks.flatten(x))
    x = blocks.dropout(darknet.activate(x, name="fc1_act", edge=False), 0.5, name="drop1")
    return blocks.model(image, _dense(x, request), name="yolo_v1")


def build_yolo_v1_tiny(request: Build, *, edge: bool) -> Any:
    """Eight convolutions with batch normalisation and a dense layer."""
    image = _image(request)
    x = image
    for place, filters in enumerate(TINY, start=1):
        x = darknet.conv(x, blocks.scaled(filters, request.width), 3, name=f"conv{place}", edge=edge)
        x = blocks.max_pool(x, 2, name=f"pool{place}")
    for place, filters in enumerate((1024, 256), start=7):
        x = darknet.conv(x, blocks.scaled(filters, request.width), 3, name=f"conv{place}", edge=edge)
    outputs = _cells(x, request.labels) if edge else _dense(blocks.flatten(x), request)
    return blocks.model(image, outputs, name="yolo_v1_tiny")


def _image(request: Build) -> Any:
    yolo.multiple_of(CELL, request.input_shape)
    if request.input_shape[0] != request.input_shape[1]:
        raise ValueError(f"height and width must be equal, got {request.input_shape[0]}x{request.input_shape[1]}")
    return blocks.image_input(request.input_shape)


def _conv(x: Any, filters: int, kernel: int, *, name: str, strides: int, edge: bool) -> Any:
    """Convolution with bias, as the network was before batch normalisation, and Darknet's zeros before a stride."""
    padding = "same"
    if strides > 1:
        x, padding = blocks.zero_pad(x, kernel // 2, name=f"{name}_pad"), "valid"
    x = env.keras().layers.Conv2D(filters, kernel, strides=strides, padding=padding, name=name)(x)
    return darknet.activate(x, name=f"{name}_act", edge=edge)


def _sizes(classes: int) -> dict[str, int]:
    """Values of a cell, by output."""
    return {"classes": classes, "confidences": BOXES, "boxes": 4 * BOXES}


def _dense(x: Any, request: Build) -> list[Any]:
    cells = (request.input_shape[0] // CELL) * (request.input_shape[1] // CELL)
    layers = env.keras().layers
    return [layers.Dense(cells * size, name=name)(x) for name, size in _sizes(request.labels).items()]


def _cells(x: Any, classes: int) -> list[Any]:
    """As dense layers give it, from 1x1 convolutions on the cells."""
    layers = env.keras().layers
    return [
        blocks.flatten(layers.Conv2D(size, 1, name=f"{name}_cells")(x), name=name)
        for name, size in _sizes(classes).items()
    ]


def _entry(name: str, title: str, build: Any) -> ZooEntry:
    titles = {
        "canonical": "leaky ReLU and dense layers, as published",
        "edge": "ReLU6, batch normalisation, and 1x1 convolutions on the cells for the dense layers",
    }
    head = Head(
        name="objects",
        task="detection",
        activation="logits",
        labels=labels.VOC,
        outputs=tuple(_sizes(0)),
        settings={"decoder": "yolo_v1", "strides": [64.0], "cell_boxes": BOXES, "sqrt": True},
    )
    return ZooEntry(
        name=name,
        title=title,
        input_shape=(448, 448, 3),
        small_shape=(CELL, CELL, 3),
        heads=(head,),
        variants={
            variant: Variant(
                title=text, build=functools.partial(build, edge=variant == "edge"), preprocessing=yolo.LETTERBOX
            )
            for variant, text in titles.items()
        },
        source="Redmon, Divvala, Girshick, Farhadi, You Only Look Once, CVPR 2016",
        notes={"": notes.DENSE, "edgetpu": notes.LEAKY},
        scalable=True,
    )


ENTRIES = (
    _entry("yolo_v1", "YOLO v1: 24 convolutions, 7x7 cells of two boxes", build_yolo_v1),
    _entry("yolo_v1_tiny", "YOLO v1 tiny: eight convolutions, 7x7 cells of two boxes", build_yolo_v1_tiny),
)
