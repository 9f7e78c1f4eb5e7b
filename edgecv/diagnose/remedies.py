"""What can be done about a layer that rounds badly, each as an edit of the float file, so that it can be tried.

- clip_outliers: the range with the least squared error instead of the full one (`calibration = "mse"`);
- per_channel: one weight scale per output channel (`granularity = "per_channel"`), where the file has one per tensor;
- equalise: weights and outputs with a scale per channel, which is what cross-layer equalisation can reach at best by
  moving factors into the next layer (Nagel et al. 2019, arXiv 1906.04721, section 4.1). Only where the layer's
  activation lets factors through: none or ReLU;
- int16: the output with 16 bits, as a 16x8 or mixed file has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from edgecv.calibration.clipping import mse_range
from edgecv.calibration.histogram import StreamingHistogram
from edgecv.convert.tflite import float_pass
from edgecv.diagnose.quantised_layers import CHANNEL_AXIS, QuantisedLayer
from edgecv.diagnose.rounding import Edit, Rounding, affine
from edgecv.graphs import Graph, constant

Array = np.ndarray[Any, Any]
Place = tuple[int, int]

MEANING: Mapping[str, str] = MappingProxyType(
    {
        "clip_outliers": "calibrate its output with the mse or percentile recipe",
        "per_channel": "give its weights a scale per channel",
        "equalise": "equalise its channels with the next layer's",
        "int16": "give its output 16 bits",
        "keep_float": "leave it in float",
    }
)
_LETS_FACTORS_THROUGH = ("NONE", "RELU")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What samples showed of one float activation.

    Attributes:
        histogram: Of all its values.
        low: Smallest value of each channel (last axis), with zero, (channels,).
        high: Largest value of each channel, with zero, (channels,).
    """

    histogram: StreamingHistogram
    low: Array
    high: Array


def observe(data: bytes, inputs: Sequence[Sequence[Array]], tensors: Sequence[int]) -> dict[int, Seen]:
    """Run the float file and return what some of its activations look like, by tensor index."""
    found: dict[int, Seen] = {}
    for row in float_pass.look(data, inputs, tensors, lambda index, values: _seen(values)):
        for index, new in zip(tensors, row, strict=True):
            found[index] = _merged(found[index], new) if index in found else new
    return found


def _seen(values: Array) -> Seen:
    histogram = StreamingHistogram()
    histogram.add(values)
    rows = values.reshape(-1, values.shape[-1] if values.ndim else 1).astype(np.float64)
    return Seen(histogram=histogram, low=np.minimum(rows.min(axis=0), 0), high=np.maximum(rows.max(axis=0), 0))


def _merged(first: Seen, second: Seen) -> Seen:
    first.histogram.merge(second.histogram)
    return Seen(
        histogram=first.histogram,
        low=np.minimum(first.low, second.low),
        high=np.maximum(first.high, second.high),
    )


def remedies(layer: QuantisedLayer, graph: Graph, seen: Mapping[int, Seen]) -> Iterator[tuple[str, Edit]]:
    """Yield the remedies that exist for a layer, cheapest first, each with the edit that rounds the layer so.

    Args:
        layer: With the edit that rounds it as the int8 file does.
        graph: Of the float file.
        seen: What its outputs look like, by tensor index.
    """
    constants, outputs = dict(layer.edit.constants), layer.edit.outputs
    finer = {place: _per_channel(graph, place) for place in layer.weights}
    if outputs:
        yield "clip_outliers", Edit(constants=constants, outputs={i: _clipped(seen[i]) for i in outputs})
    if any(scales.size == 1 for scales in layer.weights.values()):
        yield "per_channel", Edit(constants=constants | finer, outputs=outputs)
    if layer.weights and _lets_factors_through(layer, graph):
        yield "equalise", Edit(constants=constants | finer, outputs={i: _by_channel(seen[i]) for i in outputs})
    if outputs:
        yield "int16", Edit(constants=constants, outputs={i: _sixteen(seen[i]) for i in outputs})


def _lets_factors_through(layer: QuantisedLayer, graph: Graph) -> bool:
    ops = [graph.ops[index] for index in layer.float_ops]
    kinds = {op.op for op in ops} - set(CHANNEL_AXIS) - {"RELU", "RESHAPE"}
    return not kinds and all(op.options.get("fused_activation_function", "NONE") in _LETS_FACTORS_THROUGH for op in ops)


def _per_channel(graph: Graph, place: Place) -> Array:
    """Return float weights rounded to 8 bits with a symmetric scale per output channel."""
    op = graph.ops[place[0]]
    weights = constant(graph, op.inputs[place[1]]).astype(np.float64)
    axes = tuple(axis for axis in range(weights.ndim) if axis != CHANNEL_AXIS[op.op])
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    scale = np.where(largest > 0, largest, 1.0) / 127
    finer: Array = np.round(weights / scale) * scale
    return finer.astype(np.float32)


def _clipped(seen: Seen) -> Rounding:
    low, high = mse_range(seen.histogram)
    return _between(np.array([min(low, 0.0)]), np.array([max(high, 0.0)]))


def _by_channel(seen: Seen) -> Rounding:
    return _between(seen.low, seen.high)


def _between(low: Array, high: Array) -> Rounding:
    """Return 256 values from low to high, of which zero is one, for each channel; a channel of zeros stays zero."""
    scale = np.where(high > low, high - low, 1.0) / 255
    zero_point = np.round(-128 - low / scale)
    return Rounding(scale=scale, low=-128 - zero_point, high=127 - zero_point)


def _sixteen(seen: Seen) -> Rounding:
    largest = max(float(seen.high.max()), -float(seen.low.min())) or 1.0
    return affine(largest / 32767, 0, low=-32768, high=32767)
