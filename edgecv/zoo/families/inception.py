"""GoogLeNet, its modules, and its squeeze-and-excitation form.

Sources: Szegedy et al. 2015, "Going Deeper with Convolutions", table 1; Hu, Shen, Sun 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgecv.modelio import env
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, notes

Widths = tuple[int, int, int, int, int, int]

# Per module: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; projection after the pool. None is a max pool between stages.
MODULES: tuple[tuple[str, Widths | None], ...] = (
    ("3a", (64, 96, 128, 16, 32, 32)),
    ("3b", (128, 128, 192, 32, 96, 64)),
    ("pool3", None),
    ("4a", (192, 96, 208, 16, 48, 64)),
    ("4b", (160, 112, 224, 24, 64, 64)),
    ("4c", (128, 128, 256, 24, 64, 64)),
    ("4d", (112, 144, 288, 32, 64, 64)),
    ("4e", (256, 160, 320, 32, 128, 128)),
    ("pool4", None),
    ("5a", (256, 160, 320, 32, 128, 128)),
    ("5b", (384, 192, 384, 48, 128, 128)),
)
AUXILIARY = ("4a", "4d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What tells one GoogLeNet from another: response normalisation in the stem, batch normalisation, gates."""

    lrn: bool = False
    norm: bool = False
    ratio: int | None = None


def module(x: Any, widths: Widths, *, name: str, norm: bool = False) -> Any:
    """Inception module with dimension reduction: [1x1 | 1x1-3x3 | 1x1-5x5 | pool-1x1]."""
    one, reduce3, three, reduce5, five, projection = widths
    parts = [
        _conv(x, one, 1, norm, name=f"{name}_1x1"),
        _conv(_conv(x, reduce3, 1, norm, name=f"{name}_3x3_reduce"), three, 3, norm, name=f"{name}_3x3"),
        _conv(_conv(x, reduce5, 1, norm, name=f"{name}_5x5_reduce"), five, 5, norm, name=f"{name}_5x5"),
        _conv(blocks.pool(x, 3, strides=1, name=f"{name}_pool"), projection, 1, norm, name=f"{name}_proj"),
    ]
    return blocks.concat(parts, name=f"{name}_concat")


def naive_module(x: Any, filters: int, *, name: str) -> Any:
    """Inception module without reduction: [1x1 | 3x3 | 5x5 | pool]."""
    parts = [blocks.conv(x, filters, size, name=f"{name}_{size}x{size}") for size in (1, 3, 5)]
    return blocks.concat([*parts, blocks.pool(x, 3, strides=1, name=f"{name}_pool")], name=f"{name}_concat")


def _conv(x: Any, filters: int, size: int, norm: bool, *, name: str, strides: int = 1) -> Any:
    make = blocks.conv_norm if norm else blocks.conv
    return make(x, filters, size, strides=strides, name=name)


def builder(options: Options, name: str) -> Callable[[Build], Any]:
    """Return what builds a GoogLeNet; with auxiliary classifiers when they are asked for."""

    def build(request: Build) -> Any:
        image = blocks.image_input(request.input_shape)
        x, auxiliary = _stem(image, options, request), []
        for stage, widths in MODULES:
            if widths is None:
                x = blocks.pool(x, 3, strides=2, name=stage)
                continue
            x = module(x, _scaled(widths, request.width), name=stage, norm=options.norm)
            if options.ratio is not None:
                x = blocks.squeeze_excite(x, ratio=options.ratio, name=f"{stage}_se")
            if request.auxiliary and stage in AUXILIARY:
                auxiliary.append(_auxiliary(x, request.labels, name=f"aux_{stage}"))
        x = blocks.dropout(blocks.global_average(x), 0.4, name="drop")
        return blocks.model(image, [blocks.classifier(x, request.labels), *auxiliary], name=name)

    return build


def _scaled(widths: Widths, width: float) -> Widths:
    if width == 1.0:
        return widths
    one, reduce3, three, reduce5, five, projection = (blocks.scaled(w, width) for w in widths)
    return one, reduce3, three, reduce5, five, projection


def _stem(image: Any, options: Options, request: Build) -> Any:
    first, second = (w if request.width == 1.0 else blocks.scaled(w, request.width) for w in (64, 192))
    x = _conv(image, first, 7, options.norm, strides=2, name="conv1")
    x = _response_norm(blocks.pool(x, 3, strides=2, name="pool1"), options, name="lrn1")
    x = _conv(_conv(x, first, 1, options.norm, name="conv2_reduce"), second, 3, options.norm, name="conv2")
    return blocks.pool(_response_norm(x, options, name="lrn2"), 3, strides=2, name="pool2")


def _cifar_stem(image: Any, request: Build) -> Any:
    return blocks.conv_norm(image, 32, 3, name="conv1")


def _response_norm(x: Any, options: Options, *, name: str) -> Any:
    if not options.lrn:
        return x
    from edgecv.modelio import layers

    return layers.LocalResponseNormalization(depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75, name=name)(x)


def _auxiliary(x: Any, units: int, *, name: str) -> Any:
    """Section 5's auxiliary network: AP5/3, C128/1, D1024, dropout 0.7, softmax; for training only."""
    size = min(5, int(x.shape[1]), int(x.shape[2]))
    x = env.keras().layers.AveragePooling2D(size, strides=3, name=f"{name}_pool")(x)
    x = blocks.flatten(blocks.conv(x, 128, 1, name=f"{name}_conv"), name=f"{name}_flatten")
    x = blocks.dropout(blocks.dense(x, 1024, name=f"{name}_fc"), 0.7, name=f"{name}_drop")
    return blocks.classifier(x, units, name=f"{name}_output")


# Widths of the CIFAR-sized net: two modules on 32x32, two on 16x16, two on 8x8.
CIFAR_MODULES: tuple[tuple[str, Widths | None], ...] = (
    ("3a", (16, 16, 24, 4, 8, 8)),
    ("3b", (24, 24, 32, 8, 16, 8)),
    ("pool3", None),
    ("4a", (32, 32, 48, 8, 16, 16)),
    ("4b", (32, 32, 64, 8, 16, 16)),
    ("pool4", None),
    ("5a", (48, 48, 96, 16, 32, 16)),
    ("5b", (64, 48, 128, 16, 32, 32)),
)


def build_small(request: Build) -> Any:
    """GoogLeNet's modules, with batch normalisation, behind a 3x3 stem: for 32x32 images."""
    image = blocks.image_input(request.input_shape)
    x = _cifar_stem(image, request)
    for stage, widths in CIFAR_MODULES:
        x = blocks.pool(x, 3, strides=2, name=stage) if widths is None else module(x, widths, name=stage, norm=True)
    x = blocks.dropout(blocks.global_average(x), 0.2, name="drop")
    return blocks.model(image, blocks.classifier(x, request.labels), name="googlenet_small")


def build_cifar(request: Build) -> Any:
    """One reduced module of 64 maps a branch, then a dense layer on all 196,608 values."""
    image = blocks.image_input(request.input_shape)
    return blocks.model(image, blocks.classifier(blocks.flatten(_wide(image)), request.labels), name="inception_cifar")


def build_cifar_edge(request: Build) -> Any:
    """As `build_cifar`, with a global average pool in place of the flattening."""
    image = blocks.image_input(request.input_shape)
    x = blocks.global_average(_wide(image), name="global_pool")
    return blocks.model(image, blocks.classifier(x, request.labels), name="inception_cifar_edge")


def _wide(image: Any) -> Any:
    parts = [
        blocks.conv(blocks.conv(image, 64, 1, name="3x3_reduce"), 64, 3, name="3x3"),
        blocks.conv(blocks.conv(image, 64, 1, name="5x5_reduce"), 64, 5, name="5x5"),
        blocks.conv(blocks.pool(image, 3, strides=1, name="pool"), 64, 1, name="proj"),
    ]
    return blocks.concat(parts, name="concat")


LRN = "local response normalisation has no int8 kernel and no GPU or Edge TPU support: use the canonical variant"
SOURCE = "Szegedy et al., Going Deeper with Convolutions, CVPR 2015"


def _variant(title: str, options: Options, name: str) -> Variant:
    return Variant(title=title, build=builder(options, name), preprocessing=inputs.CAFFE)


ENTRIES = (
    ZooEntry(
        name="googlenet",
        title="GoogLeNet (Inception v1)",
        input_shape=(224, 224, 3),
        small_shape=(64, 64, 3),
        heads=labels.classifier_head(labels.IMAGENET),
        variants={
            "canonical": _variant("without response normalisation", Options(), "googlenet"),
            "lrn": _variant("with response normalisation, as published", Options(lrn=True), "googlenet_lrn"),
            "norm": _variant("with batch normalisation", Options(norm=True), "googlenet_norm"),
        },
        source=SOURCE,
        notes={"": f"{notes.CONCAT}; auxiliary heads are cut off before export", "gpu": LRN, "edgetpu": LRN},
        scalable=True,
        auxiliary=True,
    ),
    ZooEntry(
        name="se_googlenet",
        title="GoogLeNet with squeeze-and-excitation after each module",
        input_shape=(224, 224, 3),
        small_shape=(64, 64, 3),
        heads=labels.classifier_head(labels.IMAGENET),
        variants={"canonical": _variant("ratio 16", Options(ratio=16), "se_googlenet")},
        source="Hu, Shen, Sun, Squeeze-and-Excitation Networks, CVPR 2018",
        notes={"": f"{notes.CONCAT}; the gates lose most under int8: prefer quantisation-aware training"},
        scalable=True,
        auxiliary=True,
    ),
    ZooEntry(
        name="googlenet_small",
        title="GoogLeNet's modules for 32x32 colour images",
        input_shape=(32, 32, 3),
        small_shape=(16, 16, 3),
        heads=labels.classifier_head(labels.CIFAR10),
        variants={"canonical": Variant(title="six modules", build=build_small, preprocessing=inputs.CIFAR10)},
        source=SOURCE,
        notes={"": notes.CONCAT},
    ),
    ZooEntry(
        name="inception_cifar",
        title="one Inception module and a dense layer, 32x32 colour images",
        input_shape=(32, 32, 3),
        small_shape=(16, 16, 3),
        heads=labels.classifier_head(labels.CIFAR10),
        variants={
            "canonical": Variant(title="flattened", build=build_cifar, preprocessing=inputs.UNIT),
            "edge": Variant(title="global average pool", build=build_cifar_edge, preprocessing=inputs.UNIT),
        },
        source=SOURCE,
        notes={"": f"93 % of the weights sit in one dense layer: the edge variant pools instead; {notes.CONCAT}"},
    ),
)
