"""From a cfg file to layers with shapes, and to the arrays that its weights file holds, in order. Pure Python.

Darknet's shapes are (height, width, channels) here; a vector of n values is (1, 1, n).
Source: the make_ functions of Darknet's layers, and load_weights_upto of src/parser.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edgecv.modelio.darknet.cfg import Cfg, Section

Shape = tuple[int, int, int]

IMAGE = -1
"""The number of the image among a layer's inputs."""
MOST_VALUES = 2**29
"""In all weights, or in one map: 2 GiB of float32, several times what Darknet's largest network has."""
MOST_PLACES = 4096
"""Of a local layer, whose every place is an operator of its own: Darknet's YOLO v1 has 49."""
REFUSED = {
    "convolutional": (
        "antialiasing", "assisted_excitation", "bin_output", "binary", "coordconv", "flipped", "reverse", "rotate",
        "stretch", "stretch_sway", "sway", "xnor",
    ),
    "maxpool": ("antialiasing", "maxpool_depth", "maxpool_zero_nonmax"),
    "reorg": ("extra", "flatten", "reverse"),
    "softmax": ("noloss", "spatial"),
}  # fmt: skip
"""Keys that change what a layer computes, and are only understood where they are 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """An array of a weights file.

    Attributes:
        layer: Number of the layer.
        name: "bias", "scale", "mean", "variance" or "kernel".
        shape: As Darknet has it: a convolution's kernel is (filters, channels / groups, size, size), a dense one
            (outputs, inputs), a local one (places, filters, channels, size, size).
    """

    layer: int
    name: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer with its shapes.

    Attributes:
        index: Its number.
        section: What the cfg file says of it.
        inputs: Numbers of the layers whose outputs it takes; `IMAGE` for the image.
        shapes: Of its inputs.
        shape: Of its output.
        pad: Zeros on each side of a convolution's maps.
        blobs: Its arrays, in the order of the file.
    """

    index: int
    section: Section
    inputs: tuple[int, ...]
    shapes: tuple[Shape, ...]
    shape: Shape
    pad: int = 0
    blobs: tuple[Blob, ...] = field(default=())

    @property
    def kind(self) -> str:
        """Of its section."""
        return self.section.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A network before it is built.

    Attributes:
        cfg: Its file.
        image: Shape of the image.
        symmetric: Whether pixels go from -1 to 1, as a [crop] makes them, and not from 0.
        layers: Every layer, those without an effect included.
        remarks: What was passed over, a sentence each.
    """

    cfg: Cfg
    image: Shape
    symmetric: bool
    layers: tuple[Layer, ...]
    remarks: tuple[str, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Arrays of the weights file, in order."""
        return tuple(blob for layer in self.layers for blob in layer.blobs)


def plan(cfg: Cfg) -> Plan:
    """Return the layers of a cfg file with their shapes.

    Raises:
        ConfigError: A value is no number where one is expected.
        UnsupportedModelError: The shapes do not fit, or a layer does what cannot be imported.
    """
    net, remarks = cfg.net, list(cfg.remarks)
    image: Shape = (net.integer("height", 0), net.integer("width", 0), net.integer("channels", 0))
    if min(image) < 1:
        raise net.refused(f"an input of {image[0]}x{image[1]}x{image[2]}", "height, width and channels are 1 or more")
    symmetric, found = False, list[Layer]()
    for index, section in enumerate(cfg.layers):
        _check_common(section)
        shape = found[-1].shape if found else image
        if section.kind == "crop":
            image, symmetric = _cropped(section, index, shape)
            remarks.append(f"{section.where} [crop] is left out: the image has its size, {image[0]}x{image[1]}")
        if section.kind == "cost":
            remarks.append(f"{section.where} [cost] is left out: it is of use in training only")
        found.append(_layer(section, index, image, found))
    built = Plan(cfg=cfg, image=image, symmetric=symmetric, layers=tuple(found), remarks=tuple(remarks))
    total = sum(blob.count for blob in built.blobs)
    if total > MOST_VALUES:
        raise net.refused(f"a network of {total:,} weights", f"at most {MOST_VALUES:,} are taken")
    return built


def _layer(section: Section, index: int, image: Shape, before: Sequence[Layer]) -> Layer:
    shape = before[-1].shape if before else image
    if section.kind == "crop":
        shape = image
    rule = _RULES.get(section.kind)
    if rule is not None:
        layer = rule(section, index, shape, before)
    else:  # it hands on what it gets
        layer = Layer(index=index, section=section, inputs=(index - 1,), shapes=(shape,), shape=shape)
    if min(layer.shape) < 1 or math.prod(layer.shape) > MOST_VALUES:
        raise section.refused(f"an output of {_told(layer.shape)}", f"its input is {_told(shape)}")
    return layer


def _check_common(section: Section) -> None:
    for key in ("dontload", "dontloadscales", "numload", *REFUSED.get(section.kind, ())):
        section.require(key, 0)


def _cropped(section: Section, index: int, shape: Shape) -> tuple[Shape, bool]:
    if index:
        raise section.refused("a crop behind another layer", "only the first layer may be one")
    size = (section.size("crop_height", 1), section.size("crop_width", 1))
    return (size[0], size[1], shape[2]), not section.integer("noadjust", 0)


def _convolutional(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    filters, size, groups = section.size("filters", 1), section.size("size", 1), section.size("groups", 1)
    strides = _strides(section)
    dilation = section.size("dilation", 1) if size > 1 else 1
    if "share_index" in section.options:
        raise section.refused("share_index", "give the layer weights of its own")
    if shape[2] % groups or filters % groups:
        raise section.refused(f"{groups} groups of {shape[2]} channels and {filters} filters", "groups divide both")
    pad = size // 2 if section.integer("pad", 0) else section.integer("padding", 0)
    if pad < 0 or (dilation > 1 and (strides != (1, 1) or 2 * pad + 1 != size)):
        raise section.refused(f"dilation = {dilation} with this stride and padding", "dilate with stride 1 and pad=1")
    sides = [(shape[axis] + 2 * pad - size) // strides[axis] + 1 for axis in (0, 1)]
    kernel = Blob(layer=index, name="kernel", shape=(filters, shape[2] // groups, size, size))
    return Layer(
        index=index,
        section=section,
        inputs=(index - 1,),
        shapes=(shape,),
        shape=(sides[0], sides[1], filters),
        pad=pad * dilation,
        blobs=(*_normed(section, index, filters), kernel),
    )


def _strides(section: Section) -> tuple[int, int]:
    """Down and across."""
    stride = section.size("stride", 1)
    return section.size("stride_y", stride), section.size("stride_x", stride)


def _normed(section: Section, index: int, count: int) -> tuple[Blob, ...]:
    """The bias, and what batch normalisation has beside it."""
    normalised = section.integer("batch_normalize", 0) or section.integer("cbn", 0)
    names = ("bias", "scale", "mean", "variance") if normalised else ("bias",)
    return tuple(Blob(layer=index, name=name, shape=(count,)) for name in names)


def _maxpool(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    strides = _strides(section)
    size = section.size("size", section.size("stride", 1))
    padding = section.integer("padding", size - 1)
    if padding not in (0, size - 1):
        raise section.refused(f"padding = {padding} of windows of {size}", f"padding is 0 or {size - 1}")
    sides = [(shape[axis] + padding - size) // strides[axis] + 1 for axis in (0, 1)]
    out = (sides[0], sides[1], shape[2])
    return Layer(index=index, section=section, inputs=(index - 1,), shapes=(shape,), shape=out)


def _avgpool(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    return Layer(index=index, section=section, inputs=(index - 1,), shapes=(shape,), shape=(1, 1, shape[2]))


def _places(section: Section, key: str, index: int) -> tuple[int, ...]:
    """Numbers of layers that a key names; those below 0 count from the layer itself."""
    found = tuple(place + index if place < 0 else place for place in section.integers(key))
    if not found or not all(0 <= place < index for place in found):
        raise section.refused(f"{key} = {section.text(key, '')}", f"layers before layer {index} have numbers 0 and up")
    return found


def _route(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    inputs = _places(section, "layers", index)
    shapes = tuple(before[place].shape for place in inputs)
    groups, group = section.size("groups", 1), section.integer("group_id", 0)
    if len({each[:2] for each in shapes}) > 1:
        raise section.refused(f"maps of {' and '.join(map(_told, shapes))}", "routes join maps of one size")
    if any(each[2] % groups for each in shapes) or not 0 <= group < groups:
        raise section.refused(f"group {group} of {groups}", "groups divide the channels of every layer that is routed")
    out = (*shapes[0][:2], sum(each[2] // groups for each in shapes))
    return Layer(index=index, section=section, inputs=inputs, shapes=shapes, shape=out)


def _shortcut(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    inputs = (index - 1, *_places(section, "from", index))
    shapes = (shape, *(before[place].shape for place in inputs[1:]))
    for other in shapes[1:]:
        steps = {found // own for found, own in zip(other[:2], shape[:2], strict=True)}
        if len(steps) > 1 or 0 in steps or other[0] % shape[0] or other[1] % shape[1]:
            raise section.refused(
                f"a sum of {_told(shape)} and {_told(other)}", "the other maps are as large, or a multiple"
            )
    if section.text("weights_type", "none") != "none":
        raise section.refused("weights_type", "only sums without weights are understood")
    section.require("alpha", 1)
    section.require("beta", 1)
    return Layer(index=index, section=section, inputs=inputs, shapes=shapes, shape=shape)


def _upsample(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    stride = section.size("stride", 2)
    section.require("scale", 1)
    out = (shape[0] * stride, shape[1] * stride, shape[2])
    return Layer(index=index, section=section, inputs=(index - 1,), shapes=(shape,), shape=out)


def _reorg(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    stride = section.size("stride", 1)
    if shape[0] % stride or shape[1] % stride or shape[2] % stride**2:
        raise section.refused(
            f"stride {stride} on {_told(shape)}", "it divides height, width, and squared the channels"
        )
    out = (shape[0] // stride, shape[1] // stride, shape[2] * stride**2)
    return Layer(index=index, section=section, inputs=(index - 1,), shapes=(shape,), shape=out)


def _connected(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    units = section.size("output", 1)
    bias, *norm = _normed(section, index, units)
    kernel = Blob(layer=index, name="kernel", shape=(units, math.prod(shape)))
    return Layer(
        index=index,
        section=section,
        inputs=(index - 1,),
        shapes=(shape,),
        shape=(1, 1, units),
        blobs=(bias, kernel, *norm),
    )


def _local(section: Section, index: int, shape: Shape, before: Sequence[Layer]) -> Layer:
    filters, size, stride = section.size("filters", 1), section.size("size", 1), section.size("stride", 1)
    pad = section.integer("pad", 0)
    if pad and (size, pad) != (3, 1):
        # Of other sizes Darknet's output size is not that of its windows: local_out_height of local_layer.c.
        raise section.refused(f"size = {size} with pad = {pad}", "only size=3 has pad=1")
    height, width = ((shape[axis] + 2 * pad - size) // stride + 1 for axis in (0, 1))
    places = height * width
    if places > MOST_PLACES:
        raise section.refused(f"{places:,} places with weights of their own", f"at most {MOST_PLACES:,} are taken")
    return Layer(
        index=index,
        section=section,
        inputs=(index - 1,),
        shapes=(shape,),
        shape=(height, width, filters),
        pad=pad,
        blobs=(
            Blob(layer=index, name="bias", shape=(filters, height, width)),
            Blob(layer=index, name="kernel", shape=(places, filters, shape[2], size, size)),
        ),
    )


def _told(shape: Shape) -> str:
    return "x".join(map(str, shape))


_RULES: Mapping[str, Callable[[Section, int, Shape, Sequence[Layer]], Layer]] = {
    "convolutional": _convolutional,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "route": _route,
    "shortcut": _shortcut,
    "upsample": _upsample,
    "reorg": _reorg,
    "connected": _connected,
    "local": _local,
}
