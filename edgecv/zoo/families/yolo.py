"""YOLO v2, v3 and 9000, and their tiny relatives: maps of boxes and scores with anchors at every cell.

Where Darknet has one last convolution at a scale, there are two: `boxes_K` of (anchors x 4) and `scores_K` of
(anchors x (1 + classes)), K the scale, coarse first. Weights and products are as many, and an int8 file has a scale for
each of them.

Sources: Redmon, Farhadi 2017, "YOLO9000: Better, Faster, Stronger"; Redmon, Farhadi 2018, "YOLOv3: An Incremental
Improvement"; the cfg files of github.com/pjreddie/darknet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Head
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Settings, Variant, ZooEntry
from edgecv.zoo.families import darknet, inputs, labels, notes
from edgecv.zoo.families.darknet import conv

Pairs = Sequence[tuple[float, float]]

LETTERBOX = replace(inputs.UNIT, resize="letterbox", pad_value=127)
"""As Darknet prepares images for detectors: whole, padded with half of white."""
CELL = 32
"""Input pixels between two cells of the coarsest scale."""
IN_CELLS: Mapping[str, Pairs] = {
    "yolo_v2": ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071)),
    "coco": ((0.57273, 0.677385), (1.87446, 2.06253), (3.33843, 5.47434), (7.88282, 3.52778), (9.77052, 9.16828)),
    "yolo_v2_tiny": ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52)),
    "yolo9000": ((0.77871, 1.14074), (3.00525, 4.31277), (9.22725, 9.61974)),
}
"""Anchors as YOLO v2's files have them, width and height in cells."""
V3 = (
    ((116, 90), (156, 198), (373, 326)),
    ((30, 61), (62, 45), (59, 119)),
    ((10, 13), (16, 30), (33, 23)),
)
V3_TINY = (((81, 82), (135, 169), (344, 319)), ((10, 14), (23, 27), (37, 58)))
"""Anchors of YOLO v3, coarse first, in input pixels. The fine ones as in today's cfg; an older one has 1 to 3."""
NODES = 9418
"""Classes of YOLO9000, nodes of a tree."""


def build_yolo_v2(request: Build, *, anchors: int, edge: bool) -> Any:
    """Darknet-19, two convolutions, and a pass-through of the maps before its last pool: 2x2 cells into channels."""
    image = _image(request)
    fine, x = darknet.features_19(image, request.width, edge=edge)
    wide = blocks.scaled(1024, request.width)
    x = conv(conv(x, wide, 3, name="conv7a", edge=edge), wide, 3, name="conv7b", edge=edge)
    fine = conv(fine, blocks.scaled(64, request.width), 1, name="passthrough", edge=edge)
    x = blocks.concat([space_to_depth(fine, 2, name="passthrough_cells"), x], name="concat")
    x = conv(x, wide, 3, name="conv8", edge=edge)
    return blocks.model(image, head(x, anchors, request.labels), name="yolo_v2")


def build_yolo_v2_tiny(request: Build, *, anchors: int, last: int = 1024, edge: bool) -> Any:
    """Nine convolutions; the last pool has stride 1. `last`: channels before the head."""
    image = _image(request)
    _, x = _tiny_backbone(image, request.width, edge=edge)
    x = conv(x, blocks.scaled(last, request.width), 3, name="conv8", edge=edge)
    return blocks.model(image, head(x, anchors, request.labels), name="yolo_v2_tiny")


def build_yolo_v3(request: Build, *, edge: bool) -> Any:
    """Darknet-53 and three scales; a finer one sees the coarser one's maps, enlarged, beside the backbone's."""
    image = _image(request)
    *laterals, x = darknet.features_53(image, request.width, edge=edge)
    outputs: list[Any] = []
    for place, channels in enumerate((512, 256, 128)):
        filters = blocks.scaled(channels, request.width)
        if place:
            x = _enlarged(x, laterals[-place], filters, name=f"up{place}", edge=edge)
        for step in range(5):
            wide = step % 2
            name = f"scale{place}_conv{step + 1}"
            x = conv(x, filters * (1 + wide), 3 if wide else 1, name=name, edge=edge)
        inner = conv(x, 2 * filters, 3, name=f"scale{place}_conv6", edge=edge)
        outputs += head(inner, len(V3[place]), request.labels, place=place)
    return blocks.model(image, outputs, name="yolo_v3")


def build_yolo_v3_tiny(request: Build, *, edge: bool) -> Any:
    """Thirteen convolutions and two scales."""
    image = _image(request)
    fine, x = _tiny_backbone(image, request.width, edge=edge)
    wide, narrow = blocks.scaled(512, request.width), blocks.scaled(256, request.width)
    x = conv(x, narrow, 1, name="conv8", edge=edge)
    outputs = head(conv(x, wide, 3, name="scale0_conv", edge=edge), len(V3_TINY[0]), request.labels)
    x = _enlarged(x, fine, blocks.scaled(128, request.width), name="up1", edge=edge)
    inner = conv(x, narrow, 3, name="scale1_conv", edge=edge)
    outputs += head(inner, len(V3_TINY[1]), request.labels, place=1)
    return blocks.model(image, outputs, name="yolo_v3_tiny")


def build_on_darknet19(request: Build, *, anchors: int, shared: bool = False, name: str, edge: bool) -> Any:
    """A head right on Darknet-19. `shared`: the boxes of a cell have its classes in common."""
    image = _image(request)
    _, x = darknet.features_19(image, request.width, edge=edge)
    return blocks.model(image, head(x, anchors, request.labels, shared=shared), name=name)


def head(x: Any, anchors: int, classes: int, *, place: int = 0, shared: bool = False) -> list[Any]:
    """Return `boxes_K` (h, w, anchors x 4) and `scores_K` (h, w, anchors x (1 + classes)) of scale K = `place`.

    `shared`: scores of (anchors + classes), the classes of the cell.
    """
    layers = env.keras().layers
    scores = anchors + classes if shared else anchors * (1 + classes)
    return [
        layers.Conv2D(4 * anchors, 1, name=f"boxes_{place}")(x),
        layers.Conv2D(scores, 1, name=f"scores_{place}")(x),
    ]


def space_to_depth(x: Any, size: int, *, name: str) -> Any:
    """Put each block of `size` x `size` cells into the channels of one."""
    from edgecv.modelio.layers import TensorFunction

    arguments = {"args": [{"tensor": 0}], "kwargs": {"block_size": size}}
    return TensorFunction("space_to_depth", arguments, name=name)(x)


def multiple_of(cell: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless height and width are multiples of `cell`."""
    if shape[0] % cell or shape[1] % cell:
        raise ValueError(f"height and width must be multiples of {cell}, got {shape[0]}x{shape[1]}")


def _image(request: Build) -> Any:
    multiple_of(CELL, request.input_shape)
    return blocks.image_input(request.input_shape)


def _tiny_backbone(image: Any, width: float, *, edge: bool) -> tuple[Any, Any]:
    """Return 256 channels at stride 16 and 1024 at stride 32."""
    x, found = image, []
    for place, filters in enumerate((16, 32, 64, 128, 256, 512), start=1):
        found.append(conv(x, blocks.scaled(filters, width), 3, name=f"conv{place}", edge=edge))
        x = blocks.pool(found[-1], 2, strides=1 if place == 6 else 2, name=f"pool{place}")
    return found[4], conv(x, blocks.scaled(1024, width), 3, name="conv7", edge=edge)


def _enlarged(x: Any, lateral: Any, filters: int, *, name: str, edge: bool) -> Any:
    """A 1x1 convolution, twice the height and width by repeating, beside `lateral`."""
    x = conv(x, filters, 1, name=f"{name}_conv", edge=edge)
    x = env.keras().layers.UpSampling2D(2, name=f"{name}_repeat")(x)
    return blocks.concat([x, lateral], name=f"{name}_concat")


def _settings(decoder: str, anchors: Sequence[Pairs], strides: Sequence[int]) -> dict[str, Any]:
    return {
        "decoder": decoder,
        "anchors": [[[float(side) for side in pair] for pair in scale] for scale in anchors],
        "strides": [float(stride) for stride in strides],
    }


def _in_pixels(name: str) -> list[Pairs]:
    return [tuple((round(CELL * width, 4), round(CELL * height, 4)) for width, height in IN_CELLS[name])]


def objects_head(decoder: str, anchors: Sequence[Pairs], strides: Sequence[int], names: tuple[str, ...]) -> Head:
    """Return the head of a detector with anchors: boxes and scores of each scale.

    Args:
        decoder: How they are read.
        anchors: Of each scale, width and height in input pixels.
        strides: Of each scale, input pixels between two cells.
        names: The labels.
    """
    outputs = tuple(f"{what}_{place}" for place in range(len(strides)) for what in ("boxes", "scores"))
    settings = _settings(decoder, anchors, strides)
    return Head(name="objects", task="detection", activation="logits", labels=names, outputs=outputs, settings=settings)


def _tree(shape: tuple[int, ...], names: tuple[str, ...]) -> Mapping[str, Any]:
    """A tree without branches: as many roots as labels."""
    return {"parents": [-1] * len(names)}


def _variants(
    build: Callable[..., Any], canonical: str, *, settings: Settings | None = None, **options: Any
) -> dict[str, Variant]:
    titles = {"canonical": canonical, "edge": "ReLU6 for leaky ReLU, which the Edge TPU lacks"}
    return {
        name: Variant(
            title=title,
            build=functools.partial(build, edge=name == "edge", **options),
            preprocessing=LETTERBOX,
            settings=settings,
        )
        for name, title in titles.items()
    }


def _coco(build: Callable[..., Any], title: str, **options: Any) -> dict[str, Variant]:
    head = objects_head("yolo_v2", _in_pixels("coco"), (CELL,), labels.COCO)
    part = functools.partial(build, edge=False, anchors=5, **options)
    return {"coco": Variant(title=title, build=part, preprocessing=LETTERBOX, heads=(head,))}


def _entry(
    name: str,
    title: str,
    head: Head,
    variants: Mapping[str, Variant],
    source: str,
    *,
    size: int = 416,
    big: bool = False,
) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=title,
        input_shape=(size, size, 3),
        small_shape=(64, 64, 3),
        heads=(head,),
        variants=variants,
        source=source,
        notes={"": notes.BIG, "edgetpu": notes.LEAKY} if big else {"edgetpu": notes.LEAKY},
        scalable=True,
    )


_V2 = "Redmon, Farhadi, YOLO9000: Better, Faster, Stronger, CVPR 2017"
_V3 = "Redmon, Farhadi, YOLOv3: An Incremental Improvement, 2018"
ENTRIES = (
    _entry(
        "yolo_v2",
        "YOLO v2: Darknet-19 with a pass-through, 5 anchors",
        objects_head("yolo_v2", _in_pixels("yolo_v2"), (CELL,), labels.VOC),
        _variants(build_yolo_v2, "leaky ReLU, anchors of VOC", anchors=5)
        | _coco(build_yolo_v2, "anchors and classes of COCO"),
        _V2,
        big=True,
    ),
    _entry(
        "yolo_v2_tiny",
        "YOLO v2 tiny: nine convolutions, 5 anchors",
        objects_head("yolo_v2", _in_pixels("yolo_v2_tiny"), (CELL,), labels.VOC),
        _variants(build_yolo_v2_tiny, "leaky ReLU, anchors of VOC", anchors=5)
        | _coco(build_yolo_v2_tiny, "anchors and classes of COCO, 512 channels before the head", last=512),
        _V2,
        big=True,
    ),
    _entry(
        "yolo_v3",
        "YOLO v3: Darknet-53 and three scales",
        objects_head("yolo_v3", V3, (32, 16, 8), labels.COCO),
        _variants(build_yolo_v3, "leaky ReLU, as in Darknet"),
        _V3,
        big=True,
    ),
    _entry(
        "yolo_v3_tiny",
        "YOLO v3 tiny: thirteen convolutions, two scales",
        objects_head("yolo_v3", V3_TINY, (32, 16), labels.COCO),
        _variants(build_yolo_v3_tiny, "leaky ReLU, as in Darknet"),
        _V3,
    ),
    _entry(
        "yolo_book_head",
        "Darknet-19 and a head whose boxes share the classes of their cell",
        objects_head("yolo_book", _in_pixels("yolo_v2"), (CELL,), labels.VOC),
        _variants(build_on_darknet19, "leaky ReLU", anchors=5, shared=True, name="yolo_book_head"),
        "a textbook's description of YOLO v3, which no paper has: 5 boxes, 5 objectnesses and the classes of each cell",
        big=True,
    ),
    _entry(
        "yolo9000",
        "YOLO9000: Darknet-19 and 9,418 classes in a tree",
        objects_head("yolo_tree", _in_pixels("yolo9000"), (CELL,), labels.numbered(NODES, stem="node")),
        _variants(
            build_on_darknet19,
            "leaky ReLU; all classes are roots until `parents` says otherwise",
            settings=_tree,
            anchors=3,
            name="yolo9000",
        ),
        _V2,
        size=544,
        big=True,
    ),
)
