"""A small U-Net: padded convolutions and dropout, two steps down, in the size of 128x128 photographs.

Source: Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation".
"""

from __future__ import annotations

import functools
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Head
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs

CHANNELS = (64, 128, 256)
DROPOUT = (0.2, 0.2, 0.3)
TRIMAP = ("pet", "background", "border")
"""Classes of Oxford-IIIT Pet's trimaps, in the order of their values 1, 2, 3."""


def build_unet_small(request: Build, *, upsampling: str = "transposed", normalised: bool = False) -> Any:
    """Two steps down, two up, each with a skip; maps 128, 64, 32, 64, 128.

    `upsampling`: "transposed" convolutions, or "bilinear" or "nearest" resizing with a 3x3 convolution behind it that
    gives as many channels. `normalised`: batch normalisation behind each convolution of a pair, in place of dropout.
    """
    height, width = request.input_shape[:2]
    if height % 4 or width % 4:
        raise ValueError(f"height and width must be multiples of 4, got {height}x{width}")
    image = blocks.image_input(request.input_shape)
    filters = [blocks.scaled(count, request.width) for count in CHANNELS]
    pair = _normalised_pair if normalised else _pair
    first = pair(image, filters[0], DROPOUT[0], name="down1")
    second = pair(blocks.max_pool(first, 2, name="pool1"), filters[1], DROPOUT[1], name="down2")
    x = pair(blocks.max_pool(second, 2, name="pool2"), filters[2], DROPOUT[2], name="bottom")
    for step, skip, index in (("up2", second, 1), ("up1", first, 0)):
        x = enlarged(x, filters[index], upsampling, name=step)
        x = pair(blocks.concat([x, skip], name=f"{step}_concat"), filters[index], DROPOUT[index], name=step)
    return blocks.model(image, _head(x, request.labels), name="unet_small")


def _pair(x: Any, filters: int, rate: float, *, name: str) -> Any:
    """Two 3x3 convolutions with dropout between them."""
    x = blocks.conv(x, filters, 3, name=f"{name}a")
    return blocks.conv(blocks.dropout(x, rate, name=f"{name}_drop"), filters, 3, name=f"{name}b")


def _normalised_pair(x: Any, filters: int, rate: float, *, name: str) -> Any:
    """Two 3x3 convolutions, normalised; `rate` has no use, since normalisation does dropout's part."""
    return blocks.conv_norm(blocks.conv_norm(x, filters, 3, name=f"{name}a"), filters, 3, name=f"{name}b")


def enlarged(x: Any, filters: int, upsampling: str, *, name: str) -> Any:
    """Twice the height and width, `filters` channels, without an activation."""
    layers = env.keras().layers
    if upsampling == "transposed":
        return layers.Conv2DTranspose(filters, 2, strides=2, name=f"{name}_transposed")(x)
    x = layers.UpSampling2D(2, interpolation=upsampling, name=f"{name}_resize")(x)
    return layers.Conv2D(filters, 3, padding="same", name=f"{name}_conv")(x)


def _head(x: Any, labels: int) -> Any:
    """The probabilities of each pixel's classes."""
    return blocks.conv(x, labels, 1, name="mask", activation="softmax")


def _variant(title: str, upsampling: str, *, normalised: bool = False) -> Variant:
    return Variant(
        title=title,
        build=functools.partial(build_unet_small, upsampling=upsampling, normalised=normalised),
        preprocessing=inputs.UNIT,
    )


ENTRIES = (
    ZooEntry(
        name="unet_small",
        title="U-Net with two steps down and up, 128x128 colour images",
        input_shape=(128, 128, 3),
        small_shape=(16, 16, 3),
        heads=(Head(name="mask", task="segmentation", activation="probabilities", labels=TRIMAP),),
        variants={
            "canonical": _variant("up by 2x2 transposed convolutions of stride 2", "transposed"),
            "bilinear": _variant("up by bilinear resizing and a 3x3 convolution", "bilinear"),
            "nearest": _variant("up by repeating pixels and a 3x3 convolution", "nearest"),
            "edge": _variant("bilinear, with batch normalisation for dropout", "bilinear", normalised=True),
        },
        source="Ronneberger, Fischer, Brox, U-Net, MICCAI 2015; smaller, with padding and dropout",
        notes={
            "": "maps at the input's full size need the most memory: halve the width or the input first",
            "cpu": "XNNPACK's int8 kernel of transposed convolutions is slow on x86: take another variant",
        },
        scalable=True,
    ),
)
