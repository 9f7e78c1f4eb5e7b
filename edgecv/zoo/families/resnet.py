"""Residual networks: basic and bottleneck units, with or without squeeze-and-excitation, for ImageNet and CIFAR sizes.

Sources: He, Zhang, Ren, Sun 2016, "Deep Residual Learning for Image Recognition"; Hu, Shen, Sun 2018,
"Squeeze-and-Excitation Networks"; ResNet-8: MLPerf Tiny, Banbury et al. 2021.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from edgecv.modelio import env
from edgecv.values.specs import Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What tells one residual network from another.

    Attributes:
        stem: "imagenet": 7x7 convolution of stride 2 and a pool; "cifar": one 3x3 convolution.
        counts: Units of each group.
        widths: Channels of each group, before a bottleneck's fourfold expansion.
        bottleneck: Units of 1x1, 3x3 and 1x1 convolutions, the last four times as wide; else two of 3x3.
        stride_first: Bottlenecks halve maps in their first 1x1 (v1) instead of the 3x3 (v1.5).
        bias: Convolutions before batch normalisation have one.
        plain_shortcut: 1x1 shortcuts have a bias and no batch normalisation (ResNet-8).
        ratio: Of squeeze-and-excitation in each unit; None for none.
    """

    counts: tuple[int, ...]
    widths: tuple[int, ...]
    stem: Literal["imagenet", "cifar"] = "imagenet"
    bottleneck: bool = False
    stride_first: bool = False
    bias: bool = False
    plain_shortcut: bool = False
    ratio: int | None = None


def builder(plan: Plan, name: str) -> Callable[[Build], Any]:
    """Return what builds the network of a plan."""

    def build(request: Build) -> Any:
        image = blocks.image_input(request.input_shape)
        x = _stem(image, plan, request.width)
        for group, (count, filters) in enumerate(zip(plan.counts, plan.widths, strict=True), start=1):
            width = _scaled(filters, request.width)
            for unit in range(count):
                strides = 2 if unit == 0 and group > 1 else 1
                x = _unit(x, width, strides, plan, name=f"group{group}_unit{unit + 1}")
        return blocks.model(image, blocks.classifier(blocks.global_average(x), request.labels), name=name)

    return build


def _stem(image: Any, plan: Plan, width: float) -> Any:
    filters = _scaled(plan.widths[0], width)
    if plan.stem == "cifar":
        return blocks.conv_norm(image, filters, 3, name="stem", bias=plan.bias)
    x = blocks.conv_norm(image, filters, 7, strides=2, name="stem", bias=plan.bias)
    return env.keras().layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)


def _scaled(filters: int, width: float) -> int:
    return filters if width == 1.0 else blocks.scaled(filters, width)


def _unit(x: Any, filters: int, strides: int, plan: Plan, *, name: str) -> Any:
    convolve = _bottleneck if plan.bottleneck else _basic
    inner = convolve(x, filters, strides, plan, name=name)
    if plan.ratio is not None:
        inner = blocks.squeeze_excite(inner, ratio=plan.ratio, name=f"{name}_se")
    return blocks.residual(inner, _shortcut(x, inner, strides, plan, name=name), name=name)


def _basic(x: Any, filters: int, strides: int, plan: Plan, *, name: str) -> Any:
    x = blocks.conv_norm(x, filters, 3, strides=strides, name=f"{name}_conv1", bias=plan.bias)
    return blocks.conv_norm(x, filters, 3, activation=None, name=f"{name}_conv2", bias=plan.bias)


def _bottleneck(x: Any, filters: int, strides: int, plan: Plan, *, name: str) -> Any:
    first, second = (strides, 1) if plan.stride_first else (1, strides)
    x = blocks.conv_norm(x, filters, 1, strides=first, name=f"{name}_conv1", bias=plan.bias)
    x = blocks.conv_norm(x, filters, 3, strides=second, name=f"{name}_conv2", bias=plan.bias)
    return blocks.conv_norm(x, 4 * filters, 1, activation=None, name=f"{name}_conv3", bias=plan.bias)


def _shortcut(x: Any, inner: Any, strides: int, plan: Plan, *, name: str) -> Any:
    channels = int(inner.shape[-1])
    if strides == 1 and int(x.shape[-1]) == channels:
        return x
    if plan.plain_shortcut:
        return blocks.conv(x, channels, 1, strides=strides, activation="linear", name=f"{name}_shortcut")
    return blocks.conv_norm(x, channels, 1, strides=strides, activation=None, name=f"{name}_shortcut", bias=plan.bias)


# Width and units of each group of the simplified network, which a book prints as ResNet-34.
SIMPLIFIED = ((64, 2), (128, 3), (256, 5), (512, 2))


def build_simplified(request: Build, *, halving: int) -> Any:
    """31 convolutions with bias and without batch normalisation; identity shortcuts inside groups only.

    Between groups stand two 3x3 convolutions. As printed both halve the maps (`halving` 2), down to 1x1; with 1 only
    the first does.
    """
    image = blocks.image_input(request.input_shape)
    x = blocks.conv(image, _scaled(SIMPLIFIED[0][0], request.width), 7, strides=2, name="stem")
    x = blocks.pool(x, 3, strides=2, name="stem_pool")
    for group, (channels, count) in enumerate(SIMPLIFIED, start=1):
        filters = _scaled(channels, request.width)
        if group > 1:
            for step in (1, 2):
                strides = 2 if step <= halving else 1
                x = blocks.conv(x, filters, 3, strides=strides, name=f"group{group}_down{step}")
        for unit in range(1, count + 1):
            name = f"group{group}_unit{unit}"
            inner = blocks.conv(x, filters, 3, name=f"{name}_conv1")
            inner = blocks.conv(inner, filters, 3, name=f"{name}_conv2")
            x = blocks.residual(inner, x, name=name, activation=None)
    return blocks.model(image, blocks.classifier(blocks.global_average(x), request.labels), name="resnet34_book")


CIFAR = (32, 32, 3)
IMAGENET = (224, 224, 3)
RESNET34 = Plan(counts=(3, 4, 6, 3), widths=(64, 128, 256, 512))
RESNET50 = Plan(counts=(3, 4, 6, 3), widths=(64, 128, 256, 512), bottleneck=True, bias=True)
RESNET8 = Plan(counts=(1, 1, 1), widths=(16, 32, 64), stem="cifar", bias=True, plain_shortcut=True)
RESNET20 = Plan(counts=(3, 3, 3), widths=(16, 32, 64), stem="cifar")

RESIDUAL_NOTE = "the two inputs of an Add share no scale: calibrate on real images"
SE_NOTE = "the gates (mean, sigmoid, multiply) lose most under int8: prefer quantisation-aware training"


def _entry(name: str, title: str, variants: dict[str, Variant], *, cifar: bool, **more: Any) -> ZooEntry:
    notes = {"": RESIDUAL_NOTE} if cifar else {"": RESIDUAL_NOTE, "edgetpu": "over 8 MB: weights are streamed"}
    notes |= {"": SE_NOTE} if "se_" in name else {}
    return ZooEntry(
        name=name,
        title=title,
        input_shape=CIFAR if cifar else IMAGENET,
        small_shape=(16, 16, 3) if cifar else (64, 64, 3),
        heads=labels.classifier_head(labels.CIFAR10 if cifar else labels.IMAGENET),
        variants=variants,
        source=more.pop("source", "He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, CVPR 2016"),
        notes=notes,
        scalable=True,
        **more,
    )


def _variant(title: str, plan: Plan, name: str, preprocessing: Preprocessing) -> Variant:
    return Variant(title=title, build=builder(plan, name), preprocessing=preprocessing)


SENET = "Hu, Shen, Sun, Squeeze-and-Excitation Networks, CVPR 2018"
ENTRIES = (
    _entry(
        "resnet8",
        "ResNet-8 of MLPerf Tiny, 32x32 colour images",
        {"canonical": _variant("as in MLPerf Tiny", RESNET8, "resnet8", inputs.RAW)},
        cifar=True,
        source="Banbury et al., MLPerf Tiny Benchmark, NeurIPS Datasets and Benchmarks 2021",
    ),
    _entry(
        "resnet20",
        "ResNet-20 for 32x32 colour images",
        {"canonical": _variant("with 1x1 shortcuts (option B)", RESNET20, "resnet20", inputs.CIFAR10)},
        cifar=True,
    ),
    _entry(
        "se_resnet20",
        "ResNet-20 with squeeze-and-excitation, 32x32 colour images",
        {"canonical": _variant("ratio 8", replace(RESNET20, ratio=8), "se_resnet20", inputs.CIFAR10)},
        cifar=True,
        source=SENET,
    ),
    _entry(
        "resnet34",
        "ResNet-34",
        {
            "canonical": _variant("convolutions without bias", RESNET34, "resnet34", inputs.UNIT),
            "book": Variant(
                title="31 plain convolutions, two halvings between groups: no batch normalisation",
                build=functools.partial(build_simplified, halving=2),
                preprocessing=inputs.UNIT,
            ),
            "fix_stride": Variant(
                title="the book's, with one halving between groups",
                build=functools.partial(build_simplified, halving=1),
                preprocessing=inputs.UNIT,
            ),
        },
        cifar=False,
    ),
    _entry(
        "se_resnet34",
        "ResNet-34 with squeeze-and-excitation",
        {"canonical": _variant("ratio 16", replace(RESNET34, ratio=16), "se_resnet34", inputs.UNIT)},
        cifar=False,
        source=SENET,
    ),
    _entry(
        "resnet50_v15",
        "ResNet-50 v1.5: stride in the 3x3 convolution",
        {
            "canonical": _variant("convolutions with bias, as in Keras", RESNET50, "resnet50_v15", inputs.UNIT),
            "bias_free": _variant(
                "convolutions without bias", replace(RESNET50, bias=False), "resnet50_v15_bias_free", inputs.UNIT
            ),
        },
        cifar=False,
    ),
    _entry(
        "se_resnet50",
        "ResNet-50 with squeeze-and-excitation, stride in the first 1x1 convolution",
        {
            "canonical": _variant(
                "ratio 16, convolutions without bias",
                replace(RESNET50, bias=False, stride_first=True, ratio=16),
                "se_resnet50",
                inputs.UNIT,
            )
        },
        cifar=False,
        source=SENET,
    ),
)
