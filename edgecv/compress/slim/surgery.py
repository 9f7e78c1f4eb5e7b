"""Taking channels out of a network: its layer graph with smaller layers and the weights that are left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Array, Call, LayerGraph
from edgecv.compress.slim.channels import Dependencies

_Slice = Callable[[Call, Array, Array], list[Array]]


def without(known: Dependencies, removed: Array) -> LayerGraph:
    """Return the graph of a network without some components.

    Args:
        known: The network.
        removed: Per component, whether it goes; none that must stay.
    """
    layers: dict[str, Any] = {}
    calls = [_smaller(call, known, ~removed, layers) for call in known.graph.calls]
    return replace(known.graph, calls=calls)


def _smaller(call: Call, known: Dependencies, stays: Array, layers: dict[str, Any]) -> Call:
    kept_in = stays[known.tensors[call.inputs[0]]] if call.inputs else np.ones(1, bool)
    kept_out = stays[known.tensors[call.output]]
    if call.name not in layers:
        changed = _config(call, int(kept_out.sum()))
        fresh = type(call.layer).from_config(call.layer.get_config() | changed)
        fresh._name = call.name
        layers[call.name] = fresh
    cut = _SLICES.get(call.kind)
    weights = cut(call, kept_in, kept_out) if cut and not (kept_in.all() and kept_out.all()) else call.weights
    shape = (*call.shape[:-1], int(kept_out.sum())) if call.shape else call.shape
    return replace(call, layer=layers[call.name], weights=weights, inputs=list(call.inputs), shape=shape)


def _config(call: Call, width: int) -> dict[str, Any]:
    """Return what changes in a layer's configuration when it gives `width` channels."""
    config = call.layer.get_config()
    if call.kind == "Reshape":
        target = tuple(config["target_shape"])
        return {"target_shape": target if target[-1] == -1 else (*target[:-1], width)}
    named = next((key for key in ("filters", "units") if key in config), None)
    return {named: width} if named and call.kind in _SLICES else {}


def _kernel(call: Call, kept_in: Array, kept_out: Array) -> list[Array]:
    kernel, *bias = call.weights
    return [kernel[..., kept_in, :][..., kept_out], *(one[kept_out] for one in bias)]


def _transposed(call: Call, kept_in: Array, kept_out: Array) -> list[Array]:
    kernel, *bias = call.weights
    return [kernel[..., kept_out, :][..., kept_in], *(one[kept_out] for one in bias)]


def _separable(call: Call, kept_in: Array, kept_out: Array) -> list[Array]:
    depthwise, pointwise, *bias = call.weights
    inner = np.repeat(kept_in, depthwise.shape[-1])
    return [depthwise[..., kept_in, :], pointwise[..., inner, :][..., kept_out], *(one[kept_out] for one in bias)]


def _depthwise(call: Call, kept_in: Array, kept_out: Array) -> list[Array]:
    kernel, *bias = call.weights
    return [kernel[:, :, kept_in, :], *(one[kept_out] for one in bias)]


def _per_channel(call: Call, kept_in: Array, kept_out: Array) -> list[Array]:
    # A PReLU that shares its slope over the channels has one value there.
    return [one[..., kept_out] if one.shape[-1] == len(kept_out) else one for one in call.weights]


_SLICES: dict[str, _Slice] = {
    "BatchNormalization": _per_channel,
    "ChannelScale": _per_channel,
    "Conv1D": _kernel,
    "Conv2D": _kernel,
    "Conv2DTranspose": _transposed,
    "Conv3D": _kernel,
    "Dense": _kernel,
    "DepthwiseConv2D": _depthwise,
    "PReLU": _per_channel,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
}
