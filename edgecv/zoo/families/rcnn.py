"""Detectors of two stages: regions where something may be, then what each of them shows.

A model of two networks, which share no layer: the first takes the image, the second regions that are cut out of the
first one's features. `edgecv convert` makes a bundle of them, a file for each, and the runtime does what lies between.
The regions of an image stand one below the other, so that the second network takes them with a batch of one: its first
layer is a convolution whose kernel and stride are a region's side, which is a dense layer on each.

Sources: Girshick et al. 2014, "Rich Feature Hierarchies for Accurate Object Detection and Semantic Segmentation";
Girshick 2015, "Fast R-CNN"; Ren et al. 2015, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal
Networks". The edge variants have MobileNetV2 for VGG16 and separable layers, and are the project's own.
"""

from __future__ import annotations

import functools
from typing import Any

from edgecv.modelio import env
from edgecv.tasks.detection import anchors
from edgecv.values.specs import Head, InputSpec
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import applications, inputs, labels, vgg
from edgecv.zoo.families import notes as remarks
from edgecv.zoo.families.alexnet import ALEXNET, maps

STRIDE, SIDE = 16, 7
"""Input pixels between two cells of the features; cells of a region along each side."""
REGIONS, FAST_REGIONS, EDGE_REGIONS, CROPS = 300, 2000, 64, 2000
"""Of an image. Source: Ren et al. 2015, section 4.1; Girshick 2015, section 3.3; chosen for small devices; Girshick et
al. 2014, section 2.2."""
SIZES, EDGE_SIZES = (128, 256, 512), (48, 96, 192)
"""Square roots of the areas of anchors, in input pixels: as published for inputs of 600, and for the edge's 320."""
HIDDEN = 4096
EDGE_INPUT = (320, 320, 3)
EDGE_LAYER, EDGE_WIDTH = "block_12_add", 256


def build_two_stages(request: Build, *, proposals: bool) -> Any:
    """VGG16's convolutions, a region proposal network where asked for, and its dense layers on each region."""
    image = blocks.image_input(request.input_shape)
    features = _named(vgg.convolutions(image)[-1], "features")
    outputs = _proposals(features, 512, SIZES) if proposals else []
    regions = _regions(REGIONS if proposals else FAST_REGIONS, int(features.shape[-1]))
    x = env.keras().layers.Conv2D(HIDDEN, SIDE, strides=SIDE, activation="relu", name="fc6")(regions)
    x = blocks.conv(blocks.dropout(x, 0.5, name="drop6"), HIDDEN, 1, name="fc7")
    answers = _answers(blocks.dropout(x, 0.5, name="drop7"), request.units[0])
    name = "faster_rcnn" if proposals else "fast_rcnn"
    return vgg.with_weights(blocks.model([image, regions], [features, *answers, *outputs], name=name), request)


def build_edge(request: Build, *, proposals: bool) -> Any:
    """MobileNetV2 up to stride 16, a separable region proposal network, and a separable layer on each region."""
    image = blocks.image_input(request.input_shape)
    backbone = applications.backbone("MobileNetV2", request, image=image)
    features = _named(backbone.get_layer(EDGE_LAYER).output, "features")
    outputs = _separable_proposals(features, EDGE_WIDTH, EDGE_SIZES) if proposals else []
    regions = _regions(EDGE_REGIONS, int(features.shape[-1]))
    layers = env.keras().layers
    x = layers.DepthwiseConv2D(SIDE, strides=SIDE, use_bias=False, name="fc6_dw")(regions)
    x = blocks.conv_norm(x, EDGE_WIDTH, 1, name="fc6", activation="relu6")
    x = blocks.conv_norm(x, EDGE_WIDTH, 1, name="fc7", activation="relu6")
    answers = _answers(blocks.dropout(x, 0.2, name="drop7"), request.units[0])
    name = "faster_rcnn" if proposals else "fast_rcnn"
    return blocks.model([image, regions], [features, *answers, *outputs], name=f"{name}_edge")


def build_rcnn(request: Build) -> Any:
    """AlexNet on one crop of an image: scores from its second dense layer, boxes from its last pool."""
    image = blocks.image_input(request.input_shape)
    pooled = blocks.flatten(maps(image, ALEXNET))
    x = blocks.hidden_layers(pooled, (HIDDEN, HIDDEN), rate=0.5)
    units = 1 + request.units[0]
    boxes = blocks.dense(pooled, 4 * units, activation="linear", name="boxes")
    return blocks.model(image, [boxes, blocks.dense(x, units, activation="linear", name="scores")], name="rcnn")


def _named(x: Any, name: str) -> Any:
    """Return the same values as the output of a layer of that name."""
    return env.keras().layers.Activation("linear", name=name)(x)


def _regions(count: int, channels: int) -> Any:
    return env.keras().Input((count * SIDE, SIDE, channels), name="regions")


def _proposals(features: Any, filters: int, sizes: tuple[int, ...]) -> list[Any]:
    return _offsets_and_scores(blocks.conv(features, filters, 3, name="rpn"), len(anchor_sizes(sizes)))


def _separable_proposals(features: Any, filters: int, sizes: tuple[int, ...]) -> list[Any]:
    x = blocks.separable_norm(features, filters, name="rpn", activation="relu6")
    return _offsets_and_scores(x, len(anchor_sizes(sizes)))


def _offsets_and_scores(x: Any, count: int) -> list[Any]:
    layer = env.keras().layers.Conv2D
    return [layer(4 * count, 1, name="rpn_boxes")(x), layer(2 * count, 1, name="rpn_scores")(x)]


def _answers(x: Any, classes: int) -> list[Any]:
    """Boxes of each class and scores of regions; the background is the first class."""
    layer, units = env.keras().layers.Conv2D, 1 + classes
    return [layer(4 * units, 1, name="boxes")(x), layer(units, 1, name="scores")(x)]


def anchor_sizes(sizes: tuple[int, ...]) -> list[list[float]]:
    """Return width and height of the anchors of a cell, in the order of a region proposal network's channels."""
    boxes = anchors.rpn((1, 1), STRIDE, sizes)
    found: list[list[float]] = (boxes[:, 2:] - boxes[:, :2]).tolist()
    return found


def _inputs(count: int, channels: int) -> Any:
    def further(shape: tuple[int, ...]) -> tuple[InputSpec, ...]:
        return (InputSpec("regions", (count * SIDE, SIDE, channels)),)

    return further


def _objects(names: tuple[str, ...], *, count: int, pooling: str, score: float = 0.05) -> Head:
    crop = pooling == "crop"
    settings = {"decoder": "regions", "regions": count, "pooling": pooling, "score": score, "iou": 0.3}
    return Head(
        name="objects",
        task="detection",
        activation="logits",
        labels=names,
        outputs=("boxes", "scores") if crop else ("features", "boxes", "scores"),
        settings=settings if crop else {**settings, "strides": [float(STRIDE)]},
    )


def _finder(sizes: tuple[int, ...], count: int) -> Head:
    """Of the region proposal network. Source: Ren et al. 2015, section 3.3: suppression at 0.7."""
    settings = {
        "decoder": "rpn", "anchors": [anchor_sizes(sizes)], "strides": [float(STRIDE)], "variances": [1.0, 1.0],
        "score": 0.0, "iou": 0.7, "most": count,
    }  # fmt: skip
    outputs = ("rpn_boxes", "rpn_scores")
    return Head(
        name="proposals",
        task="detection",
        activation="logits",
        labels=("object",),
        outputs=outputs,
        settings=settings,
    )


_FASTER = (_objects(labels.VOC, count=REGIONS, pooling="max"), _finder(SIZES, REGIONS))
_FASTER_EDGE = (_objects(labels.VOC, count=EDGE_REGIONS, pooling="align"), _finder(EDGE_SIZES, EDGE_REGIONS))
_FAST = (_objects(labels.VOC, count=FAST_REGIONS, pooling="max"),)
_FAST_EDGE = (_objects(labels.VOC, count=EDGE_REGIONS, pooling="align"),)

ENTRIES = (
    ZooEntry(
        name="faster_rcnn",
        title="Faster R-CNN: region proposals by a network, VGG16",
        input_shape=(600, 800, 3),
        small_shape=(64, 64, 3),
        heads=_FASTER,
        variants={
            "canonical": Variant(
                title="VGG16, 300 regions, maximum pooling",
                build=functools.partial(build_two_stages, proposals=True),
                preprocessing=inputs.CAFFE,
                further=_inputs(REGIONS, 512),
            ),
            "edge": Variant(
                title="MobileNetV2, 64 regions, separable layers",
                build=functools.partial(build_edge, proposals=True),
                preprocessing=inputs.SYMMETRIC,
                heads=_FASTER_EDGE,
                input_shape=EDGE_INPUT,
                further=_inputs(EDGE_REGIONS, 96),
            ),
        },
        source="Ren, He, Girshick, Sun, Faster R-CNN, NIPS 2015",
        notes={
            "": "a bundle of two files: regions are found and pooled between them, in the runtime",
            "edgetpu": remarks.BIG,
        },
        pretrained=True,
    ),
    ZooEntry(
        name="fast_rcnn",
        title="Fast R-CNN: regions by selective search, VGG16",
        input_shape=(600, 800, 3),
        small_shape=(64, 64, 3),
        heads=_FAST,
        variants={
            "canonical": Variant(
                title="VGG16, 2,000 regions, maximum pooling",
                build=functools.partial(build_two_stages, proposals=False),
                preprocessing=inputs.CAFFE,
                further=_inputs(FAST_REGIONS, 512),
            ),
            "edge": Variant(
                title="MobileNetV2, 64 regions, separable layers",
                build=functools.partial(build_edge, proposals=False),
                preprocessing=inputs.SYMMETRIC,
                heads=_FAST_EDGE,
                input_shape=EDGE_INPUT,
                further=_inputs(EDGE_REGIONS, 96),
            ),
        },
        source="Girshick, Fast R-CNN, ICCV 2015",
        notes={"": "selective search takes seconds an image: faster_rcnn finds regions by a network"},
        pretrained=True,
    ),
    ZooEntry(
        name="rcnn",
        title="R-CNN: a network on each region's pixels, AlexNet",
        input_shape=(227, 227, 3),
        small_shape=(67, 67, 3),
        heads=(_objects(labels.VOC, count=CROPS, pooling="crop"),),
        variants={
            "canonical": Variant(
                title="2,000 crops by selective search, one at a time",
                build=build_rcnn,
                preprocessing=inputs.UNIT,
            )
        },
        source="Girshick, Donahue, Darrell, Malik, R-CNN, CVPR 2014; scores by a softmax in place of support vectors",
        notes={"": "a run of the network for each region: minutes an image; faster_rcnn runs it once"},
    ),
)
