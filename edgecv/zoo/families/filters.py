"""Filters: networks of fixed kernels, which learn nothing. They correlate: no kernel is turned around.

Kernels are constants of convolutions, so that whatever takes a network takes a filter: conversion to every format and
target, `predict`, `bench`. Pixels come as they are, 0..255, so that integer kernels give integer answers.

Sources: Sobel, Feldman 1968, by Duda, Hart, "Pattern Classification and Scene Analysis", 1973, p. 271; Prewitt, "Object
Enhancement and Extraction", 1970; Gonzalez, Woods, "Digital Image Processing", on the Laplacian and on smoothing; Yu,
Koltun 2016, "Multi-Scale Context Aggregation by Dilated Convolutions"; Goodfellow et al. 2013, "Maxout Networks".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.modelio import env
from edgecv.runtime.image import load_image
from edgecv.values.specs import Head, ModelSpec, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families.inputs import RAW

Array = np.ndarray[Any, Any]
Rows = Sequence[Sequence[float]]

SOBEL: dict[str, Rows] = {"x": [[1, 0, -1], [2, 0, -2], [1, 0, -1]], "y": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]}
PREWITT: dict[str, Rows] = {
    "horizontal": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    "vertical": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
}
LAPLACIAN4: Rows = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
LAPLACIAN8: Rows = [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
BOX: Rows = np.full((3, 3), 1 / 9).tolist()
ATROUS: Rows = [[1, 2, 3]]
ANTIDIAGONAL: Rows = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
LINE, DILATION, GROUP = 7, 4, 2
RAW_GRAY = Preprocessing(color="gray", mean=(0.0,), std=(1.0,))
"""0..255, as they are."""


def depthwise(
    x: Any, kernels: Sequence[Any], *, name: str, padding: str = "valid", strides: int = 1, dilation: int = 1
) -> Any:
    """Correlate every channel with each of the kernels (H, W): a depthwise convolution whose weights are constant."""
    stacked = np.stack([np.asarray(kernel, np.float32) for kernel in kernels], axis=-1)
    weights = np.repeat(stacked[:, :, None, :], int(x.shape[-1]), axis=2)
    layer = env.keras().layers.DepthwiseConv2D(
        stacked.shape[:2], strides=strides, padding=padding, dilation_rate=dilation, depth_multiplier=len(kernels),
        use_bias=False, trainable=False, depthwise_initializer=_constant(weights), name=name,
    )  # fmt: skip
    return layer(x)


def across(x: Any, kernels: Sequence[Any], *, name: str, padding: str = "same", strides: int = 1) -> Any:
    """Correlate with each of the kernels (H, W), and sum over the channels: a convolution of constant weights."""
    stacked = np.stack([np.asarray(kernel, np.float32) for kernel in kernels], axis=-1)
    weights = np.repeat(stacked[:, :, None, :], int(x.shape[-1]), axis=2)
    layer = env.keras().layers.Conv2D(
        len(kernels), stacked.shape[:2], strides=strides, padding=padding, use_bias=False, trainable=False,
        kernel_initializer=_constant(weights), name=name,
    )  # fmt: skip
    return layer(x)


def _constant(weights: Array) -> Any:
    return env.keras().initializers.Constant(weights)


def _filter(request: Build, kernels: Sequence[Any], *, name: str, padding: str, dilation: int = 1) -> Any:
    image = blocks.image_input(request.input_shape)
    answer = depthwise(image, kernels, name="response", padding=padding, dilation=dilation)
    return blocks.model(image, answer, name=name)


def build_line7(request: Build, *, strides: int) -> Any:
    """7x7 ones in the centre column, and in the centre row; over all channels, padded."""
    column, row = np.zeros((LINE, LINE)), np.zeros((LINE, LINE))
    column[:, LINE // 2], row[LINE // 2, :] = 1, 1
    image = blocks.image_input(request.input_shape)
    return blocks.model(image, across(image, [column, row], name="response", strides=strides), name="line7")


def build_grad_stack(request: Build) -> Any:
    """The image and both gradients of the mean of its channels, by Sobel's kernels: five maps."""
    image = blocks.image_input(request.input_shape)
    kernels = [-np.asarray(kernel) / 3 for kernel in SOBEL.values()]
    gradients = across(image, kernels, name="gradients")
    joined = env.keras().layers.Concatenate(name="response")([image, gradients])
    return blocks.model(image, joined, name="grad_stack")


def build_pattern_match(request: Build, *, centred: bool) -> Any:
    """The template as a kernel; centred, less its mean, so that even areas answer 0 however bright they are."""
    values = template(request.weights)
    kernel = values - values.mean() if centred else values
    if centred and not kernel.any():
        raise ConfigError("an even template, less its mean, is nothing", hint="use the canonical variant")
    image = blocks.image_input(request.input_shape)
    if any(side < own for side, own in zip(request.input_shape, kernel.shape, strict=False)):
        raise ConfigError(
            f"a template of {kernel.shape[1]}x{kernel.shape[0]} does not fit into an input of "
            f"{request.input_shape[1]}x{request.input_shape[0]}",
            hint="give a smaller template, or a larger --input-size",
        )
    return blocks.model(image, depthwise(image, [kernel], name="response"), name="pattern_match")


def build_depth_maxpool(request: Build, *, slices: bool) -> Any:
    """The largest of each two neighbouring channels of four edge filters; by slices: of the first and second half."""
    layers = env.keras().layers
    image = blocks.image_input(request.input_shape)
    # The larger of a map and its negative is its magnitude, whatever way the edge runs.
    pairs = [(np.asarray(kernel), -np.asarray(kernel)) for kernel in PREWITT.values()]
    if slices:
        halves = (depthwise(image, side, name=f"edges_{i}") for i, side in enumerate(zip(*pairs, strict=True)))
        return blocks.model(image, layers.Maximum(name="response")(list(halves)), name="depth_maxpool")
    x = depthwise(image, [kernel for pair in pairs for kernel in pair], name="edges")
    return blocks.model(image, depth_max_pool(x, GROUP, name="response"), name="depth_maxpool")


def depth_max_pool(x: Any, group: int, *, name: str) -> Any:
    """Take the largest of each `group` neighbouring channels; a pool over channels does not convert, this does."""
    layers = env.keras().layers
    height, width, channels = (int(side) for side in x.shape[1:])
    if channels % group:
        raise ConfigError(f"{channels} channels do not divide into groups of {group}")
    # Channels of a pixel lie beside each other, so a row of channels is a row of pixels to the pool.
    rows = layers.Reshape((height, width * channels, 1), name=f"{name}_rows")(x)
    most = layers.MaxPooling2D((1, group), name=f"{name}_most")(rows)
    return layers.Reshape((height, width, channels // group), name=name)(most)


def template(weights: str | None) -> Array:
    """Return a template, float32 (H, W): of an image file in greys, or of an .npy as it is; None: an antidiagonal."""
    if weights is None:
        return np.asarray(ANTIDIAGONAL, np.float32)
    path = Path(weights)
    if not path.is_file():
        raise ConfigError(f"there is no template {weights}", hint="give an image, or an .npy of (height, width)")
    found = _array(path) if path.suffix == ".npy" else _grey(path)
    values = np.asarray(found, np.float32) if found.dtype.kind in "fiub" else np.zeros(0, np.float32)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all() or not values.any():
        raise ConfigError(
            f"{weights} is no template: {found.dtype} of shape {found.shape}",
            hint="a template is (height, width) of finite numbers that are not all 0",
        )
    return values


def _array(path: Path) -> Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    # numpy answers damage with many kinds of exceptions.
    except Exception as error:
        raise ConfigError(f"{path} is no template: {error}", hint="write it with numpy.save") from error


def _grey(path: Path) -> Array:
    """Return an image file in greys, uint8 (H, W). Raises DataError when it cannot be read."""
    image = load_image(path)
    return np.asarray(require("PIL.Image", why="to read a template").fromarray(image).convert("L"))


def _windowed(model: Any, spec: ModelSpec) -> ModelSpec:
    """Return the contract with the size of the kernel that the network has."""
    window = [int(side) for side in model.get_layer("response").kernel_size]
    return replace(spec, heads=(replace(spec.head, settings={**spec.head.settings, "window": window}),))


def _maps(labels: Iterable[str], window: tuple[int, int] = (3, 3), **settings: Any) -> tuple[Head, ...]:
    known = {"window": list(window), "padding": "valid", **settings}
    return (Head(name="response", task="response", activation="linear", labels=tuple(labels), settings=known),)


def _entry(
    name: str,
    title: str,
    variants: Mapping[str, tuple[str, Callable[[Build], Any], tuple[Head, ...]]],
    *,
    channels: int = 1,
    size: tuple[int, int] = (160, 160),
    notes: Mapping[str, str],
    template: bool = False,
) -> ZooEntry:
    """Return an entry. `template`: whether its kernel is the user's, whose size its contract then tells."""
    heads = next(iter(variants.values()))[2]
    return ZooEntry(
        name=name,
        title=title,
        input_shape=(*size, channels),
        small_shape=(32, 32, channels),
        heads=heads,
        variants={
            key: Variant(
                title=told,
                build=build,
                preprocessing=RAW if channels == 3 else RAW_GRAY,
                heads=own,
                fixed_labels=len(own[0].labels),
                told=_windowed if template else None,
            )
            for key, (told, build, own) in variants.items()
        },
        source=(__doc__ or "").split("Sources: ")[1].replace("\n", " ").strip(),
        notes=notes,
        pretrained=template,
    )


def _fixed(name: str, kernels: Sequence[Any], *, padding: str = "valid", dilation: int = 1) -> Callable[[Build], Any]:
    return functools.partial(_filter, kernels=kernels, name=name, padding=padding, dilation=dilation)


def _negated(kernels: Mapping[str, Rows]) -> list[Array]:
    return [-np.asarray(kernel) for kernel in kernels.values()]


EXACT = (
    "int8 steps of the largest tap would break a sum of zero: `quantize` takes a step of which every tap is a whole "
    "number, and says so; answers have 256 steps, so use --scheme int16x8 where they must be exact"
)
ROUNDED = "int8 answers have 256 steps over the calibrated range: calibrate with pictures like those it will see"

ENTRIES = (
    _entry(
        "sobel", "Sobel's gradients, x and y",
        {
            "canonical": ("bright at the left and on top is positive", _fixed("sobel", [*SOBEL.values()]), _maps("xy")),
            "gradient": ("the negatives: brighter to the right and below is positive",
                         _fixed("sobel", _negated(SOBEL)), _maps("xy")),
        },
        notes={"": EXACT},
    ),
    _entry(
        "prewitt", "Prewitt's edges, horizontal and vertical",
        {
            "canonical": ("bright on top and at the left is positive", _fixed("prewitt", [*PREWITT.values()]),
                          _maps(PREWITT)),
            "gradient": ("the negatives: brighter below and to the right is positive",
                         _fixed("prewitt", _negated(PREWITT)), _maps(PREWITT)),
        },
        notes={"": EXACT},
    ),
    _entry(
        "laplacian4", "Laplacian of four neighbours",
        {"canonical": ("-4 in the middle", _fixed("laplacian4", [LAPLACIAN4]), _maps(["laplacian"]))},
        notes={"": EXACT},
    ),
    _entry(
        "laplacian8", "Laplacian of eight neighbours",
        {"canonical": ("8 in the middle", _fixed("laplacian8", [LAPLACIAN8]), _maps(["laplacian"]))},
        notes={"": EXACT},
    ),
    _entry(
        "box_blur", "mean of 3x3 pixels, of every channel",
        {"canonical": ("+1/9", _fixed("box_blur", [BOX]), _maps("rgb"))},
        channels=3, notes={"": ROUNDED},
    ),
    _entry(
        "line7", "lines of seven pixels, upright and level, over all channels",
        {
            "canonical": ("padded, stride 1", functools.partial(build_line7, strides=1),
                          _maps(["column", "row"], (LINE, LINE), padding="same")),
            "stride2": ("padded, stride 2", functools.partial(build_line7, strides=2),
                        _maps(["column", "row"], (LINE, LINE), padding="same", stride=2)),
        },
        channels=3, size=(427, 640), notes={"": ROUNDED},
    ),
    _entry(
        "pattern_match", "where a template fits best; --weights TEMPLATE.png or .npy",
        {
            "canonical": ("the template as it is", functools.partial(build_pattern_match, centred=False),
                          _maps(["template"], answer="peak")),
            "centred": ("the template less its mean: even areas answer 0",
                        functools.partial(build_pattern_match, centred=True), _maps(["template"], answer="peak")),
        },
        notes={"": ROUNDED}, template=True,
    ),
    _entry(
        "grad_stack", "the image with both gradients of its mean channel: five maps",
        {"canonical": ("by Sobel's kernels, padded", build_grad_stack,
                       _maps(["r", "g", "b", "x", "y"], padding="same"))},
        channels=3,
        notes={"": "all five maps share one scale: quantise them with what takes them, not on their own"},
    ),
    _entry(
        "atrous", "dilated correlation with [1, 2, 3], four pixels apart",
        {"canonical": ("dilation 4, padded", _fixed("atrous", [ATROUS], padding="same", dilation=DILATION),
                       _maps(["response"], (1, 1 + 2 * DILATION), padding="same"))},
        notes={"": ROUNDED},
    ),
    _entry(
        "depth_maxpool", "the larger of two channels: magnitudes of Prewitt's edges",
        {
            "canonical": ("pairs of neighbouring channels, by a reshape",
                          functools.partial(build_depth_maxpool, slices=False), _maps(PREWITT)),
            "edge": ("the maximum of two convolutions, whose channels are in the right order",
                     functools.partial(build_depth_maxpool, slices=True), _maps(PREWITT)),
        },
        notes={"": EXACT, "cpu": "a pool over reshaped channels moves every value twice: the edge variant does not"},
    ),
)  # fmt: skip
