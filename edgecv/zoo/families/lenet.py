"""LeNet-5, as built today and as published in 1998.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.
"""

from __future__ import annotations

from typing import Any

from edgecv.values.specs import Head, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families.lenet_codes import digit_codes

INPUT_SHAPE = (32, 32, 1)
DIGITS = tuple(str(digit) for digit in range(10))

# Table I of the paper: the maps of S2 that each of C3's 16 maps sees.
C3_TABLE: tuple[tuple[int, ...], ...] = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def build_canonical(request: Build) -> Any:
    """C6/5-AP2-C16/5-AP2-C120/5-D84-D(labels), tanh, softmax; feature maps 28, 14, 10, 5, 1."""
    image = blocks.image_input(request.input_shape)
    x = _tanh_conv(image, 6, name="c1")
    x = blocks.average_pool(x, 2, name="s2")
    x = _tanh_conv(x, 16, name="c3")
    x = blocks.average_pool(x, 2, name="s4")
    x = _features(x)
    return blocks.model(image, blocks.classifier(x, request.labels), name="lenet5")


def build_book(request: Build) -> Any:
    """The 1998 network: trainable sub-sampling, C3 wired by table I, RBF output with fixed codes (distances)."""
    from edgecv.modelio import layers

    image = blocks.image_input(request.input_shape)
    x = _tanh_conv(image, 6, name="c1")
    x = layers.Subsampling2D(2, activation="tanh", name="s2")(x)
    x = layers.SparseConv2D(C3_TABLE, 5, activation="tanh", name="c3")(x)
    x = layers.Subsampling2D(2, activation="tanh", name="s4")(x)
    x = layers.RbfOutput(digit_codes()[: request.labels], name="output")(_features(x))
    return blocks.model(image, x, name="lenet5_book")


def _tanh_conv(x: Any, filters: int, *, name: str) -> Any:
    return blocks.conv(x, filters, 5, padding="valid", activation="tanh", name=name)


def _features(x: Any) -> Any:
    return blocks.dense(blocks.flatten(_tanh_conv(x, 120, name="c5")), 84, activation="tanh", name="f6")


LENET5 = ZooEntry(
    name="lenet5",
    title="LeNet-5, digits",
    input_shape=INPUT_SHAPE,
    small_shape=INPUT_SHAPE,
    heads=(Head(name="output", task="classification", activation="probabilities", labels=DIGITS),),
    variants={
        "canonical": Variant(
            title="as built today: dense C3, plain average pooling, softmax",
            build=build_canonical,
            preprocessing=Preprocessing(color="gray", mean=(0.0,), std=(255.0,)),
        ),
        "book": Variant(
            title="as of 1998: trainable sub-sampling, sparse C3, RBF output over fixed codes",
            build=build_book,
            # Background -0.1, foreground 1.175: section II.B.
            preprocessing=Preprocessing(color="gray", mean=(20.0,), std=(200.0,)),
            activation="distances",
            fixed_labels=10,
        ),
    },
    notes={
        "": "int8 is coarse for the RBF output's distances (book): prefer the softmax of the canonical variant",
        "edgetpu": "the RBF output (book) needs SQUARED_DIFFERENCE and SUM, which older compilers lack",
    },
    source="LeCun, Bottou, Bengio, Haffner, Gradient-Based Learning Applied to Document Recognition, Proc. IEEE, 1998",
)

ENTRIES = (LENET5,)
