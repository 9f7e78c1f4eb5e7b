"""Networks that make pictures of pictures: one style, and without noise.

A style network learns one style (`edgecv style train`). Its maps are enlarged by repeating pixels before a convolution,
since transposed convolutions leave a checkerboard, and are slow in int8. Its normalisation is that of batches: with one
style for all pictures, it is constant in inference and folds into the convolutions, so that nothing of it is left to
round. Instance normalisation, the variant "instance", computes a mean and a deviation of every map for every picture:
further operators, over values whose squares 8 bits hold badly, and which accelerators refuse.

Sources: Johnson, Alahi, Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", and its
supplement, table 1; Ulyanov, Vedaldi, Lempitsky 2016, "Instance Normalization"; Odena, Dumoulin, Olah 2016,
"Deconvolution and Checkerboard Artifacts"; Zhang et al. 2017, "Beyond a Gaussian Denoiser".
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Head
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs

PAPER, PAPER_BLOCKS = (32, 64, 128), 5
EDGE, EDGE_BLOCKS = (16, 32, 48), 4
DENOISER, DENOISER_LAYERS = 16, 4
PICTURE = Head(name="picture", task="imaging", activation="linear")

Unit = Callable[..., Any]


def build_paper(request: Build, *, upsampling: str = "transposed") -> Any:
    """The network of Johnson et al. with zeros beyond the border, where they reflect the picture.

    `upsampling`: "transposed" convolutions, or "nearest" with a convolution behind it.
    """
    _check(request)
    filters = [blocks.scaled(count, request.width) for count in PAPER]
    image = blocks.image_input(request.input_shape)
    x = blocks.conv_norm(image, filters[0], 9, name="stem")
    x = blocks.conv_norm(x, filters[1], 3, strides=2, name="down1")
    x = blocks.conv_norm(x, filters[2], 3, strides=2, name="down2")
    for index in range(1, PAPER_BLOCKS + 1):
        inner = blocks.conv_norm(x, filters[2], 3, name=f"res{index}a")
        inner = blocks.conv_norm(inner, filters[2], 3, name=f"res{index}b", activation=None)
        x = blocks.residual(inner, x, name=f"res{index}", activation=None)
    for step, count in (("up1", filters[1]), ("up2", filters[0])):
        x = _enlarged(x, count, upsampling, name=step)
    return blocks.model(image, _picture(x, 9), name="fast_style")


def build_edge(request: Build, *, normalise: str = "batch") -> Any:
    """A network of separable convolutions that looks at quarter-size maps, and at the full size only to colour pixels.

    `normalise`: by the "batch", or each map of each picture ("instance").
    """
    _check(request)
    filters = [blocks.scaled(count, request.width) for count in EDGE]
    unit = functools.partial(_separable, normalise=normalise)
    image = blocks.image_input(request.input_shape)
    x = env.keras().layers.Conv2D(filters[0], 5, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = blocks.activate(_normalised(x, normalise, name="stem_bn"), "relu", name="stem_act")
    x = unit(x, filters[2], strides=2, name="down")
    for index in range(1, EDGE_BLOCKS + 1):
        inner = unit(unit(x, filters[2], name=f"res{index}a"), filters[2], name=f"res{index}b", activation=None)
        x = blocks.residual(inner, x, name=f"res{index}", activation=None)
    for step, count in (("up1", filters[1]), ("up2", filters[0])):
        x = env.keras().layers.UpSampling2D(2, interpolation="nearest", name=f"{step}_resize")(x)
        x = unit(x, count, name=step)
    return blocks.model(image, _picture(x, 3), name="fast_style")


def build_denoiser(request: Build) -> Any:
    """A chain of normalised convolutions that tells the noise, which the last layer takes off the image."""
    filters = blocks.scaled(DENOISER, request.width)
    image = blocks.image_input(request.input_shape)
    x = blocks.conv(image, filters, 3, name="conv1")
    for index in range(2, DENOISER_LAYERS + 2):
        x = blocks.conv_norm(x, filters, 3, name=f"conv{index}", momentum=0.9)
    layers, initializers = env.keras().layers, env.keras().initializers
    # Small weights: training starts near the image itself, not far from it.
    start = initializers.RandomNormal(stddev=0.01)
    noise = layers.Conv2D(request.input_shape[2], 3, padding="same", kernel_initializer=start, name="noise")(x)
    return blocks.model(image, layers.Subtract(name="picture")([image, noise]), name="dncnn_small")


def _check(request: Build) -> None:
    height, width = request.input_shape[:2]
    if height % 4 or width % 4:
        raise ValueError(f"height and width must be multiples of 4, got {height}x{width}")


def _separable(
    x: Any, filters: int, *, name: str, normalise: str, strides: int = 1, activation: str | None = "relu"
) -> Any:
    """As `blocks.separable_norm`, with either normalisation."""
    layers = env.keras().layers
    x = layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False, name=f"{name}_dw")(x)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_pw")(x)
    return blocks.activate(_normalised(x, normalise, name=f"{name}_bn"), activation, name=f"{name}_act")


def _normalised(x: Any, how: str, *, name: str) -> Any:
    layers = env.keras().layers
    if how == "instance":
        return layers.GroupNormalization(groups=-1, epsilon=1e-3, name=name)(x)
    return layers.BatchNormalization(momentum=0.9, name=name)(x)  # for trainings of some hundred steps


def _enlarged(x: Any, filters: int, upsampling: str, *, name: str) -> Any:
    """Twice the height and width, `filters` channels, normalised."""
    layers = env.keras().layers
    if upsampling == "nearest":
        return blocks.conv_norm(layers.UpSampling2D(2, name=f"{name}_resize")(x), filters, 3, name=name)
    x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", use_bias=False, name=name)(x)
    return blocks.activate(layers.BatchNormalization(name=f"{name}_bn")(x), "relu", name=f"{name}_act")


def _picture(x: Any, kernel: int) -> Any:
    # A sigmoid is the paper's scaled tanh over 0..1, and in int8 its 256 steps are those of 8-bit pixels.
    return blocks.conv(x, 3, kernel, name="picture", activation="sigmoid")


def _variant(title: str, build: Callable[[Build], Any], **changes: Any) -> Variant:
    return Variant(title=title, build=build, preprocessing=inputs.UNIT, **changes)


ENTRIES = (
    ZooEntry(
        name="fast_style",
        title="A picture in one style: feed-forward style transfer",
        input_shape=(256, 256, 3),
        small_shape=(32, 32, 3),
        heads=(PICTURE,),
        variants={
            "canonical": _variant("as published: batch normalisation, up by transposed convolutions", build_paper),
            "nearest": _variant(
                "canonical, up by repeating pixels", functools.partial(build_paper, upsampling="nearest")
            ),
            "edge": _variant("separable convolutions, 48 filters, up by repeating pixels", build_edge),
            "instance": _variant(
                "edge with instance normalisation, for float", functools.partial(build_edge, normalise="instance")
            ),
        },
        source="Johnson, Alahi, Fei-Fei, Perceptual Losses for Real-Time Style Transfer, ECCV 2016",
        notes={
            "": "train one with edgecv style train; take edge, a thirty-sixth of the work of canonical",
            "edgetpu": "maps at full size exceed its memory above 256x256: take a smaller input",
            "cpu": "instance normalisation stays coarse in int8: take edge",
        },
        scalable=True,
    ),
    ZooEntry(
        name="dncnn_small",
        title="Noise removal, 64x64 gray images",
        input_shape=(64, 64, 1),
        small_shape=(16, 16, 1),
        heads=(PICTURE,),
        variants={
            "canonical": Variant(
                title="four normalised convolutions of 16 filters", build=build_denoiser, preprocessing=inputs.GRAY
            )
        },
        source="Zhang et al., Beyond a Gaussian Denoiser, IEEE TIP 2017; smaller",
        scalable=True,
    ),
)
