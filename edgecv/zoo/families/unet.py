"""U-Net: four steps down, four up, each with a skip.

Source: Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", figure 1.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from edgecv.modelio import env
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels
from edgecv.zoo.families import notes as remarks
from edgecv.zoo.families.unet_small import TRIMAP, enlarged

CHANNELS = (64, 128, 256, 512)
BOTTOM = 1024
MARGIN = 92
"""Pixels of the input on each side that the output without padding says nothing of."""
CELLS = ("background", "cell")


def build(request: Build, *, padding: str, upsampling: str = "transposed", normalised: bool = False) -> Any:
    """Pairs of 3x3 convolutions at five sizes; logits of each pixel.

    Args:
        request: Of inputs whose sides are multiples of 16 with padding, and 12 more than such a multiple without.
        padding: "valid" as published: an input of 572 gives 388, and skips are cropped to their middles; or "same".
        upsampling: "transposed" convolutions of 2x2, or "bilinear" resizing with a 3x3 convolution behind it.
        normalised: Batch normalisation behind each convolution of a pair, in place of the dropout at the bottom.
    """
    _check(request.input_shape[:2], padding)
    pair = functools.partial(_pair, padding=padding, normalised=normalised)
    image = blocks.image_input(request.input_shape)
    filters = [blocks.scaled(count, request.width) for count in CHANNELS]
    skips, x = [], image
    for step, count in enumerate(filters, start=1):
        skips.append(pair(x, count, name=f"down{step}"))
        x = blocks.max_pool(skips[-1], 2, name=f"pool{step}")
    x = pair(x, blocks.scaled(BOTTOM, request.width), name="bottom")
    if not normalised:
        x = blocks.dropout(x, 0.5, name="drop")
    for step in range(len(filters), 0, -1):
        x = enlarged(x, filters[step - 1], upsampling, name=f"up{step}")
        skip = _middle(skips[step - 1], x, name=f"up{step}_crop")
        x = pair(blocks.concat([skip, x], name=f"up{step}_concat"), filters[step - 1], name=f"up{step}")
    return blocks.model(image, blocks.conv(x, request.labels, 1, name="mask", activation="linear"), name="unet")


def _check(size: tuple[int, ...], padding: str) -> None:
    rest = 12 if padding == "valid" else 0
    if any(side % 16 != rest for side in size):
        raise ValueError(
            f"height and width must be multiples of 16{' and 12 more' if rest else ''}, got {size[0]}x{size[1]}"
        )


def _pair(x: Any, filters: int, *, padding: str, normalised: bool, name: str) -> Any:
    """Two 3x3 convolutions."""
    convolution = blocks.conv_norm if normalised else blocks.conv
    for half in "ab":
        x = convolution(x, filters, 3, name=f"{name}{half}", padding=padding)
    return x


def _middle(skip: Any, x: Any, *, name: str) -> Any:
    """Return the middle of `skip`, of the size of `x`."""
    margins = [(int(a) - int(b)) // 2 for a, b in zip(skip.shape[1:3], x.shape[1:3], strict=True)]
    return env.keras().layers.Cropping2D(tuple(margins), name=name)(skip) if any(margins) else skip


def covered(shape: tuple[int, ...], names: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return the head's setting of the box that the output without padding is about."""
    return {"covers": [float(MARGIN), float(MARGIN), float(shape[1] - MARGIN), float(shape[0] - MARGIN)]}


MEMORY = "maps at the input's full size need much memory: halve the width or the input, or take unet_small"
_SOURCE = "Ronneberger, Fischer, Brox, U-Net, MICCAI 2015"
_CPU = "XNNPACK's int8 kernel of transposed convolutions is slow on x86: take unet_same's edge variant"

ENTRIES = (
    ZooEntry(
        name="unet",
        title="U-Net without padding: 388x388 of 572x572 grey pixels",
        input_shape=(572, 572, 1),
        small_shape=(188, 188, 1),
        heads=labels.mask_head(CELLS),
        variants={
            "canonical": Variant(
                title="as published",
                build=functools.partial(build, padding="valid"),
                preprocessing=inputs.GRAY,
                settings=covered,
            )
        },
        source=_SOURCE,
        notes={
            "": MEMORY,
            "cpu": _CPU,
            "edgetpu": remarks.BIG,
        },
        scalable=True,
    ),
    ZooEntry(
        name="unet_same",
        title="U-Net with padding: a mask of the input's size",
        input_shape=(256, 256, 3),
        small_shape=(16, 16, 3),
        heads=labels.mask_head(TRIMAP),
        variants={
            "canonical": Variant(
                title="up by 2x2 transposed convolutions of stride 2",
                build=functools.partial(build, padding="same"),
                preprocessing=inputs.UNIT,
            ),
            "edge": Variant(
                title="up by bilinear resizing and a 3x3 convolution, batch normalisation",
                build=functools.partial(build, padding="same", upsampling="bilinear", normalised=True),
                preprocessing=inputs.UNIT,
            ),
        },
        source=f"{_SOURCE}, with padding",
        notes={
            "": MEMORY,
            "cpu": _CPU,
            "edgetpu": remarks.BIG,
        },
        scalable=True,
    ),
)
