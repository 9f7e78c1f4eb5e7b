"""Operations of `keras.ops` in a Keras 3 graph, as layers that can be saved, pruned and quantised.

What a standard layer does becomes that layer: arithmetic with a constant a Rescaling, a product with a constant matrix
a Dense, a convolution with a constant kernel a Conv2D, a change of shape a Reshape. Passes know these. Everything else
becomes a `TensorFunction`, which holds the function's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env, keras3_resize

Array = np.ndarray[Any, Any]
MERGES = {"Add": "Add", "Subtract": "Subtract", "Multiply": "Multiply", "Maximum": "Maximum", "Minimum": "Minimum"}
ACTIVATIONS = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign",
    "Silu": "swish", "Selu": "selu", "Exp": "exponential",
}  # fmt: skip
OURS = {"HardSigmoid": "HardSigmoid", "HardSilu": "HardSwish", "HardSwish": "HardSwish"}


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of tf_keras and its weights."""

    layer: Any
    weights: tuple[Array, ...] = ()


Steps = list[Step]


def is_operation(operation: Any) -> bool:
    """Say whether a node of a Keras 3 graph is a function of `keras.ops` instead of a layer."""
    return type(operation).__module__.startswith(("keras.src.ops.", "keras.src.activations."))


def steps_of(node: Any) -> list[Steps]:
    """Return the tf_keras layers that do what a `keras.ops` node does, one after the other, for each of its outputs.

    The first of them takes the node's tensors in their order.

    Args:
        node: Of a Keras 3 graph; its operation is a function.

    Raises:
        UnsupportedModelError: No layer does it; the message is a reason, without the operation's name.
    """
    made = _standard(node)
    return [made] if made is not None else _functions(node)


def _standard(node: Any) -> Steps | None:
    """Return standard layers that do the same, None when there are none."""
    kind = type(node.operation).__name__
    if kind in MERGES or kind in ("Divide", "TrueDivide"):
        return _arithmetic(node, kind)
    if kind in ACTIVATIONS:
        return [Step(env.keras().layers.Activation(ACTIVATIONS[kind]))]
    if kind in OURS:
        from edgecv.modelio import layers

        return [Step(getattr(layers, OURS[kind])())]
    make = _MAKERS.get(kind)
    return make(node.operation, node) if make else None


def _functions(node: Any) -> list[Steps]:
    """Return one TensorFunction for each output. Raises UnsupportedModelError when there is no such function."""
    from edgecv.modelio.tensor_function import TensorFunction, call_of, encode

    try:
        name, args, kwargs = call_of(node.operation, node)
        if name == "reshape":
            kwargs["newshape"] = _open_shape(node)
        arrays: list[Array] = []
        places = {id(tensor): index for index, tensor in reversed(list(enumerate(node.input_tensors)))}

        def place(value: Any) -> int | None:
            return places.get(id(value))

        named = {key: encode(value, place, arrays) for key, value in kwargs.items()}
        arguments = {"args": encode(args, place, arrays), "kwargs": named}
    except KeyError as error:
        raise UnsupportedModelError(f"is an operation that no layer stands for: {error.args[0]}") from error
    except TypeError as error:
        raise UnsupportedModelError(f"has an argument that a file cannot hold: {error}") from error
    _expect(kwargs.get("data_format") in (None, "channels_last"), "has channels first")
    constants = [{"shape": list(array.shape), "dtype": array.dtype.name} for array in arrays]
    several = isinstance(node.operation.output, (list, tuple)) or len(node.outputs) > 1
    return [
        [Step(TensorFunction(name, arguments, constants=constants, output=i if several else None), tuple(arrays))]
        for i in range(len(node.outputs))
    ]


def _open_shape(node: Any) -> list[int]:
    """Return the target of a reshape with at most one size that follows from the others."""
    wanted = [size if size is not None else -1 for size in node.operation.newshape]
    if wanted.count(-1) > 1:
        wanted = [-1 if size is None else int(size) for size in node.outputs[0].shape]
    _expect(wanted.count(-1) <= 1, f"reshapes to {tuple(node.operation.newshape)}, of which the sizes are open")
    return wanted


# Operations that standard layers do.


def _shape(node: Any, place: int = 0) -> tuple[Any, ...]:
    """Return the shape of a tensor that a node takes, batch included."""
    return tuple(node.input_tensors[place].shape)


def _operands(node: Any) -> tuple[Any, ...]:
    return (*node.arguments.args, *node.arguments.kwargs.values())


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "_keras_history")


def _arithmetic(node: Any, kind: str) -> Steps | None:
    if len(node.input_tensors) == 2:
        if kind not in MERGES or len(_shape(node)) != len(_shape(node, 1)) or _dtypes(node) != {"float32"}:
            return None
        return [Step(getattr(env.keras().layers, MERGES[kind])())]
    first, second = _operands(node)[:2]
    tensor_first = _is_tensor(first)
    value = np.asarray(second if tensor_first else first, np.float32)
    channels = _shape(node)[-1]
    if _dtypes(node) != {"float32"} or not (value.size == 1 or value.shape[-1:] == (channels,) == (value.size,)):
        return None
    if value.size == 1 and kind in ("Maximum", "Minimum"):
        return [Step(env.keras().layers.ReLU())] if kind == "Maximum" and value.item() == 0 else None
    if value.ndim > len(_shape(node)):
        return None
    number = np.asarray(float(value.reshape(-1)[0]) if value.size == 1 else value.reshape(-1), np.float32)
    return _rescaling(kind, number, tensor_first)


def _dtypes(node: Any) -> set[str]:
    return {str(tensor.dtype) for tensor in node.input_tensors}


def _rescaling(kind: str, value: Any, tensor_first: bool) -> Steps | None:
    one, zero = np.ones_like(value), np.zeros_like(value)
    if kind == "Add":
        scale, offset = one, value
    elif kind == "Subtract":
        scale, offset = (one, -value) if tensor_first else (-one, value)
    elif kind == "Multiply":
        scale, offset = value, zero
    elif kind in ("Divide", "TrueDivide") and tensor_first:
        scale, offset = one / value, zero
    else:
        return None
    return [Step(env.keras().layers.Rescaling(scale.tolist(), offset.tolist()))]


def _over_the_map(layer: str) -> Callable[[Any, Any], Steps | None]:
    def make(operation: Any, node: Any) -> Steps | None:
        rank = len(_shape(node))
        axis = operation.axis if isinstance(operation.axis, (list, tuple)) else (operation.axis,)
        if None in axis or rank != 4 or sorted(int(a) % rank for a in axis) != [1, 2]:
            return None
        return [Step(getattr(env.keras().layers, layer)(keepdims=bool(operation.keepdims)))]

    return make


def _same_batch(operation: Any, node: Any) -> Steps | None:
    """Return a Reshape where only the places of one sample's values change."""
    before, after = _shape(node)[1:], tuple(node.outputs[0].shape)[1:]
    if None in before or None in after or math.prod(before) != math.prod(after) or not after:
        return None
    if node.outputs[0].shape[0] is not None:
        return None
    return [Step(env.keras().layers.Reshape(tuple(int(size) for size in after)))]


def _transpose(operation: Any, node: Any) -> Steps | None:
    axes = operation.axes
    if axes is None or axes[0] != 0:
        return None
    return [Step(env.keras().layers.Permute(tuple(int(axis) % len(axes) for axis in axes[1:])))]


def _concatenate(operation: Any, node: Any) -> Steps | None:
    (tensors, *_), rank = _operands(node), len(_shape(node))
    if len(node.input_tensors) != len(tensors) or len(tensors) < 2 or operation.axis % rank == 0:
        return None
    return [Step(env.keras().layers.Concatenate(axis=operation.axis))]


def _pad(operation: Any, node: Any) -> Steps | None:
    width = [tuple(int(n) for n in pair) for pair in operation.pad_width]
    values = node.arguments.kwargs.get("constant_values", (*node.arguments.args, None, None)[1])
    plain = operation.mode == "constant" and (values is None or np.all(np.asarray(values) == 0))
    if not plain or len(width) != 4 or not width[0] == width[3] == (0, 0):
        return None
    return [Step(env.keras().layers.ZeroPadding2D((width[1], width[2])))]


def _softmax(operation: Any, node: Any) -> Steps | None:
    return [Step(env.keras().layers.Softmax(axis=operation.axis))]


def _gelu(operation: Any, node: Any) -> Steps | None:
    from edgecv.modelio import layers

    return [Step(layers.TanhGelu() if operation.approximate else env.keras().layers.Activation("gelu"))]


def _elu(operation: Any, node: Any) -> Steps | None:
    return [Step(env.keras().layers.ELU(operation.alpha))]


def _celu(operation: Any, node: Any) -> Steps | None:
    """`alpha * elu(x / alpha)`: written out as Keras does, its exponential of large values would fill 8 bits."""
    layers, alpha = env.keras().layers, float(operation.alpha)
    if alpha == 1.0:
        return [Step(layers.ELU())]
    return [Step(layers.Rescaling(1 / alpha)), Step(layers.ELU()), Step(layers.Rescaling(alpha))]


def _relu(operation: Any, node: Any) -> Steps | None:
    names = ("max_value", "negative_slope", "threshold")
    return [Step(env.keras().layers.ReLU(**{name: getattr(operation, name) for name in names}))]


def _clip(operation: Any, node: Any) -> Steps | None:
    low, high = operation.x_min, operation.x_max
    bounded = isinstance(high, (int, float)) and isinstance(low, (int, float)) and low == 0 < high
    return [Step(env.keras().layers.ReLU(float(high)))] if bounded else None


def _cast(operation: Any, node: Any) -> Steps | None:
    same = _dtypes(node) == {str(node.outputs[0].dtype)}
    return [Step(env.keras().layers.Activation("linear"))] if same else None


def _nothing(operation: Any, node: Any) -> Steps | None:
    return [Step(env.keras().layers.Activation("linear"))]


def _kernel(node: Any) -> Array | None:
    """Return the second operand as a constant, None when it is a tensor."""
    operands = _operands(node)
    if len(operands) < 2 or _is_tensor(operands[1]) or not _is_tensor(operands[0]):
        return None
    return np.asarray(operands[1], np.float32)


def _matmul(operation: Any, node: Any) -> Steps | None:
    kernel = _kernel(node)
    if kernel is None or kernel.ndim != 2 or len(_shape(node)) < 2 or _dtypes(node) != {"float32"}:
        return None
    return [Step(env.keras().layers.Dense(kernel.shape[1], use_bias=False), (kernel,))]


def _einsum(operation: Any, node: Any) -> Steps | None:
    """Return Reshape, Dense, Reshape for a product that sums the last axes of a tensor with the first of a constant."""
    operands = _operands(node)
    if len(operands) != 2 or not _is_tensor(operands[0]) or _is_tensor(operands[1]):
        return None
    terms, _, result = operation.subscripts.replace(" ", "").partition("->")
    left, _, right = terms.partition(",")
    if not result or "." in operation.subscripts:
        return None
    summed = [letter for letter in right if letter not in result]
    kept, made = left[: len(left) - len(summed)], right[len(summed) :]
    if (
        not summed
        or not kept
        or left != kept + "".join(summed)
        or right != "".join(summed) + made
        or result != kept + made
    ):
        return None
    kernel = np.asarray(operands[1], np.float32)
    wide, narrow = math.prod(kernel.shape[: len(summed)]), math.prod(kernel.shape[len(summed) :])
    batch = tuple(-1 if size is None else size for size in _shape(node)[1 : len(kept)])
    reshapes = (len(summed) > 1) + (len(made) != 1)
    if reshapes and batch.count(-1) > 1:
        return None
    layers = env.keras().layers
    made_of = [Step(layers.Dense(narrow, use_bias=False), (kernel.reshape(wide, narrow),))]
    if len(summed) > 1:
        made_of.insert(0, Step(layers.Reshape((*batch, wide))))
    if len(made) != 1:
        made_of.append(Step(layers.Reshape((*batch, *kernel.shape[len(summed) :]))))
    return made_of


def _window(operation: Any) -> dict[str, Any] | None:
    """Return strides and dilation of a convolution; None when its padding or its order of axes is another."""
    if operation.data_format not in (None, "channels_last") or operation.padding not in ("valid", "same"):
        return None
    return {"strides": operation.strides, "padding": operation.padding, "dilation_rate": operation.dilation_rate}


def _conv(operation: Any, node: Any) -> Steps | None:
    kernel, settings, channels = _kernel(node), _window(operation), _shape(node)[-1]
    if kernel is None or settings is None or channels is None:
        return None
    layer = getattr(env.keras().layers, f"Conv{kernel.ndim - 2}D")
    groups = int(channels) // kernel.shape[-2]
    made = layer(kernel.shape[-1], kernel.shape[:-2], groups=groups, use_bias=False, **settings)
    return [Step(made, (kernel,))]


def _extract_patches(operation: Any, node: Any) -> Steps | None:
    """Return a convolution whose kernel copies: its channels are the patch by row, column and channel."""
    channels, size = _shape(node)[-1], operation.size
    size = (size, size) if isinstance(size, int) else tuple(size)
    dilation = operation.dilation_rate
    fits = len(_shape(node)) == 4 and len(size) == 2 and channels is not None
    if not fits or operation.data_format not in (None, "channels_last") or operation.padding not in ("valid", "same"):
        return None
    count = size[0] * size[1] * int(channels)
    kernel = np.eye(count, dtype=np.float32).reshape(*size, int(channels), count)
    strides = size if operation.strides is None else operation.strides
    made = env.keras().layers.Conv2D(
        count, size, strides=strides, padding=operation.padding, dilation_rate=dilation or 1, use_bias=False
    )
    return [Step(made, (kernel,))]


def _depthwise_conv(operation: Any, node: Any) -> Steps | None:
    kernel, settings = _kernel(node), _window(operation)
    if kernel is None or settings is None or kernel.ndim != 4:
        return None
    layer = env.keras().layers.DepthwiseConv2D
    made = layer(kernel.shape[:2], depth_multiplier=kernel.shape[-1], use_bias=False, **settings)
    return [Step(made, (kernel,))]


def _conv_transpose(operation: Any, node: Any) -> Steps | None:
    kernel, settings = _kernel(node), _window(operation)
    if kernel is None or settings is None or kernel.ndim != 4 or operation.output_padding is not None:
        return None
    made = env.keras().layers.Conv2DTranspose(kernel.shape[2], kernel.shape[:2], use_bias=False, **settings)
    return [Step(made, (kernel,))]


def _pool(layer: str) -> Callable[[Any, Any], Steps | None]:
    def make(operation: Any, node: Any) -> Steps | None:
        if len(_shape(node)) != 4 or operation.data_format not in (None, "channels_last"):
            return None
        names = ("pool_size", "strides", "padding")
        return [Step(getattr(env.keras().layers, layer)(**{name: getattr(operation, name) for name in names}))]

    return make


def _resize(operation: Any, node: Any) -> Steps | None:
    names = ("interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "data_format")
    given = {name: getattr(operation, name) for name in names if hasattr(operation, name)}
    if keras3_resize.is_product(_shape(node), given):
        made = keras3_resize.layers_of(_shape(node), tuple(node.outputs[0].shape)[1:3], given)
        return [Step(layer, tuple(weights)) for layer, weights in made]
    before, after = _shape(node)[1:3], tuple(node.outputs[0].shape)[1:3]
    options = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
    plain = len(_shape(node)) == 4 and operation.interpolation in ("nearest", "bilinear")
    plain = plain and operation.data_format in (None, "channels_last") and None not in before
    if not plain or any(getattr(operation, name, False) for name in options):
        return None
    if any(new % old for old, new in zip(before, after, strict=True)):
        return None
    factors = tuple(new // old for old, new in zip(before, after, strict=True))
    return [Step(env.keras().layers.UpSampling2D(factors, interpolation=operation.interpolation))]


_MAKERS: dict[str, Callable[[Any, Any], Steps | None]] = {
    "Amax": _over_the_map("GlobalMaxPooling2D"),
    "AveragePool": _pool("AveragePooling2D"),
    "Cast": _cast,
    "Celu": _celu,
    "Clip": _clip,
    "Concatenate": _concatenate,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthwiseConv": _depthwise_conv,
    "Einsum": _einsum,
    "Elu": _elu,
    "ExpandDims": _same_batch,
    "ExtractPatches": _extract_patches,
    "Gelu": _gelu,
    "LeakyRelu": lambda operation, node: [Step(env.keras().layers.LeakyReLU(operation.negative_slope))],
    "Matmul": _matmul,
    "Max": _over_the_map("GlobalMaxPooling2D"),
    "MaxPool": _pool("MaxPooling2D"),
    "Mean": _over_the_map("GlobalAveragePooling2D"),
    "Pad": _pad,
    "ReLU": _relu,
    "Relu6": lambda operation, node: [Step(env.keras().layers.ReLU(6.0))],
    "Reshape": _same_batch,
    "Resize": _resize,
    "Softmax": _softmax,
    "Squeeze": _same_batch,
    "StopGradient": _nothing,
    "Transpose": _transpose,
}


def _expect(condition: bool, reason: str) -> None:
    if not condition:
        raise UnsupportedModelError(reason)
