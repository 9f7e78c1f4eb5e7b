"""cnn_fashion: a small VGG-like network for 28x28 grey images, with two hidden dense layers."""

from __future__ import annotations

from typing import Any

from edgecv.values.specs import Head, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry

INPUT_SHAPE = (28, 28, 1)
LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def build_canonical(request: Build) -> Any:
    """C64/7-MP2-C128-C128-MP2-C256-C256-MP2-D128-DO-D64-DO-D(labels); feature maps 28, 14, 7, 3."""
    image = blocks.image_input(request.input_shape)
    x = blocks.max_pool(blocks.conv(image, 64, 7, name="conv1"), 2, name="pool1")
    x = blocks.conv_learner(x, (128, 128), stage=2)
    x = blocks.conv_learner(x, (256, 256), stage=3)
    return blocks.model(image, blocks.dense_head(x, (128, 64), request.labels, rate=0.5), name="cnn_fashion")


CNN_FASHION = ZooEntry(
    name="cnn_fashion",
    title="small VGG-like CNN for 28x28 grey images",
    input_shape=INPUT_SHAPE,
    small_shape=(14, 14, 1),
    heads=(Head(name="output", task="classification", activation="probabilities", labels=LABELS),),
    variants={
        "canonical": Variant(
            title="as published",
            build=build_canonical,
            preprocessing=Preprocessing(color="gray", mean=(0.0,), std=(255.0,)),
        )
    },
    source="A. Géron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, 2nd ed., 2019, chapter 14",
)

ENTRIES = (CNN_FASHION,)
