"""Networks of the mobile, separable and dense families at the size of 32x32 images.

They keep what makes each family hard to quantise (depthwise layers, linear bottlenecks, batch normalisation before the
convolution, long concatenations, h-swish and gates) in a network that trains within minutes on a CPU.

Sources: Sandler et al. 2018, "MobileNetV2"; Chollet 2017, "Xception"; Huang et al. 2017, "Densely Connected
Convolutional Networks" (DenseNet-BC); Howard et al. 2019, "Searching for MobileNetV3" (h-swish, gates).
"""

from __future__ import annotations

import functools
from typing import Any

from edgecv.modelio import env
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels

# Expansion, channels, repeats, stride of the first: the ImageNet table with its first two strides left out.
BOTTLENECKS = ((1, 8, 1, 1), (6, 16, 2, 1), (6, 24, 3, 2), (6, 32, 3, 2), (6, 48, 2, 1))
GROWTH, DENSE_LAYERS, COMPRESSION = 12, (6, 6, 6), 0.5


def build_mobilenet(
    request: Build, *, activation: str = "relu6", ratio: int | None = None, centred: bool = False
) -> Any:
    """Inverted residuals with linear bottlenecks behind a 3x3 stem of stride 1; maps 32, 16, 8.

    `ratio`: of squeeze-and-excitation in each bottleneck; None for none. `centred`: a stem of stride 2, and zeros on
    every side before each stride; maps 16, 8, 4. XNNPACK's sparse kernels ask for both.
    """
    image, stem = blocks.image_input(request.input_shape), blocks.scaled(16, request.width)
    if centred:
        x = blocks.zero_pad(image, 1, name="stem_pad")
        x = blocks.conv_norm(x, stem, 3, strides=2, padding="valid", name="stem", activation=activation)
    else:
        x = blocks.conv_norm(image, stem, 3, name="stem", activation=activation)
    for stage, (expansion, filters, repeats, stride) in enumerate(BOTTLENECKS, start=1):
        for index in range(repeats):
            width = blocks.scaled(filters, request.width)
            strides = stride if index == 0 else 1
            x = blocks.inverted_residual(
                x, expansion, width, strides=strides, activation=activation, ratio=ratio, centred=centred,
                name=f"block{stage}_{index + 1}",
            )  # fmt: skip
    x = blocks.conv_norm(x, blocks.scaled(192, max(1.0, request.width)), 1, name="last", activation=activation)
    return blocks.model(image, blocks.classifier(blocks.global_average(x), request.labels), name="mobilenet_v2_small")


def build_xception(request: Build) -> Any:
    """Entry, middle and exit flow of separable convolutions with residuals; maps 32, 16, 8."""
    image = blocks.image_input(request.input_shape)
    width = request.width
    x = blocks.conv_norm(image, blocks.scaled(24, width), 3, name="stem")
    for index, filters in enumerate((48, 96), start=1):
        x = _entry_block(x, blocks.scaled(filters, width), name=f"entry{index}")
    for index in range(1, 4):
        inner = x
        for step in range(1, 3):
            inner = blocks.activate(inner, "relu", name=f"middle{index}_relu{step}")
            inner = blocks.separable_norm(inner, int(x.shape[-1]), name=f"middle{index}_sep{step}", activation=None)
        x = blocks.residual(inner, x, name=f"middle{index}", activation=None)
    x = blocks.activate(x, "relu", name="exit_relu")
    x = blocks.separable_norm(x, blocks.scaled(192, width), name="exit")
    return blocks.model(image, blocks.classifier(blocks.global_average(x), request.labels), name="xception_small")


def _entry_block(x: Any, filters: int, *, name: str) -> Any:
    shortcut = blocks.conv_norm(x, filters, 1, strides=2, activation=None, name=f"{name}_shortcut")
    x = blocks.separable_norm(x, filters, name=f"{name}_sep1")
    x = blocks.separable_norm(x, filters, name=f"{name}_sep2", activation=None)
    return blocks.residual(blocks.pool(x, 3, strides=2, name=f"{name}_pool"), shortcut, name=name, activation=None)


def build_densenet(request: Build) -> Any:
    """DenseNet-BC: three blocks of growth 12, transitions that halve; maps 32, 16, 8."""
    layers = env.keras().layers
    image = blocks.image_input(request.input_shape)
    x = layers.Conv2D(2 * GROWTH, 3, padding="same", use_bias=False, name="stem")(image)
    for block, count in enumerate(DENSE_LAYERS, start=1):
        for index in range(1, count + 1):
            x = _dense_layer(x, name=f"dense{block}_{index}")
        if block < len(DENSE_LAYERS):
            x = _transition(x, name=f"transition{block}")
    x = layers.Activation("relu", name="last_relu")(layers.BatchNormalization(name="last_bn")(x))
    return blocks.model(image, blocks.classifier(blocks.global_average(x), request.labels), name="densenet_small")


def _norm_conv(x: Any, filters: int, kernel: int, *, name: str) -> Any:
    layers = env.keras().layers
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    return layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name)(x)


def _dense_layer(x: Any, *, name: str) -> Any:
    grown = _norm_conv(_norm_conv(x, 4 * GROWTH, 1, name=f"{name}_reduce"), GROWTH, 3, name=f"{name}_grow")
    return blocks.concat([x, grown], name=f"{name}_concat")


def _transition(x: Any, *, name: str) -> Any:
    x = _norm_conv(x, int(int(x.shape[-1]) * COMPRESSION), 1, name=f"{name}_conv")
    return blocks.average_pool(x, 2, name=f"{name}_pool")


def _entry(
    name: str, title: str, variant: Variant, source: str, note: str, *, scalable: bool, **more: Variant
) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=f"{title}, 32x32 colour images",
        input_shape=(32, 32, 3),
        small_shape=(16, 16, 3),
        heads=labels.classifier_head(labels.CIFAR10),
        variants={"canonical": variant, **more},
        source=source,
        notes={"": note},
        scalable=scalable,
    )


DEPTHWISE = "depthwise layers lose most under int8: per-channel weights, and quantisation-aware training if needed"
ENTRIES = (
    _entry(
        "mobilenet_v2_small",
        "inverted residuals of MobileNetV2",
        Variant(title="eleven bottlenecks", build=build_mobilenet, preprocessing=inputs.CIFAR10),
        "Sandler, Howard, Zhu, Zhmoginov, Chen, MobileNetV2, CVPR 2018",
        DEPTHWISE,
        scalable=True,
        gated=Variant(
            title="h-swish, and squeeze-and-excitation in each bottleneck, as in MobileNetV3",
            build=functools.partial(build_mobilenet, activation="hard_swish", ratio=4),
            preprocessing=inputs.CIFAR10,
        ),
        centred=Variant(
            title="stem of stride 2, zeros on every side: once pruned, XNNPACK's sparse kernels run it on Arm",
            build=functools.partial(build_mobilenet, centred=True),
            preprocessing=inputs.CIFAR10,
        ),
    ),
    _entry(
        "xception_small",
        "separable convolutions of Xception",
        Variant(title="two entry blocks, three middle blocks", build=build_xception, preprocessing=inputs.CIFAR10),
        "Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017",
        DEPTHWISE,
        scalable=True,
    ),
    _entry(
        "densenet_small",
        "DenseNet-BC with growth 12 and 3 x 6 layers",
        Variant(title="40 convolutions", build=build_densenet, preprocessing=inputs.CIFAR10),
        "Huang, Liu, van der Maaten, Weinberger, Densely Connected Convolutional Networks, CVPR 2017",
        "batch normalisation before a convolution does not fold: edgecv makes one 1x1 depthwise operator of it",
        scalable=False,
    ),
)
