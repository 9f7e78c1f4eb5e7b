"""Networks that say what the one object of an image is, and where: two outputs on one backbone.

The class comes from the mean of each map, which does not depend on where the object is; the box, in the small network,
from the maps as they lie, since a mean does not know where.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecv.values.specs import Head, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, notes
from edgecv.zoo.families.applications import application
from edgecv.zoo.families.transfer import FLOWERS

# Filters of the stages of the small network, before the width multiplier; maps of 32, 16 and 8 pixels.
STAGES = (32, 64, 96)
BOX_MAPS, BOX_UNITS = 16, 64
GRAY = Preprocessing(color="gray", mean=(127.5,), std=(127.5,))


def build_two_heads(request: Build) -> Any:
    """Xception, the mean of each of its 2,048 maps, and a dense layer for each output."""
    image = blocks.image_input(request.input_shape)
    x = application("Xception", request, input_tensor=image, include_top=False).output
    x = blocks.global_average(x)
    outputs = [blocks.classifier(x, request.labels, name="class"), blocks.dense(x, 4, activation="linear", name="box")]
    return blocks.model(image, outputs, name="loc_two_heads")


def build_multitask(request: Build) -> Any:
    """Convolutions to maps of an eighth of the input's size, then a branch for each output."""
    image = blocks.image_input(request.input_shape)
    first, second, third = (blocks.scaled(filters, request.width) for filters in STAGES)
    x = blocks.conv_norm(image, blocks.scaled(16, request.width), 3, strides=2, name="stem")
    x = blocks.max_pool(blocks.conv_norm(x, first, 3, name="conv1"), 2, name="pool1")
    x = blocks.conv_norm(x, second, 3, name="conv2a")
    x = blocks.max_pool(blocks.conv_norm(x, second, 3, name="conv2b"), 2, name="pool2")
    x = blocks.conv_norm(x, third, 3, name="conv3")
    return blocks.model(image, [_class(x, third, request.labels), _box(x)], name="loc_multitask")


def _class(x: Any, filters: int, units: int) -> Any:
    x = blocks.global_average(blocks.conv_norm(x, filters, 3, name="class_conv"), name="class_pool")
    return blocks.classifier(blocks.dropout(x, 0.2, name="class_drop"), units, name="class")


def _box(x: Any) -> Any:
    x = blocks.flatten(blocks.conv_norm(x, BOX_MAPS, 1, name="box_conv"), name="box_flatten")
    # Normalised: without it most units die in training, and the few that are left do not survive pruning.
    return blocks.dense(blocks.dense_norm(x, BOX_UNITS, name="box_fc"), 4, activation="linear", name="box")


def head(names: tuple[str, ...], settings: Mapping[str, Any]) -> tuple[Head, ...]:
    """Return the one head, which reads both outputs."""
    return (
        Head(
            name="object",
            task="localisation",
            activation="probabilities",
            labels=names,
            outputs=("class", "box"),
            settings=dict(settings),
        ),
    )


TWO_HEADS = {"box": "cxcyhw", "class_weight": 0.8, "box_weight": 0.2}
# Absolute errors place boxes better here than squared ones, which hardly push once a box is nearly right.
MULTITASK = {"box": "cxcyhw", "class_weight": 1.0, "box_weight": 5.0, "box_loss": "mae"}

ENTRIES = (
    ZooEntry(
        name="loc_two_heads",
        title="Xception backbone, the class and the box of one flower",
        input_shape=(224, 224, 3),
        small_shape=(71, 71, 3),
        heads=head(FLOWERS, TWO_HEADS),
        variants={
            "canonical": Variant(
                title="two dense layers on the global average", build=build_two_heads, preprocessing=inputs.SYMMETRIC
            ),
            "sqrt": Variant(
                title="the box's sides as square roots, which weighs small boxes up",
                build=build_two_heads,
                preprocessing=inputs.SYMMETRIC,
                heads=head(FLOWERS, {**TWO_HEADS, "sqrt": True}),
            ),
        },
        source="A. Géron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, 2019, chapter 14",
        notes={"": "loc_multitask makes a far smaller file for a device", "edgetpu": notes.BIG},
        pretrained=True,
    ),
    ZooEntry(
        name="loc_multitask",
        title="small network for the class and the box of one object, 64x64 gray images",
        input_shape=(64, 64, 1),
        small_shape=(32, 32, 1),
        heads=head(labels.DIGITS, MULTITASK),
        variants={
            "canonical": Variant(
                title="six 3x3 convolutions; the box from the maps as they lie",
                build=build_multitask,
                preprocessing=GRAY,
            )
        },
        source="Sermanet et al., OverFeat, ICLR 2014, for a box learned by its squared error beside the class",
        scalable=True,
    ),
)
