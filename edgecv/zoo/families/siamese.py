"""A Siamese network for digits: vectors that lie close for one digit, and the distance of two images.

Source: Bromley, Guyon, LeCun, Säckinger, Shah 1993, "Signature Verification using a Siamese Time Delay Neural Network";
Hadsell, Chopra, LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping", for the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Head
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, notes

LENGTH = 128
"""Of a vector."""
EDGE_LENGTH = 64

Encoder = Callable[[Any], Any]


def build_encoder(request: Build) -> Any:
    """C8/3v-MP3-C16/3v-MP3-F-D128-D128, ReLU: (batch, h, w, 1) to (batch, 128); feature maps 26, 8, 6, 2."""
    image = blocks.image_input(request.input_shape)
    return blocks.model(image, _encoder(last="embedding")(image), name="siamese_mnist")


def build_pair(request: Build) -> Any:
    """The encoder, once for each of two images with the same weights, and their distance."""
    encoder = _encoder()
    return _compared(request, encoder, encoder, name="siamese_mnist_pair")


def build_book(request: Build) -> Any:
    """An encoder for each of two images, each with weights of its own, and their distance."""
    return _compared(request, _encoder("first_"), _encoder("second_"), name="siamese_mnist_book")


def _compared(request: Build, first: Encoder, second: Encoder, *, name: str) -> Any:
    from edgecv.modelio import layers

    images = [blocks.image_input(request.input_shape, name=side) for side in ("first", "second")]
    vectors = [first(images[0]), second(images[1])]
    return blocks.model(images, layers.EuclideanDistance(name="distance")(vectors), name=name)


def _encoder(prefix: str = "", *, last: str = "fc2") -> Encoder:
    """Return the layers as a function: each call of it uses the same weights."""
    layers = env.keras().layers
    chain = [
        layers.Conv2D(8, 3, activation="relu", name=f"{prefix}conv1"),
        layers.MaxPooling2D(3, name=f"{prefix}pool1"),
        layers.Conv2D(16, 3, activation="relu", name=f"{prefix}conv2"),
        layers.MaxPooling2D(3, name=f"{prefix}pool2"),
        layers.Flatten(name=f"{prefix}flatten"),
        layers.Dense(LENGTH, activation="relu", name=f"{prefix}fc1"),
        layers.Dense(LENGTH, activation="relu", name=f"{prefix}{last}"),
    ]

    def encode(x: Any) -> Any:
        for layer in chain:
            x = layer(x)
        return x

    return encode


def build_edge(request: Build) -> Any:
    """C16-C16/2-C32-C32/2-C64, each 3x3s with BN and ReLU, MP2-F-D64: (batch, h, w, 1) to (batch, 64)."""
    keras_layers = env.keras().layers
    x = image = blocks.image_input(request.input_shape)
    for index, (channels, stride) in enumerate(((16, 1), (16, 2), (32, 1), (32, 2), (64, 1)), start=1):
        name = f"conv{index}"
        x = keras_layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False, name=name)(x)
        x = keras_layers.BatchNormalization(name=f"{name}_bn")(x)
        x = keras_layers.ReLU(name=f"{name}_relu")(x)
    x = keras_layers.MaxPooling2D(2, name="pool")(x)
    x = keras_layers.Flatten(name="flatten")(x)
    return blocks.model(image, keras_layers.Dense(EDGE_LENGTH, name="embedding")(x), name="siamese_mnist_edge")


EMBEDDING = (Head(name="embedding", task="embedding", activation="linear"),)
TRIPLETS = (
    Head(
        name="embedding",
        task="embedding",
        activation="linear",
        settings={"normalise": True, "loss": "triplet", "margin": 0.2},
    ),
)
BATCH = (
    Head(
        name="embedding",
        task="embedding",
        activation="linear",
        settings={"normalise": True, "loss": "supervised_contrastive", "balance": 48.0},
    ),
)
DISTANCE = (Head(name="distance", task="verification", activation="distances"),)
PAIR = ("first", "second")

ENTRIES = (
    ZooEntry(
        name="siamese_mnist",
        title="Siamese encoder, digits",
        input_shape=(28, 28, 1),
        small_shape=(17, 17, 1),
        heads=EMBEDDING,
        variants={
            "canonical": Variant(
                title="the encoder alone: one image to a vector of 128", build=build_encoder, preprocessing=inputs.GRAY
            ),
            "triplet": Variant(
                title="the encoder alone, vectors of length 1 that learn from triplets",
                build=build_encoder,
                preprocessing=inputs.GRAY,
                heads=TRIPLETS,
            ),
            "edge": Variant(
                title="convolutions with normalisation, vectors of 64 that learn from all of a batch",
                build=build_edge,
                preprocessing=inputs.GRAY,
                heads=BATCH,
            ),
            "pair": Variant(
                title="the distance of two images, by one encoder",
                build=build_pair,
                preprocessing=inputs.GRAY,
                heads=DISTANCE,
                inputs=PAIR,
            ),
            "book": Variant(
                title="the distance of two images, by an encoder for each",
                build=build_book,
                preprocessing=inputs.GRAY,
                heads=DISTANCE,
                inputs=PAIR,
            ),
        },
        source="an introductory Siamese network for MNIST",
        notes={"": notes.SMALL},
    ),
)
