"""Networks that turn faces, or whatever else is to be recognised, into vectors of 128.

Sources: Schroff, Kalenichenko, Philbin 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering", table
2 (NN2); Szegedy, Ioffe, Vanhoucke, Alemi 2017, "Inception-v4, Inception-ResNet and the Impact of Residual Connections
on Learning", figures 7 to 14 (Inception-ResNet-v1), in the widths of the public Keras network of that name.

Vectors get length 1 outside of the graph, by the head's setting: GPU delegates lack the operator, and a device computes
128 values in float at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Head
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, notes
from edgecv.zoo.families.applications import application

LENGTH = 128
"""Of a vector."""
MOMENTUM, EPSILON = 0.995, 0.001

# NN2's modules. 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; projection, and what is pooled before it. 0: no such branch.
NN2_MODULES: tuple[tuple[str, int, tuple[int, int], tuple[int, int], int, str], ...] = (
    ("3a", 64, (96, 128), (16, 32), 32, "max"),
    ("3b", 64, (96, 128), (32, 64), 64, "average"),
    ("3c", 0, (128, 256), (32, 64), 0, "max"),
    ("4a", 256, (96, 192), (32, 64), 128, "average"),
    ("4b", 224, (112, 224), (32, 64), 128, "average"),
    ("4c", 192, (128, 256), (32, 64), 128, "average"),
    ("4d", 160, (144, 288), (32, 64), 128, "average"),
    ("4e", 0, (160, 256), (64, 128), 0, "max"),
    ("5a", 384, (192, 384), (48, 128), 128, "average"),
    ("5b", 384, (192, 384), (48, 128), 128, "max"),
)


def build_nn2(request: Build) -> Any:
    """NN2: (batch, h, w, 3) to (batch, 128). Its L2 pooling is average pooling here, which has an int8 kernel."""
    image = blocks.image_input(request.input_shape)
    x = blocks.conv(image, 64, 7, strides=2, name="conv1")
    x = blocks.pool(x, 3, strides=2, name="pool1")
    x = blocks.conv(blocks.conv(x, 64, 1, name="conv2_reduce"), 192, 3, name="conv2")
    x = blocks.pool(x, 3, strides=2, name="pool2")
    for name, one, three, five, projection, kind in NN2_MODULES:
        x = _module(x, one, three, five, projection, kind, name=name)
    vector = blocks.dense(blocks.global_average(x), LENGTH, activation="linear", name="embedding")
    return blocks.model(image, vector, name="facenet_nn2")


def _module(
    x: Any, one: int, three: tuple[int, int], five: tuple[int, int], projection: int, kind: str, *, name: str
) -> Any:
    """One Inception module; one without a 1x1 branch halves the maps, and passes them through its pool."""
    strides = 1 if one else 2
    parts = [blocks.conv(x, one, 1, name=f"{name}_1x1")] if one else []
    for size, (reduced, filters) in ((3, three), (5, five)):
        inner = blocks.conv(x, reduced, 1, name=f"{name}_{size}x{size}_reduce")
        parts.append(blocks.conv(inner, filters, size, strides=strides, name=f"{name}_{size}x{size}"))
    pooled = blocks.pool(x, 3, strides=strides, kind=kind, name=f"{name}_pool")
    parts.append(blocks.conv(pooled, projection, 1, name=f"{name}_proj") if projection else pooled)
    return blocks.concat(parts, name=f"{name}_concat")


def inception_resnet(length: int) -> Callable[[Build], Any]:
    """Return what builds Inception-ResNet-v1 with vectors of `length`: (batch, h, w, 3) to (batch, length)."""

    def build(request: Build) -> Any:
        image = blocks.image_input(request.input_shape)
        x = _stem(image)
        for index in range(1, 6):
            x = _residual(x, _block35(x, f"block35_{index}"), 0.17, name=f"block35_{index}")
        x = _reduction_a(x)
        for index in range(1, 11):
            x = _residual(x, _block17(x, f"block17_{index}"), 0.10, name=f"block17_{index}")
        x = _reduction_b(x)
        for index in range(1, 6):
            x = _residual(x, _block8(x, f"block8_{index}"), 0.20, name=f"block8_{index}")
        x = _residual(x, _block8(x, "block8_6"), 1.0, name="block8_6", activation=None)
        x = blocks.dropout(blocks.global_average(x), 0.2, name="drop")
        layers = env.keras().layers
        x = layers.Dense(length, use_bias=False, name="bottleneck")(x)
        norm = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, scale=False, name="embedding")
        return blocks.model(image, norm(x), name="facenet")

    return build


def _conv(
    x: Any, filters: int, kernel: int | tuple[int, int], *, name: str, strides: int = 1, padding: str = "same"
) -> Any:
    """Convolution without bias, batch normalisation without scale, ReLU: the scale is the next layer's to learn."""
    layers = env.keras().layers
    x = layers.Conv2D(filters, kernel, strides=strides, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, scale=False, name=f"{name}_bn")(x)
    return blocks.activate(x, "relu", name=f"{name}_act")


def _stem(image: Any) -> Any:
    x = _conv(image, 32, 3, strides=2, padding="valid", name="conv1a")
    x = _conv(x, 32, 3, padding="valid", name="conv2a")
    x = _conv(x, 64, 3, name="conv2b")
    x = blocks.pool(x, 3, strides=2, padding="valid", name="pool3a")
    x = _conv(x, 80, 1, padding="valid", name="conv3b")
    x = _conv(x, 192, 3, padding="valid", name="conv4a")
    return _conv(x, 256, 3, strides=2, padding="valid", name="conv4b")


def _block35(x: Any, name: str) -> list[Any]:
    """Inception-ResNet-A's branches."""
    two = _conv(_conv(x, 32, 1, name=f"{name}_2a"), 32, 3, name=f"{name}_2b")
    three = _conv(x, 32, 1, name=f"{name}_3a")
    three = _conv(_conv(three, 32, 3, name=f"{name}_3b"), 32, 3, name=f"{name}_3c")
    return [_conv(x, 32, 1, name=f"{name}_1"), two, three]


def _block17(x: Any, name: str) -> list[Any]:
    """Inception-ResNet-B's branches."""
    two = _conv(_conv(x, 128, 1, name=f"{name}_2a"), 128, (1, 7), name=f"{name}_2b")
    return [_conv(x, 128, 1, name=f"{name}_1"), _conv(two, 128, (7, 1), name=f"{name}_2c")]


def _block8(x: Any, name: str) -> list[Any]:
    """Inception-ResNet-C's branches."""
    two = _conv(_conv(x, 192, 1, name=f"{name}_2a"), 192, (1, 3), name=f"{name}_2b")
    return [_conv(x, 192, 1, name=f"{name}_1"), _conv(two, 192, (3, 1), name=f"{name}_2c")]


def _reduction_a(x: Any) -> Any:
    two = _conv(_conv(x, 192, 1, name="mixed6_2a"), 192, 3, name="mixed6_2b")
    parts = [
        _conv(x, 384, 3, strides=2, padding="valid", name="mixed6_1"),
        _conv(two, 256, 3, strides=2, padding="valid", name="mixed6_2c"),
        blocks.pool(x, 3, strides=2, padding="valid", name="mixed6_pool"),
    ]
    return blocks.concat(parts, name="mixed6")


def _reduction_b(x: Any) -> Any:
    one = _conv(x, 256, 1, name="mixed7_1a")
    two = _conv(x, 256, 1, name="mixed7_2a")
    three = _conv(_conv(x, 256, 1, name="mixed7_3a"), 256, 3, name="mixed7_3b")
    parts = [
        _conv(one, 384, 3, strides=2, padding="valid", name="mixed7_1b"),
        _conv(two, 256, 3, strides=2, padding="valid", name="mixed7_2b"),
        _conv(three, 256, 3, strides=2, padding="valid", name="mixed7_3c"),
        blocks.pool(x, 3, strides=2, padding="valid", name="mixed7_pool"),
    ]
    return blocks.concat(parts, name="mixed7")


def _residual(x: Any, parts: list[Any], scale: float, *, name: str, activation: str | None = "relu") -> Any:
    """Return x + scale * up, `up` a 1x1 convolution of the joined branches; the public network's residual."""
    layers = env.keras().layers
    up = layers.Conv2D(int(x.shape[-1]), 1, name=f"{name}_up")(blocks.concat(parts, name=f"{name}_concat"))
    if scale != 1.0:
        up = layers.Rescaling(scale, name=f"{name}_scale")(up)
    return blocks.residual(x, up, name=name, activation=activation)


def build_mobile(request: Build) -> Any:
    """MobileNetV2, the mean of each map, and a dense layer: (batch, h, w, 3) to (batch, 128)."""
    image = blocks.image_input(request.input_shape)
    x = application("MobileNetV2", request, input_tensor=image, include_top=False).output
    vector = blocks.dense(blocks.global_average(x), LENGTH, activation="linear", name="embedding")
    return blocks.model(image, vector, name="facenet_mnv2")


SETTINGS = {"normalise": True, "loss": "triplet", "mining": "semi_hard", "margin": 0.2, "threshold": 1.05}
"""As published; the threshold is the root of figure 1's 1.1, of squared distances: calibrate it for your data."""
VECTOR = (Head(name="embedding", task="embedding", activation="linear", settings=SETTINGS),)
FACENET = "Schroff, Kalenichenko, Philbin, FaceNet, CVPR 2015"

ENTRIES = (
    ZooEntry(
        name="facenet",
        title="FaceNet on Inception-ResNet-v1",
        input_shape=(160, 160, 3),
        small_shape=(75, 75, 3),
        heads=VECTOR,
        variants={
            "canonical": Variant(
                title="vectors of 128", build=inception_resnet(LENGTH), preprocessing=inputs.SYMMETRIC
            ),
            "long": Variant(title="vectors of 512", build=inception_resnet(512), preprocessing=inputs.SYMMETRIC),
        },
        source=f"{FACENET}; Szegedy, Ioffe, Vanhoucke, Alemi, Inception-v4, AAAI 2017",
        notes={"": notes.CONCAT, "edgetpu": notes.BIG},
    ),
    ZooEntry(
        name="facenet_nn2",
        title="FaceNet NN2, on Inception modules",
        input_shape=(224, 224, 3),
        small_shape=(64, 64, 3),
        heads=VECTOR,
        variants={
            "canonical": Variant(
                title="average pools in place of L2 pools", build=build_nn2, preprocessing=inputs.SYMMETRIC
            )
        },
        source=f"{FACENET}, table 2",
        notes={"": notes.CONCAT},
    ),
    ZooEntry(
        name="facenet_mnv2",
        title="a face encoder for devices, on MobileNetV2",
        input_shape=(160, 160, 3),
        small_shape=(32, 32, 3),
        heads=VECTOR,
        variants={"canonical": Variant(title="vectors of 128", build=build_mobile, preprocessing=inputs.SYMMETRIC)},
        source=f"{FACENET} (vectors and loss); Sandler et al., MobileNetV2, CVPR 2018 (backbone)",
        notes={"": "depthwise layers lose most under int8: quantisation-aware training if needed"},
        pretrained=True,
    ),
)
