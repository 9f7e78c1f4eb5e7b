"""Cross-layer equalisation: channels between two layers are rescaled so that both layers' ranges are used evenly.

For y = B f(A x) with f(s v) = s f(v), row i of A and its bias divided by s_i and column i of B multiplied by it give
the same answers; s_i = sqrt(r_A r_B) / r_B makes the two ranges of channel i equal.

What is kept safe:
- a pair is two layers with nothing but positively homogeneous layers between them, each read by nobody else; a residual
  addition, a concatenation and an output end the chain;
- ReLU6 clips at 6 after scaling too: its channels are scaled only as far as none of the calibration samples reaches 6,
  and one that does is left alone;
- no tensor's range grows: a channel may be raised to the largest of its tensor, not beyond, so that weights do not gain
  at the activations' cost.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Call, LayerGraph, build, read
from edgecv.compress.weight_grid import Array, solvable
from edgecv.core.progress import QUIET, Reporter
from edgecv.modelio.env import keras

TRANSPARENT = frozenset(
    {"MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D", "Cropping2D"}
    | {"BilinearResize", "Dropout", "SpatialDropout2D", "UpSampling2D", "Flatten", "LeakyReLU"}
)
"""Layers through which a positive factor per channel passes."""

ROUNDS = 20
SETTLED = 1e-3
BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two layers between which channels can be rescaled.

    Attributes:
        first: Gives the channels.
        second: Takes them.
        clip: Where a ReLU between them clips; None: nowhere.
        repeats: Inputs of `second` per channel, channels fastest: more than 1 for a dense layer behind Flatten.
    """

    first: str
    second: str
    clip: float | None
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Equalised:
    """A model with other weights and the same answers.

    Attributes:
        model: A new keras model.
        pairs: What was rescaled.
        spread_before: Mean over the pairs of the first layer's largest channel range over its median one.
        spread_after: Likewise, afterwards; None without pairs.
    """

    model: Any
    pairs: tuple[Pair, ...]
    spread_before: float | None
    spread_after: float | None


def equalise(model: Any, inputs: Array, *, reporter: Reporter = QUIET) -> Equalised:
    """Return the model with its channel ranges equalised between neighbouring layers.

    Args:
        model: A canonical float model.
        inputs: Calibration samples, preprocessed, float32 (samples, …): they say how far a channel may be raised.
        reporter: Told how many pairs there are.

    Raises:
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
    """
    graph = read(model)
    pairs = find_pairs(graph)
    reporter.info(f"equalise: {len(pairs)} pairs of layers")
    calls = {call.name: call for call in graph.calls}
    peaks = _peaks(model, [pair.first for pair in pairs], inputs)
    before = _spread(pairs, calls)
    for _ in range(ROUNDS):
        moved = 0.0
        for pair in pairs:
            scale = _scale(pair, calls, peaks[pair.first])
            rescale(pair, calls, scale)
            peaks[pair.first] = peaks[pair.first] / scale
            moved = max(moved, float(np.abs(np.log(scale)).max()))
        if moved < SETTLED:
            break
    return Equalised(model=build(graph), pairs=pairs, spread_before=before, spread_after=_spread(pairs, calls))


def find_pairs(graph: LayerGraph) -> tuple[Pair, ...]:
    """Return the pairs of a graph in the order of execution."""
    found = (_pair(graph, call) for call in graph.calls if solvable(call, graph.shared))
    return tuple(pair for pair in found if pair is not None)


def _pair(graph: LayerGraph, first: Call) -> Pair | None:
    consumers, clip, repeats, here = graph.consumers(), None, 1, first
    if first.layer.get_config()["activation"] not in ("linear", "relu"):
        return None
    while True:
        users = consumers.get(here.output, [])
        if len(users) != 1 or here.output in graph.outputs or users[0].name in graph.shared:
            return None
        before, here = here, users[0]
        if solvable(here, graph.shared):
            return Pair(first=first.name, second=here.name, clip=clip, repeats=repeats)
        if here.kind == "Flatten":
            repeats *= int(np.prod(before.shape[:-1]))
        elif here.kind == "ReLU" and _plain_relu(here):
            clip = here.layer.get_config()["max_value"] or clip
        elif here.kind not in TRANSPARENT and not _relu_activation(here):
            return None


def _plain_relu(call: Call) -> bool:
    config = call.layer.get_config()
    return not config.get("threshold") and not config.get("negative_slope")


def _relu_activation(call: Call) -> bool:
    return call.kind == "Activation" and call.layer.get_config()["activation"] in ("relu", "linear")


def _peaks(model: Any, names: list[str], inputs: Array) -> dict[str, Array]:
    """Return the largest magnitude of every channel of some layers' outputs."""
    if not names:
        return {}
    taps = keras().Model(model.inputs, [model.get_layer(name).output for name in names])
    found: dict[str, Array] = {}
    for start in range(0, len(inputs), BATCH):
        outputs = taps(inputs[start : start + BATCH], training=False)
        for name, output in zip(names, outputs if len(names) > 1 else [outputs], strict=True):
            values = np.asarray(output)
            peak = np.abs(values).max(axis=tuple(range(values.ndim - 1))).astype(np.float64)
            found[name] = np.maximum(found.get(name, 0.0), peak)
    return found


def _scale(pair: Pair, calls: dict[str, Call], peak: Array) -> Array:
    """Return what each channel of the first layer is divided by, float64."""
    first, second = _output_ranges(calls[pair.first]), _input_ranges(calls[pair.second], pair.repeats)
    usable = (first > 0) & (second > 0) & (peak > 0)
    wanted = np.sqrt(np.where(usable, first, 1.0) / np.where(usable, second, 1.0))
    least = peak / peak.max() if peak.max() > 0 else np.ones_like(peak)
    if pair.clip is not None:
        least = np.maximum(least, peak / pair.clip)
        usable &= peak < pair.clip
    return np.where(usable, np.maximum(wanted, least), 1.0)


def _output_ranges(call: Call) -> Array:
    kernel = np.abs(call.weights[0]).astype(np.float64)
    if call.kind == "DepthwiseConv2D":
        return np.asarray(kernel.max(axis=(0, 1)).reshape(-1))
    return np.asarray(kernel.max(axis=tuple(range(kernel.ndim - 1))))


def _input_ranges(call: Call, repeats: int) -> Array:
    kernel = np.abs(call.weights[0]).astype(np.float64)
    if call.kind == "Dense":
        return np.asarray(kernel.reshape(repeats, -1, kernel.shape[1]).max(axis=(0, 2)))
    return np.asarray(kernel.max(axis=(0, 1, 3)))


def rescale(pair: Pair, calls: dict[str, Call], scale: Array) -> None:
    """Divide the channels that the first layer gives by `scale`, and make the second take them as before."""
    first, second = calls[pair.first], calls[pair.second]
    kernel, *bias = first.weights
    divisor = scale.reshape(kernel.shape[2:]) if first.kind == "DepthwiseConv2D" else scale
    first.weights = [_float(kernel / divisor), *(_float(b / scale) for b in bias)]
    kernel, *bias = second.weights
    factor = np.tile(scale, pair.repeats)[:, None] if second.kind == "Dense" else scale[:, None]
    second.weights = [_float(kernel * factor), *bias]


def _float(values: Array) -> Array:
    return np.asarray(values, np.float32)


def _spread(pairs: tuple[Pair, ...], calls: dict[str, Call]) -> float | None:
    if not pairs:
        return None
    ranges = [_output_ranges(calls[pair.first]) for pair in pairs]
    return float(np.mean([r.max() / max(float(np.median(r)), 1e-30) for r in ranges]))
