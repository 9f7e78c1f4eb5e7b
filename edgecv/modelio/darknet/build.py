"""From the layers of a Darknet network to a tf_keras model, with or without weights.

Importing this module imports no tensorflow; calling `build` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.darknet.heads import Part
from edgecv.modelio.darknet.plan import IMAGE, Layer, Plan, Shape
from edgecv.modelio.darknet.weights import Array, Key

EPSILON = 1e-5
"""Under the square root of batch normalisation. Source: normalize_kernel of Darknet's blas_kernels.cu, on which its
weights were trained, and normalize_cpu of AlexeyAB's; pjreddie's normalize_cpu adds 1e-6 to the root instead."""
SLOPE = 0.1
OUTPUT = "output"
"""Name of the output of a network without boxes."""
HANDED_ON = frozenset({"cost", "crop", "region", "yolo"})
"""Layers that compute nothing here: a head's decoding is done on the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What rules need beside a layer.

    Attributes:
        arrays: By number and name, as the weights file has them; None leaves Keras' own.
        parts: Number of a layer to the outputs that it is divided into.
    """

    arrays: Mapping[Key, Array] | None
    parts: Mapping[int, tuple[Part, ...]]

    def array(self, layer: Layer, name: str) -> Array:
        """Return an array of a layer."""
        assert self.arrays is not None
        return self.arrays[layer.index, name]


def build(plan: Plan, *, name: str, arrays: Mapping[Key, Array] | None, parts: Mapping[int, tuple[Part, ...]]) -> Any:
    """Return the functional model.

    Args:
        plan: The layers.
        name: Of the model.
        arrays: By number of the layer and name, as the weights file has them; None leaves Keras' random ones.
        parts: Number of a layer to the outputs that it is divided into; empty for a network without boxes, whose last
            layer is the output.

    Raises:
        UnsupportedModelError: An activation is not known.
    """
    keras, ways = env.keras(), Ways(arrays=arrays, parts=parts)
    image = keras.Input(plan.image, name="image")
    tensors: dict[int, Any] = {IMAGE: image}
    outputs: list[Any] = []
    for layer in plan.layers:
        given = [tensors[place] for place in layer.inputs]
        if layer.index in parts:
            outputs += _divided(layer, given[0], ways)
            tensors[layer.index] = None  # the layer behind it is the head, which nothing takes
        elif layer.kind in _RULES:
            tensors[layer.index] = _RULES[layer.kind](layer, given, ways)
        else:
            tensors[layer.index] = given[0]
    if not parts:
        outputs = [_named(tensors[plan.layers[-1].index])]
    return keras.Model(image, outputs, name=name)


def _divided(layer: Layer, x: Any, ways: Ways) -> list[Any]:
    """The last layer in front of a head: one layer for each part of its filters or units."""
    layers, found = env.keras().layers, []
    dense = layer.kind == "connected"
    x = _vector(x) if dense else x
    for part in ways.parts[layer.index]:
        count = len(part.rows)
        made = layers.Dense(count, name=part.name) if dense else _conv(layer, count, bias=True, name=part.name)
        found.append(made(x if dense else _padded(layer, x, part.name)))
        if ways.arrays is not None:
            kernel = ways.array(layer, "kernel")[part.rows]
            bias = ways.array(layer, "bias")[part.rows]
            made.set_weights([_dense_kernel(kernel, layer) if dense else _conv_kernel(kernel), bias])
    return found


def _convolutional(layer: Layer, given: list[Any], ways: Ways) -> Any:
    name, normalised = f"conv{layer.index}", len(layer.blobs) > 2
    made = _conv(layer, layer.shape[2], bias=not normalised, name=name)
    x = made(_padded(layer, _maps(given[0], layer), name))
    if ways.arrays is not None:
        kernel = _conv_kernel(ways.array(layer, "kernel"))
        made.set_weights([kernel] if normalised else [kernel, ways.array(layer, "bias")])
    return _activated(layer, _normalised(layer, x, ways, name) if normalised else x, name)


def _conv(layer: Layer, filters: int, *, bias: bool, name: str) -> Any:
    section = layer.section
    size, stride = section.size("size", 1), section.size("stride", 1)
    strides = (section.size("stride_y", stride), section.size("stride_x", stride))
    return env.keras().layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same" if _is_same(layer) else "valid",
        dilation_rate=_dilation(layer),
        groups=section.size("groups", 1),
        use_bias=bias,
        name=name,
    )


def _dilation(layer: Layer) -> int:
    return layer.section.size("dilation", 1) if layer.section.size("size", 1) > 1 else 1


def _is_same(layer: Layer) -> bool:
    """Whether Darknet's zeros are those of "same": as many on each side, and a window on every value."""
    reach = (layer.section.size("size", 1) - 1) * _dilation(layer)
    return 2 * layer.pad == reach and layer.shape[:2] == layer.shapes[0][:2]


def _padded(layer: Layer, x: Any, name: str) -> Any:
    if layer.pad == 0 or (layer.kind == "convolutional" and _is_same(layer)):
        return x
    return env.keras().layers.ZeroPadding2D(layer.pad, name=f"{name}_pad")(x)


def _conv_kernel(kernel: Array) -> Array:
    """From (filters, channels, height, width) to Keras' (height, width, channels, filters)."""
    return kernel.transpose(2, 3, 1, 0)


def _normalised(layer: Layer, x: Any, ways: Ways, name: str) -> Any:
    made = env.keras().layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")
    x = made(x)
    if ways.arrays is not None:
        made.set_weights([ways.array(layer, key) for key in ("scale", "bias", "mean", "variance")])
    return x


def _activated(layer: Layer, x: Any, name: str) -> Any:
    """Source: src/activations.h."""
    # What a section has that names none; a sum has "linear".
    kind = layer.section.text("activation", "linear" if layer.kind == "shortcut" else "logistic")
    layers = env.keras().layers
    if kind == "linear":
        return x
    if kind in _NAMED:
        return layers.Activation(_NAMED[kind], name=f"{name}_act")(x)
    if kind in _SLOPES:
        return layers.LeakyReLU(_SLOPES[kind], name=f"{name}_act")(x)
    if kind == "relu6":
        return layers.ReLU(6.0, name=f"{name}_act")(x)
    if kind == "gelu":
        from edgecv.modelio.layers import TanhGelu

        return TanhGelu(name=f"{name}_act")(x)
    known = ", ".join(sorted({*_NAMED, *_SLOPES, "linear", "relu6", "gelu"}))
    raise UnsupportedModelError(
        f"{layer.section.where} [{layer.kind}]: the activation '{kind}' cannot be imported", hint=f"known: {known}"
    )


_NAMED = {
    "elu": "elu",
    "logistic": "sigmoid",
    "mish": "mish",
    "relu": "relu",
    "selu": "selu",
    "softplus": "softplus",
    "swish": "swish",
    "tanh": "tanh",
}
_SLOPES = {"leaky": SLOPE, "relie": 0.01}


def _maxpool(layer: Layer, given: list[Any], ways: Ways) -> Any:
    """Darknet puts (size - 1) / 2 values before the first, rounded down, whatever the stride.

    "same" does so at stride 1; at another it may not, and then every stride-th of those windows is taken.
    """
    section, layers, name = layer.section, env.keras().layers, f"maxpool{layer.index}"
    stride = section.size("stride", 1)
    size, strides = section.size("size", stride), (section.size("stride_y", stride), section.size("stride_x", stride))
    x = _maps(given[0], layer)
    if section.integer("padding", size - 1) == 0:
        return layers.MaxPooling2D(size, strides=strides, padding="valid", name=name)(x)
    starts = [_same_start(layer.shapes[0][axis], layer.shape[axis], size, strides[axis]) for axis in (0, 1)]
    if starts == [(size - 1) // 2] * 2:
        return layers.MaxPooling2D(size, strides=strides, padding="same", name=name)(x)
    x = layers.MaxPooling2D(size, strides=1, padding="same", name=f"{name}_windows")(x)
    return layers.MaxPooling2D(1, strides=strides, name=name)(x)


def _same_start(length: int, out: int, size: int, stride: int) -> int:
    """How many values "same" puts before the first. Source: tensorflow's padding of convolutions and pools."""
    return max(0, (out - 1) * stride + size - length) // 2


def _avgpool(layer: Layer, given: list[Any], ways: Ways) -> Any:
    return env.keras().layers.GlobalAveragePooling2D(keepdims=True, name=f"avgpool{layer.index}")(
        _maps(given[0], layer)
    )


def _route(layer: Layer, given: list[Any], ways: Ways) -> Any:
    section, name = layer.section, f"route{layer.index}"
    groups, group = section.size("groups", 1), section.integer("group_id", 0)
    parts = [_maps(x, layer, place) for place, x in enumerate(given)]
    if groups > 1:
        counts = [shape[2] // groups for shape in layer.shapes]
        parts = [
            _taken(x, group * count, (group + 1) * count, f"{name}_group{place}")
            for place, (x, count) in enumerate(zip(parts, counts, strict=True))
        ]
    return env.keras().layers.Concatenate(name=name)(parts) if len(parts) > 1 else parts[0]


def _taken(x: Any, start: int, stop: int, name: str) -> Any:
    """The channels from `start` to before `stop`."""
    from edgecv.modelio.layers import TensorFunction

    key = {"tuple": [{"ellipsis": True}, {"slice": [start, stop, None]}]}
    return TensorFunction("get_item", {"args": [{"tensor": 0}, key], "kwargs": {}}, name=name)(x)


def _shortcut(layer: Layer, given: list[Any], ways: Ways) -> Any:
    """The sum of maps; of larger ones every n-th value, of more channels the first, and of fewer these alone.

    Source: shortcut_cpu of src/blas.c.
    """
    name = f"shortcut{layer.index}"
    parts = [_maps(given[0], layer)]
    for place, x in enumerate(given[1:], start=1):
        parts.append(_fitted(_maps(x, layer, place), layer.shapes[place], layer.shape, f"{name}_{place}"))
    return _activated(layer, env.keras().layers.Add(name=name)(parts), name)


def _fitted(x: Any, shape: Shape, wanted: Shape, name: str) -> Any:
    step = shape[0] // wanted[0]
    if step > 1:
        x = env.keras().layers.MaxPooling2D(1, strides=step, name=f"{name}_every")(x)
    if shape[2] > wanted[2]:
        return _taken(x, 0, wanted[2], f"{name}_first")
    if shape[2] < wanted[2]:
        from edgecv.modelio.layers import TensorFunction

        widths = [[0, 0], [0, 0], [0, 0], [0, wanted[2] - shape[2]]]
        arguments = {"args": [{"tensor": 0}], "kwargs": {"pad_width": widths}}
        x = TensorFunction("pad", arguments, name=f"{name}_more")(x)
    return x


def _upsample(layer: Layer, given: list[Any], ways: Ways) -> Any:
    stride = layer.section.size("stride", 2)
    return env.keras().layers.UpSampling2D(stride, name=f"upsample{layer.index}")(_maps(given[0], layer))


def _reorg(layer: Layer, given: list[Any], ways: Ways) -> Any:
    """Darknet's reorg, which is no space-to-depth: it reads (c, h, w) as (c / s^2, h s, w s).

    Blocks of s x s values of that go to s^2 channels, and the whole is read as (c s^2, h / s, w / s).
    Source: reorg_cpu of src/blas.c with forward = 0.
    """
    layers, name = env.keras().layers, f"reorg{layer.index}"
    height, width, channels = layer.shapes[0]
    stride = layer.section.size("stride", 1)
    x = layers.Permute((3, 1, 2), name=f"{name}_first")(_maps(given[0], layer))
    x = layers.Reshape((channels // stride**2, height, stride, width, stride), name=f"{name}_blocks")(x)
    x = layers.Permute((3, 5, 1, 2, 4), name=f"{name}_places")(x)
    x = layers.Reshape((channels * stride**2, height // stride, width // stride), name=f"{name}_maps")(x)
    return layers.Permute((2, 3, 1), name=name)(x)


def _connected(layer: Layer, given: list[Any], ways: Ways) -> Any:
    name, normalised = f"connected{layer.index}", len(layer.blobs) > 2
    made = env.keras().layers.Dense(layer.shape[2], use_bias=not normalised, name=name)
    x = made(_vector(given[0]))
    if ways.arrays is not None:
        kernel = _dense_kernel(ways.array(layer, "kernel"), layer)
        made.set_weights([kernel] if normalised else [kernel, ways.array(layer, "bias")])
    return _activated(layer, _normalised(layer, x, ways, name) if normalised else x, name)


def _dense_kernel(kernel: Array, layer: Layer) -> Array:
    """From (units, channels x height x width) to Keras' (height x width x channels, units)."""
    height, width, channels = layer.shapes[0]
    return kernel.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, len(kernel))


def _local(layer: Layer, given: list[Any], ways: Ways) -> Any:
    name, section = f"local{layer.index}", layer.section
    made = env.keras().layers.LocallyConnected2D(
        layer.shape[2], section.size("size", 1), strides=section.size("stride", 1), name=name
    )
    x = made(_padded(layer, _maps(given[0], layer), name))
    if ways.arrays is not None:
        kernel = ways.array(layer, "kernel").transpose(0, 3, 4, 2, 1)
        made.set_weights(
            [kernel.reshape(len(kernel), -1, layer.shape[2]), ways.array(layer, "bias").transpose(1, 2, 0)]
        )
    return _activated(layer, x, name)


def _dropout(layer: Layer, given: list[Any], ways: Ways) -> Any:
    rate = layer.section.number("probability", 0.5)
    if not 0 <= rate < 1:
        raise layer.section.wrong("probability", "a number from 0 to 1, without 1")
    return env.keras().layers.Dropout(rate, name=f"dropout{layer.index}")(given[0])


def _softmax(layer: Layer, given: list[Any], ways: Ways) -> Any:
    layer.section.require("groups", 1)
    layer.section.require("temperature", 1)
    if "tree" in layer.section.options or layer.shapes[0][:2] != (1, 1):
        raise layer.section.refused(f"a softmax of {layer.shapes[0]}, or over a tree", "a softmax over one vector")
    return env.keras().layers.Activation("softmax", name=f"softmax{layer.index}")(_vector(given[0]))


def _maps(x: Any, layer: Layer, place: int = 0) -> Any:
    """A tensor as maps; dense layers give vectors."""
    if len(x.shape) == 4:
        return x
    return env.keras().layers.Reshape(layer.shapes[place], name=f"maps{layer.index}_{place}")(x)


def _vector(x: Any) -> Any:
    """A tensor as a vector, row by row of the maps."""
    return x if len(x.shape) == 2 else env.keras().layers.Flatten()(x)


def _named(x: Any) -> Any:
    return env.keras().layers.Activation("linear", name=OUTPUT)(_vector(x) if tuple(x.shape[1:3]) == (1, 1) else x)


_RULES: Mapping[str, Callable[[Layer, list[Any], Ways], Any]] = {
    "convolutional": _convolutional,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "route": _route,
    "shortcut": _shortcut,
    "upsample": _upsample,
    "reorg": _reorg,
    "connected": _connected,
    "local": _local,
    "dropout": _dropout,
    "softmax": _softmax,
}
