"""Operations of `keras.ops` in a Keras 3 graph, as layers that can be saved, pruned and quantised.

Arithmetic with a constant becomes Rescaling, arithmetic of two tensors a merging layer; functions become activations.
An operation whose meaning no layer has is a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env

MERGES = {"Add": "Add", "Subtract": "Subtract", "Multiply": "Multiply", "Maximum": "Maximum", "Minimum": "Minimum"}
ACTIVATIONS = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign",
    "Silu": "swish", "Elu": "elu", "Selu": "selu",
}  # fmt: skip
OURS = {"HardSigmoid": "HardSigmoid", "HardSilu": "HardSwish", "HardSwish": "HardSwish"}


def is_operation(operation: Any) -> bool:
    """Say whether a node of a Keras 3 graph is a function of `keras.ops` instead of a layer."""
    return type(operation).__module__.startswith("keras.src.ops.")


def layer_of(node: Any) -> Any:
    """Return the tf_keras layer that does what a `keras.ops` node does.

    Args:
        node: Of a Keras 3 graph; its operation is a function.

    Raises:
        UnsupportedModelError: No layer does it; the message is a reason, without the operation's name.
    """
    kind = type(node.operation).__name__
    if kind in MERGES or kind in ("Divide", "TrueDivide"):
        return _arithmetic(node, kind)
    if kind in ACTIVATIONS:
        return env.keras().layers.Activation(ACTIVATIONS[kind])
    if kind in OURS:
        from edgecv.modelio import layers

        return getattr(layers, OURS[kind])()
    make = _MAKERS.get(kind)
    if make is None:
        raise UnsupportedModelError("is an operation that no layer stands for")
    return make(node.operation, node)


def _arithmetic(node: Any, kind: str) -> Any:
    if len(node.input_tensors) == 2:
        _expect(kind in MERGES, "divides one tensor by another")
        return getattr(env.keras().layers, MERGES[kind])()
    first, second = (*node.arguments.args, *node.arguments.kwargs.values())[:2]
    tensor_first = hasattr(first, "_keras_history")
    value = np.asarray(second if tensor_first else first, np.float32)
    channels = int(node.input_tensors[0].shape[-1])
    _expect(
        value.size == 1 or value.shape[-1:] == (channels,) == (value.size,), f"has a constant of shape {value.shape}"
    )
    number = float(value.reshape(-1)[0]) if value.size == 1 else value.reshape(-1).tolist()
    return _rescaling(kind, np.asarray(number), tensor_first)


def _rescaling(kind: str, value: Any, tensor_first: bool) -> Any:
    one, zero = np.ones_like(value), np.zeros_like(value)
    if kind == "Add":
        scale, offset = one, value
    elif kind == "Subtract":
        scale, offset = (one, -value) if tensor_first else (-one, value)
    elif kind == "Multiply":
        scale, offset = value, zero
    else:
        _expect(kind in ("Divide", "TrueDivide") and tensor_first, f"is {kind} with a constant")
        scale, offset = one / value, zero
    return env.keras().layers.Rescaling(scale.tolist(), offset.tolist())


def _mean(operation: Any, node: Any) -> Any:
    rank = len(node.input_tensors[0].shape)
    axis = operation.axis if isinstance(operation.axis, (list, tuple)) else (operation.axis,)
    spatial = tuple(sorted(int(a) % rank for a in axis if a is not None))
    _expect(rank == 4 and spatial == (1, 2), f"takes the mean over axes {operation.axis} of {rank}")
    return env.keras().layers.GlobalAveragePooling2D(keepdims=bool(operation.keepdims))


def _reshape(operation: Any, node: Any) -> Any:
    return env.keras().layers.Reshape(tuple(int(size) for size in node.outputs[0].shape[1:]))


def _transpose(operation: Any, node: Any) -> Any:
    axes = operation.axes
    _expect(axes is not None and axes[0] == 0, f"moves the batch: axes {axes}")
    return env.keras().layers.Permute(tuple(int(axis) for axis in axes[1:]))


def _concatenate(operation: Any, node: Any) -> Any:
    return env.keras().layers.Concatenate(axis=operation.axis)


def _pad(operation: Any, node: Any) -> Any:
    width = [tuple(int(n) for n in pair) for pair in operation.pad_width]
    fits = len(width) == 4 and width[0] == width[3] == (0, 0) and operation.mode == "constant"
    _expect(fits, f"pads {width} with mode {operation.mode}")
    return env.keras().layers.ZeroPadding2D((width[1], width[2]))


def _softmax(operation: Any, node: Any) -> Any:
    return env.keras().layers.Softmax(axis=operation.axis)


def _gelu(operation: Any, node: Any) -> Any:
    from edgecv.modelio import layers

    return layers.TanhGelu() if operation.approximate else env.keras().layers.Activation("gelu")


_MAKERS: dict[str, Callable[[Any, Any], Any]] = {
    "Mean": _mean,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Concatenate": _concatenate,
    "Pad": _pad,
    "Softmax": _softmax,
    "Relu6": lambda operation, node: env.keras().layers.ReLU(6.0),
    "LeakyRelu": lambda operation, node: env.keras().layers.LeakyReLU(operation.negative_slope),
    "Gelu": _gelu,
}


def _expect(condition: bool, reason: str) -> None:
    if not condition:
        raise UnsupportedModelError(reason)
