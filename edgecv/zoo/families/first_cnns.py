"""Small networks of two to nine convolutions: digits, hand signs, cats and dogs, tissue under the microscope.

The histology networks' dropout rates were not published; they are 0.25 between convolutions here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecv.values.specs import Head, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, notes

CONV_RATE = 0.25
TISSUES = ("tumor", "stroma", "complex", "lympho", "debris", "mucosa", "adipose", "empty")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
WIDENED = (32, 64, 128)


def build_signs(request: Build) -> Any:
    """C16/3/2-MP2-F-D512-D(labels); feature maps 64, 32."""
    image = blocks.image_input(request.input_shape)
    head = blocks.dense_head(_signs_stem(image), (512,), request.labels)
    return blocks.model(image, head, name="cnn_signs")


def build_signs_edge(request: Build) -> Any:
    """The same stem, three more stages of doubled width instead of the 16,384-wide dense layer, global average."""
    image = blocks.image_input(request.input_shape)
    x = _signs_stem(image)
    for stage, filters in enumerate(WIDENED, start=2):
        x = blocks.conv_learner(x, (filters,), stage=stage)
    return blocks.model(image, _average_head(x, (), request.labels), name="cnn_signs_edge")


def _signs_stem(image: Any) -> Any:
    return blocks.max_pool(blocks.conv(image, 16, 3, strides=2, name="conv1"), 2, name="pool1")


def build_mnist_b4(request: Build) -> Any:
    """C32/3v-C64/3v-F-D128-D(labels); feature maps 26, 24."""
    image = blocks.image_input(request.input_shape)
    head = blocks.dense_head(_two_convs(image), (128,), request.labels)
    return blocks.model(image, head, name="cnn_mnist_b4")


def build_mnist_b4_edge(request: Build) -> Any:
    """As `build_mnist_b4`, with a 2x2 max pool before the flattening: a quarter of the dense weights."""
    image = blocks.image_input(request.input_shape)
    head = blocks.dense_head(blocks.max_pool(_two_convs(image), 2, name="pool"), (128,), request.labels)
    return blocks.model(image, head, name="cnn_mnist_b4_edge")


def build_mnist_slide(request: Build) -> Any:
    """C32/3v-C64/3v-MP2-DO.25-F-D128-DO.5-D(labels); feature maps 26, 24, 12."""
    image = blocks.image_input(request.input_shape)
    x = blocks.dropout(blocks.max_pool(_two_convs(image), 2, name="pool"), 0.25, name="drop0")
    return blocks.model(image, blocks.dense_head(x, (128,), request.labels, rate=0.5), name="cnn_mnist_slide")


def _two_convs(image: Any) -> Any:
    x = blocks.conv(image, 32, 3, padding="valid", name="conv1")
    return blocks.conv(x, 64, 3, padding="valid", name="conv2")


def build_mnist_5x5(request: Build) -> Any:
    """C32/5v-MP2-DO.2-F-D128-D(labels); feature maps 24, 12."""
    image = blocks.image_input(request.input_shape)
    x = blocks.max_pool(blocks.conv(image, 32, 5, padding="valid", name="conv1"), 2, name="pool1")
    x = blocks.dropout(x, 0.2, name="drop0")
    return blocks.model(image, blocks.dense_head(x, (128,), request.labels), name="cnn_mnist_5x5")


def build_5class(request: Build) -> Any:
    """C16/3v-MP3-C32/3v-MP3-F-D(labels); feature maps 30, 10, 8, 2."""
    image = blocks.image_input(request.input_shape)
    x = _valid_stages(image, (16, 32), pool=3)
    return blocks.model(image, blocks.dense_head(x, (), request.labels), name="cnn_5class")


def catdog_builder(activation: str, name: str, *, average: bool = False) -> Callable[[Build], Any]:
    """Return what builds C16/3v-MP2-C64/3v-MP2-C128/3v-MP2-F-D512-D(labels); feature maps 148, 74, 72, 36, 34, 17."""

    def build(request: Build) -> Any:
        image = blocks.image_input(request.input_shape)
        x = _valid_stages(image, (16, 64, 128), pool=2)
        x = blocks.hidden_layers(blocks.global_average(x) if average else blocks.flatten(x), (512,))
        return blocks.model(image, blocks.dense(x, request.labels, activation=activation, name="output"), name=name)

    return build


def histology_v1_builder(activation: str, name: str) -> Callable[[Build], Any]:
    """Return what builds C32/3/3v-MP2-C64/3/3v-MP2-F-D64-DO.5-D(labels); feature maps 50, 25, 8, 4."""

    def build(request: Build) -> Any:
        image = blocks.image_input(request.input_shape)
        x = _valid_stages(image, (32, 64), pool=2, strides=3)
        x = blocks.hidden_layers(blocks.flatten(x), (64,), rate=0.5)
        return blocks.model(image, blocks.dense(x, request.labels, activation=activation, name="output"), name=name)

    return build


def _valid_stages(x: Any, filters: tuple[int, ...], *, pool: int, strides: int = 1) -> Any:
    """Stages of one 3x3 VALID convolution conv<stage> and one max pool pool<stage>."""
    for stage, width in enumerate(filters, start=1):
        x = blocks.conv(x, width, 3, strides=strides, padding="valid", name=f"conv{stage}")
        x = blocks.max_pool(x, pool, name=f"pool{stage}")
    return x


def build_histology_v2(request: Build) -> Any:
    """C128/5-MP2-DO-C64-MP2-DO-C64-MP2-DO-F-D256-D64-D32-D(labels); feature maps 150, 75, 37, 18."""
    image = blocks.image_input(request.input_shape)
    head = blocks.dense_head(_v2_learner(image), (256, 64, 32), request.labels)
    return blocks.model(image, head, name="histology_v2")


def build_histology_v2_edge(request: Build) -> Any:
    """As `build_histology_v2`, with a global average pool in place of the flattening."""
    image = blocks.image_input(request.input_shape)
    head = _average_head(_v2_learner(image), (256, 64, 32), request.labels)
    return blocks.model(image, head, name="histology_v2_edge")


def _v2_learner(x: Any) -> Any:
    for stage, (filters, kernel) in enumerate(((128, 5), (64, 3), (64, 3)), start=1):
        x = blocks.max_pool(blocks.conv(x, filters, kernel, name=f"conv{stage}"), 2, name=f"pool{stage}")
        x = blocks.dropout(x, CONV_RATE, name=f"conv_drop{stage}")
    return x


def build_histology_v3(request: Build) -> Any:
    """3xC16-DO-MP3-3xC32-DO-MP3-3xC64-DO-MP3-C128-C128-C256-DO-MP3-GMP-D(labels); feature maps 50, 16, 5, 1."""
    image = blocks.image_input(request.input_shape)
    x = blocks.global_maximum(_v3_learner(image))
    return blocks.model(image, blocks.classifier(x, request.labels), name="histology_v3")


def build_histology_v3_edge(request: Build) -> Any:
    """As `build_histology_v3`, flattened: over 1x1 maps the global maximum does nothing."""
    image = blocks.image_input(request.input_shape)
    return blocks.model(image, blocks.dense_head(_v3_learner(image), (), request.labels), name="histology_v3_edge")


def _v3_learner(x: Any) -> Any:
    for stage, filters in enumerate(((16, 16, 16), (32, 32, 32), (64, 64, 64), (128, 128, 256)), start=1):
        for letter, width in zip("abc", filters, strict=True):
            x = blocks.conv(x, width, 3, name=f"conv{stage}{letter}")
        x = blocks.max_pool(blocks.dropout(x, CONV_RATE, name=f"conv_drop{stage}"), 3, name=f"pool{stage}")
    return x


def _average_head(x: Any, hidden: tuple[int, ...], units: int) -> Any:
    return blocks.classifier(blocks.hidden_layers(blocks.global_average(x), hidden), units)


def _variant(title: str, build: Callable[[Build], Any], preprocessing: Preprocessing = inputs.GRAY) -> Variant:
    return Variant(title=title, build=build, preprocessing=preprocessing)


def _digits(name: str, title: str, small: int, variants: dict[str, Variant], note: str) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=f"{title}, 28x28 grey images",
        input_shape=(28, 28, 1),
        small_shape=(small, small, 1),
        heads=labels.classifier_head(labels.DIGITS),
        variants=variants,
        source="a first CNN of introductory courses on MNIST",
        notes={"": note},
    )


def _tissue(name: str, title: str, small: int, variants: dict[str, Variant], note: str) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=f"{title}, 150x150 tissue images",
        input_shape=(150, 150, 3),
        small_shape=(small, small, 3),
        heads=labels.classifier_head(TISSUES),
        variants=variants,
        source="classes and tiles: Kather et al., Multi-class texture analysis in colorectal cancer histology, 2016",
        notes={"": note},
    )


DOG = (Head(name="output", task="multilabel", activation="probabilities", labels=("dog",)),)
SIGMOID = "sigmoid scores that do not sum to 1, as printed; trained with cross-entropy"

ENTRIES = (
    ZooEntry(
        name="cnn_signs",
        title="one convolution and a wide dense layer, 128x128 grey hand signs",
        input_shape=(128, 128, 1),
        small_shape=(32, 32, 1),
        heads=labels.classifier_head(LETTERS),
        variants={
            "canonical": _variant("as published", build_signs),
            "edge": _variant("four convolutions and a global average pool", build_signs_edge),
        },
        source="an introductory CNN for the 26 letters of the sign alphabet",
        notes={"": f"{notes.DENSE} (99.8 % of all)"},
    ),
    _digits(
        "cnn_mnist_b4",
        "two convolutions without a pool",
        6,
        {
            "canonical": _variant("as published", build_mnist_b4),
            "edge": _variant("with a max pool before the dense layers", build_mnist_b4_edge),
        },
        "most weights sit in the first dense layer: the edge variant pools before it",
    ),
    _digits(
        "cnn_mnist_5x5", "one 5x5 convolution", 6, {"canonical": _variant("as published", build_mnist_5x5)}, notes.SMALL
    ),
    _digits(
        "cnn_mnist_slide",
        "two convolutions and a pool",
        6,
        {"canonical": _variant("as published", build_mnist_slide)},
        notes.SMALL,
    ),
    ZooEntry(
        name="cnn_5class",
        title="two convolutions, 32x32 colour images",
        input_shape=(32, 32, 3),
        small_shape=(17, 17, 3),
        heads=labels.classifier_head(labels.numbered(5)),
        variants={"canonical": _variant("as published", build_5class, inputs.UNIT)},
        source="an introductory CNN for five classes",
        notes={"": notes.SMALL},
    ),
    ZooEntry(
        name="cnn_catdog",
        title="three convolutions, 150x150 cats and dogs",
        input_shape=(150, 150, 3),
        small_shape=(22, 22, 3),
        heads=DOG,
        variants={
            "canonical": _variant(
                "one sigmoid output: dog or not", catdog_builder("sigmoid", "cnn_catdog"), inputs.UNIT
            ),
            "softmax": Variant(
                title="two softmax outputs, for data with two classes",
                build=catdog_builder("softmax", "cnn_catdog_softmax"),
                preprocessing=inputs.UNIT,
                heads=labels.classifier_head(("cat", "dog")),
            ),
            "edge": Variant(
                title="two softmax outputs, global average pool in place of the flattening",
                build=catdog_builder("softmax", "cnn_catdog_edge", average=True),
                preprocessing=inputs.UNIT,
                heads=labels.classifier_head(("cat", "dog")),
            ),
        },
        source="an introductory CNN for the cats and dogs of Kaggle's competition of 2013",
        notes={"": notes.DENSE, "edgetpu": notes.BIG},
    ),
    _tissue(
        "histology_v1",
        "two convolutions of stride 3",
        36,
        {
            "canonical": _variant("softmax", histology_v1_builder("softmax", "histology_v1"), inputs.UNIT),
            "book": _variant(SIGMOID, histology_v1_builder("sigmoid", "histology_v1_book"), inputs.UNIT),
        },
        notes.SMALL,
    ),
    _tissue(
        "histology_v2",
        "three convolutions and four dense layers",
        8,
        {
            "canonical": _variant("as published", build_histology_v2, inputs.UNIT),
            "edge": _variant("global average pool", build_histology_v2_edge, inputs.UNIT),
        },
        notes.DENSE,
    ),
    _tissue(
        "histology_v3",
        "twelve convolutions",
        81,
        {
            "canonical": _variant("as published", build_histology_v3, inputs.UNIT),
            "edge": _variant("without the global maximum over 1x1 maps", build_histology_v3_edge, inputs.UNIT),
        },
        "the global maximum at its end does nothing: the edge variant has none",
    ),
)
