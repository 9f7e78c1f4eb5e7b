"""What a model costs, from its layer graph alone: parameters, multiply-accumulates, activation memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgecv.core.errors import UnsupportedModelError

FLOAT_BYTES = 4
# Layers that hand their input's buffer on in inference.
VIEWS = frozenset(
    {"Flatten", "Reshape", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "InputLayer"}
)

# Weights of a layer that are multiplied once at each position.
KERNELS = {
    "Conv1D": ("kernel",),
    "Conv2D": ("kernel",),
    "Conv2DTranspose": ("kernel",),
    "Conv3D": ("kernel",),
    "Dense": ("kernel",),
    "DepthwiseConv2D": ("depthwise_kernel",),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """Cost of one inference with batch 1, as float32.

    Attributes:
        parameters: All weights, batch-normalisation statistics and fixed codes included.
        trainable: Those that training changes.
        macs: Multiply-accumulates of convolutions and dense layers; pooling, biases and activations are not counted.
        weight_bytes: Of all parameters.
        peak_activation_bytes: Largest sum of tensors that must exist at once, run layer by layer, with nothing
            computed in place: a lower bound for an interpreter's arena.
        peak_layer: The layer, the first of equals, while which runs they all exist; "outer/inner" in a nested model.
        depth: Convolutions and dense layers on the longest path from input to output.
    """

    parameters: int
    trainable: int
    macs: int
    weight_bytes: int
    peak_activation_bytes: int
    peak_layer: str
    depth: int


@dataclass(frozen=True, slots=True)
class _Step:
    """One call of one layer: tensors by key, with their sizes in elements."""

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def profile(model: Any) -> ModelProfile:
    """Return what `model` costs.

    Args:
        model: A tf_keras Sequential or functional model with static shapes besides the batch.

    Raises:
        UnsupportedModelError: It is not a graph of layers, or a shape is dynamic.
    """
    if not getattr(model, "_is_graph_network", False):
        raise UnsupportedModelError(
            f"model '{model.name}' is not a graph of layers", hint="build it with the functional API"
        )
    parameters = model.count_params()
    peak, where = _peak(model)
    return ModelProfile(
        parameters=parameters,
        trainable=sum(math.prod(w.shape) for w in model.trainable_weights),
        macs=_macs(model),
        weight_bytes=sum(math.prod(w.shape) * w.dtype.size for w in model.weights),
        peak_activation_bytes=peak * FLOAT_BYTES,
        peak_layer=where,
        depth=_depth(model),
    )


def layer_macs(layer: Any, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> int:
    """Return the multiply-accumulates of one call of a layer with batch 1; 0 for one that is not conv or dense."""
    if hasattr(layer, "macs"):
        return int(layer.macs(output_shape))
    kind, positions = type(layer).__name__, math.prod(output_shape[1:-1])
    if kind == "Conv2DTranspose":
        positions = math.prod(input_shape[1:-1])
    return positions * sum(int(math.prod(getattr(layer, weight).shape)) for weight in KERNELS.get(kind, ()))


def _steps(model: Any) -> Iterator[_Step]:
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            inputs, outputs = _flat(node.keras_inputs), _flat(node.outputs)
            yield _Step(
                layer=node.layer,
                inputs=tuple(id(t) for t in inputs),
                outputs=tuple(id(t) for t in outputs),
                input_shape=_shape(inputs[0], node.layer) if inputs else (),
                output_shape=_shape(outputs[0], node.layer),
            )


def _flat(tensors: Any) -> list[Any]:
    if isinstance(tensors, dict):
        return [t for value in tensors.values() for t in _flat(value)]
    return [t for value in tensors for t in _flat(value)] if isinstance(tensors, (list, tuple)) else [tensors]


def _shape(tensor: Any, layer: Any) -> tuple[int, ...]:
    shape = (1, *tuple(tensor.shape)[1:])
    if any(size is None for size in shape):
        raise UnsupportedModelError(
            f"layer '{layer.name}' has the dynamic shape {tuple(tensor.shape)}",
            hint="give the model a fixed input size",
        )
    return shape


def _macs(model: Any) -> int:
    return sum(
        _macs(step.layer)
        if hasattr(step.layer, "_nodes_by_depth")
        else layer_macs(step.layer, step.input_shape, step.output_shape)
        for step in _steps(model)
    )


def _depth(model: Any) -> int:
    reached: dict[int, int] = {}
    for step in _steps(model):
        below = max((reached[t] for t in step.inputs), default=0)
        if hasattr(step.layer, "_nodes_by_depth"):
            own = _depth(step.layer)
        else:
            own = int(layer_macs(step.layer, step.input_shape, step.output_shape) > 0)
        reached.update(dict.fromkeys(step.outputs, below + own))
    return max(reached.values())


def _peak(model: Any) -> tuple[int, str]:
    """Return the largest number of live elements over the steps, and at which layer; views share a buffer."""
    steps = list(_steps(model))
    buffers: dict[int, int] = {}
    sizes: dict[int, int] = {}
    last_use: dict[int, int] = {}
    inner = [(0, "")] * len(steps)
    for index, step in enumerate(steps):
        for key in step.outputs:
            view = type(step.layer).__name__ in VIEWS and step.inputs
            buffers[key] = buffers[step.inputs[0]] if view else key
            sizes.setdefault(buffers[key], math.prod(step.output_shape))
        for key in (*step.inputs, *step.outputs):
            last_use[buffers[key]] = index
        if hasattr(step.layer, "_nodes_by_depth"):
            elements, where = _peak(step.layer)
            inner[index] = max(0, elements - math.prod(step.input_shape)), f"/{where}"
    for key in (id(t) for t in _flat(model.outputs)):
        last_use[buffers[key]] = len(steps)
    return _largest(steps, buffers, sizes, last_use, inner)


def _largest(
    steps: list[_Step],
    buffers: dict[int, int],
    sizes: dict[int, int],
    last_use: dict[int, int],
    inner: list[tuple[int, str]],
) -> tuple[int, str]:
    live: set[int] = set()
    peak, where = 0, ""
    for index, step in enumerate(steps):
        live |= {buffers[key] for key in step.outputs}
        elements, below = inner[index]
        total = sum(sizes[key] for key in live) + elements
        if total > peak:
            peak, where = total, f"{step.layer.name}{below}"
        live = {key for key in live if last_use[key] > index}
    return peak, where
