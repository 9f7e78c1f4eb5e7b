"""Dead channels: output channels that give their bias and next to nothing else, made to give their bias alone.

Trained networks have some, whose normalisation kept a shift and no scale. An int8 file cannot hold such a channel as
it is: a bias is counted in steps of the input's scale times the weights', and with tiny weights these are more than 32
bits can hold. Converters enlarge the weights' scale until it fits, and integers chosen on the scale of the largest
weight are then not the file's. With weights of zero nothing is left to enlarge, and no answer changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.compress.canonical import KERNEL_KINDS, output_channels, scaled_kernel
from edgecv.compress.layer_graph import Call, LayerGraph, build, read
from edgecv.compress.side_by_side import called
from edgecv.compress.weight_grid import Array, largest
from edgecv.core.progress import QUIET, Reporter

SAMPLES = 32
NOTHING = 2.0**-10
"""A channel's signal is nothing when its deviation is below this share of its bias: a quarter of an int8 step, in a
tensor that reaches no further than that bias."""

MOST_STEPS = 2.0**26
"""Of a bias. Converters enlarge a scale from 2**30 on; the rest is for calibration recipes whose ranges are narrower
than what is seen here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """A model of the same answers without dead channels.

    Attributes:
        model: A new keras model; the one that was given when it has none.
        channels: How many channels were dead, by layer.
    """

    model: Any
    channels: dict[str, int]

    @property
    def facts(self) -> dict[str, int]:
        """For a manifest: how many channels, in how many layers; nothing when there are none."""
        found = {"dead_channels": sum(self.channels.values()), "dead_channel_layers": len(self.channels)}
        return found if self.channels else {}


def without_dead_channels(model: Any, inputs: Sequence[Array], *, reporter: Reporter = QUIET) -> Cleaned:
    """Return the model with weights of zero in its dead channels; what these gave on average goes into their bias.

    Args:
        model: In canonical form; it is not changed. Layers that are called more than once are left alone.
        inputs: For each of its inputs preprocessed samples, float32 (samples, …); the first 32 are looked at.
        reporter: Told how many there are.

    Raises:
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
    """
    graph, channels = read(model), {}
    tensors = {key: x[:SAMPLES] for (key, *_), x in zip(graph.inputs, inputs, strict=True)}
    last = {key: call for call in graph.calls for key in call.inputs}
    for call in graph.calls:
        taken = [tensors[key] for key in call.inputs]
        # Of the weights before: what is next to nothing cannot matter to the layers behind.
        tensors[call.output] = called(model.get_layer(call.name), call, taken)
        if _has_bias(call, graph):
            count = _clean(call, taken[0])
            channels.update({call.name: count} if count else {})
        for key in call.inputs:
            if last[key] is call:
                tensors.pop(key, None)
    if not channels:
        return Cleaned(model=model, channels={})
    count = sum(channels.values())
    reporter.info(
        f"{count} channels in {len(channels)} layers give their bias alone: their weights are zero in the file"
    )
    return Cleaned(model=build(graph), channels=channels)


def _has_bias(call: Call, graph: LayerGraph) -> bool:
    return call.kind in KERNEL_KINDS and len(call.weights) == 2 and call.name not in graph.shared


def _clean(call: Call, given: Any) -> int:
    """Give a layer's dead channels weights of zero, in place; return how many there are."""
    kernel, bias = call.weights
    peaks = output_channels(call.kind, np.abs(kernel)).max(axis=0)
    reach = max(float(np.max(given)), 0.0) - min(float(np.min(given)), 0.0)
    steps = peaks.astype(np.float64) * reach / (255 * largest(8))
    suspect = (peaks > 0) & (np.abs(bias) > MOST_STEPS * steps)
    if not suspect.any():
        return 0
    mean, deviation = _signal(call, given)
    dead = suspect & (deviation < NOTHING * np.abs(bias))
    call.weights = [
        scaled_kernel(call.kind, kernel, np.where(dead, np.float32(0), np.float32(1))),
        np.where(dead, bias + mean, bias).astype(np.float32),
    ]
    return int(np.count_nonzero(dead))


def _signal(call: Call, given: Any) -> tuple[Array, Array]:
    """Return mean and deviation of what each output channel gives without its bias, over samples and positions."""
    settings = call.layer.get_config() | {"use_bias": False, "activation": "linear"}
    layer = type(call.layer).from_config(settings)
    layer.build(given.shape)
    layer.set_weights(call.weights[:1])
    values = np.asarray(layer(given), np.float32)
    places = tuple(range(values.ndim - 1))
    return values.mean(axis=places, dtype=np.float64), values.std(axis=places, dtype=np.float64)
