"""From a canonical float model to the fake-quantised one that QAT trains, and to the one that is converted.

Every tensor that is int8 in the file is rounded in training, and no other: what an integer kernel computes inside
(a convolution with its ReLU) or hands on unchanged (a pool, a reshape) has no rounding of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.compress.canonical import KERNEL_KINDS
from edgecv.compress.layer_graph import Call, LayerGraph, build, read
from edgecv.modelio.env import keras
from edgecv.modelio.functions import Role
from edgecv.modelio.layer_names import CALL_QUANTIZER, INPUT_QUANTIZER, QUANT_PREFIX
from edgecv.modelio.wrapped import scopes

# Operators of TFLite whose output has the input's scale.
SAME_SCALE = frozenset({
    "AveragePooling2D", "BilinearResize", "Cropping2D", "Dropout", "Flatten", "GlobalMaxPooling2D", "MaxPooling2D",
    "Permute", "Reshape", "SpatialDropout2D", "UpSampling2D", "ZeroPadding2D",
})  # fmt: skip
OWN_SCALE = frozenset({
    "Activation", "Add", "Average", "Concatenate", "ELU", "GlobalAveragePooling2D", "HardSwish", "LeakyReLU",
    "Maximum", "Minimum", "Multiply", "PReLU", "ReLU", "Softmax", "Subtract",
})  # fmt: skip
# Scales that TFLite prescribes: 1/256 from 0, and 1/128 about 0.
FIXED = {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
ACTIVATIONS = frozenset({*FIXED, "relu", "relu6", "linear", "elu", "gelu"})
# What a following ReLU becomes one operator with.
FUSES_RELU = (KERNEL_KINDS - {"Conv2DTranspose"}) | {"Add", "Subtract", "Multiply"}
TAP_BYTES = 512 * 2**20
"""Activations held at once while ranges are measured."""


def annotated(model: Any, *, input_ranges: Sequence[tuple[float, float] | None] = ()) -> tuple[Any, tuple[str, ...]]:
    """Return a canonical model with fake quantisers, and the names of the layers that got none.

    Layers without quantisers compute in float while training; conversion gives them ranges from the calibration data,
    as in post-training quantisation.

    Args:
        model: From `canonical`; not changed.
        input_ranges: Of each input of the model over all images, zero included; None, or nothing, follows the training
            data.

    Raises:
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
    """
    from edgecv.modelio import quantisers

    graph = read(model)
    unquantised = tuple(dict.fromkeys(call.name for call in graph.calls if not _known(call)))
    uses = _Uses(graph.consumers(), frozenset(graph.outputs))
    configs = _configs(graph, uses)

    def wrap(call: Call) -> Any:
        if call.name not in configs:
            return call.layer
        return quantisers.wrapped(call.layer, configs[call.name], name=QUANT_PREFIX + call.name)

    known = dict(enumerate(input_ranges))

    def at_input(index: int, tensor: Any) -> Any:
        name = INPUT_QUANTIZER + (f"_{index}" if index else "")
        return quantisers.input_quantiser(known.get(index), name=name)(tensor)

    def behind(call: Call, tensor: Any) -> Any:
        if call.name not in graph.shared or _output(call, uses) != "moving":
            return tensor
        return quantisers.input_quantiser(None, name=_behind(call.name, call.turn))(tensor)

    return build(graph, wrap=wrap, at_input=at_input, behind=behind), unquantised


def _behind(name: str, turn: int) -> str:
    """Return the name of what rounds the output of one call of a shared layer: each has a range of its own."""
    return f"{CALL_QUANTIZER}_{turn}_{name}"


def without_weight_rounding(model: Any) -> Any:
    """Return a fake-quantised model as the converter wants it: activations rounded, weights in float.

    The converter rounds weights itself, to the same scales: one per output channel, from its largest magnitude. Given
    rounded ones, it would not see that a depthwise kernel has a scale per channel.
    """
    from edgecv.modelio import quantisers

    if not any(isinstance(_config(layer), quantisers.LayerQuantisation) for layer in model.layers):
        return model  # not of our making: its rounding is the converter's business

    def replace(layer: Any) -> Any:
        config = _config(layer)
        if not isinstance(config, quantisers.LayerQuantisation):
            return type(layer).from_config(layer.get_config())
        inner = type(layer.layer).from_config(layer.layer.get_config())
        return quantisers.wrapped(inner, quantisers.without_weight_rounding(config), name=layer.name)

    with scopes():
        twin = keras().models.clone_model(model, clone_function=replace)
    for layer in model.layers:
        _hand_over(layer, twin.get_layer(layer.name))
    return twin


def _hand_over(layer: Any, other: Any) -> None:
    """Give a layer's weights to its copy: by position, or by name where one has no kernel to round and other order."""
    from edgecv.modelio.quantisers import LayerQuantisation

    if not isinstance(_config(layer), LayerQuantisation):
        other.set_weights(layer.get_weights())
        return
    values = {_short(weight): weight for weight in layer.weights}
    for weight in other.weights:
        weight.assign(values[_short(weight)])


def _config(layer: Any) -> Any:
    return getattr(layer, "quantize_config", None)


def _short(weight: Any) -> str:
    return str(weight.name.split("/")[-1])


def _known(call: Call) -> bool:
    if call.kind == "Activation":
        return _activation(call) in ACTIVATIONS
    if call.kind == "TensorFunction":  # of others the converter may have no integer form: calibration gives ranges
        return _has_same_scale(call)
    return call.kind in KERNEL_KINDS or call.kind in OWN_SCALE or call.kind in SAME_SCALE


def _lacks_kernel(call: Call) -> bool:
    """Say whether the converter leaves a layer in float for want of an int8 kernel."""
    return call.kind == "ELU" or (call.kind == "Activation" and _activation(call) == "elu")


def _has_same_scale(call: Call) -> bool:
    """Say whether what a layer gives has the scale of what it takes: it only moves values of one tensor."""
    if call.kind == "TensorFunction":
        return bool(call.layer.role is Role.MOVE and len(call.inputs) == 1)
    return call.kind in SAME_SCALE


def _is_identity(call: Call) -> bool:
    """Say whether a layer only names its input; the converter leaves it out."""
    return call.kind == "Activation" and _activation(call) == "linear"


def _activation(call: Call) -> str:
    function = getattr(call.layer, "activation", None)
    return str(getattr(function, "__name__", "linear"))


@dataclass(frozen=True, slots=True)
class _Uses:
    """Who takes each tensor of a graph."""

    consumers: dict[int, list[Call]]
    outputs: frozenset[int]

    def only(self, call: Call) -> Call | None:
        """Return the one call that takes an output, None when there are more or it leaves the model."""
        users = self.consumers.get(call.output, [])
        return users[0] if len(users) == 1 and call.output not in self.outputs else None


def _configs(graph: LayerGraph, uses: _Uses) -> dict[str, Any]:
    """Return what is rounded in each layer; those that nothing is rounded in are left out."""
    from edgecv.modelio.quantisers import LayerQuantisation

    found: dict[str, Any] = {}
    for call in graph.calls:
        output = _output(call, uses)
        if output == "moving" and call.name in graph.shared:
            output = "none"  # behind each call
        low, high = _fixed(call) or (0.0, 0.0)
        weights = call.kind in KERNEL_KINDS
        if weights or output != "none":
            found[call.name] = LayerQuantisation(call.kind, weights=weights, output=output, low=low, high=high)
    return found


def _output(call: Call, uses: _Uses) -> str:
    """Return how the output of a call is rounded: "fixed", "moving" or "none"."""
    if not _known(call) or _has_same_scale(call) or _is_identity(call):
        return "none"
    if _fixed(call):
        return "fixed"
    if _lacks_kernel(call) and any(_has_same_scale(user) for user in uses.consumers.get(call.output, ())):
        return "none"  # calibrated: the converter cannot carry a range from a float operator through a move
    return "none" if _next_one_rounds(call, uses) else "moving"


def _fixed(call: Call) -> tuple[float, float] | None:
    return FIXED.get("softmax" if call.kind == "Softmax" else _activation(call))


def _next_one_rounds(call: Call, uses: _Uses) -> bool:
    """Say whether an output becomes int8 only behind the next layer: fused with it, or in the scale that it sets."""
    after = uses.only(call)
    if after is None:
        return False
    if after.kind == "Concatenate":
        return True
    return call.kind in FUSES_RELU and _activation(call) == "linear" and _is_relu(after)


def _is_relu(call: Call) -> bool:
    if call.kind == "Activation":
        return _activation(call) in ("relu", "relu6")
    if call.kind != "ReLU":
        return False
    config = call.layer.get_config()
    return config["max_value"] in (None, 6.0) and not config["negative_slope"] and not config["threshold"]


def set_ranges(quantised: Any, source: Any, batches: Iterable[Any]) -> None:
    """Start the activation ranges of `quantised` at what `source` computes on `batches`.

    tfmot starts at -6..6 and moves by 0.1 % a step, so that a run of some hundred steps would end near -6..6 whatever
    the values are. The start is the mean of the batches' extremes, which is where the moving average tends to.

    Args:
        quantised: From `annotated`; its range variables are assigned.
        source: The canonical model that went in.
        batches: For each input of the model, float32 (n, …); at least one batch.
    """
    ranges = list(_range_variables(quantised, source))
    if not ranges:
        return
    taps = keras().Model(source.inputs, [tap for tap, _, _ in ranges])
    size = sum(int(np.prod(tuple(tap.shape)[1:])) for tap, _, _ in ranges) * 4
    extremes = [
        _extremes(taps(part[0] if len(part) == 1 else list(part), training=False))
        for batch in batches
        for part in _parts(batch, TAP_BYTES // size)
    ]
    means = np.mean(extremes, axis=0)
    for (_, low, high), (smallest, largest) in zip(ranges, means, strict=True):
        low.assign(min(float(smallest), 0.0))
        high.assign(max(float(largest), 0.0))


def _parts(batch: Any, count: int) -> Iterator[Any]:
    """Yield a batch in parts of at most `count` samples, one at least."""
    step = max(1, int(count))
    for start in range(0, len(batch[0]), step):
        yield tuple(array[start : start + step] for array in batch)


def _range_variables(quantised: Any, source: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (symbolic tensor of `source`, min variable, max variable) for every activation range."""
    wrappers = {layer.name: layer for layer in quantised.layers}
    for index, tensor in enumerate(source.inputs):
        yield from _pair(wrappers[INPUT_QUANTIZER + (f"_{index}" if index else "")], tensor)
    for layer in source.layers:
        wrapper = wrappers.get(QUANT_PREFIX + layer.name)
        if wrapper is not None:
            yield from _pair(wrapper, layer.get_output_at(0))
        for turn in range(len(layer._inbound_nodes)):
            wrapper = wrappers.get(_behind(layer.name, turn))
            if wrapper is not None:
                yield from _pair(wrapper, layer.get_output_at(turn))


def _pair(wrapper: Any, tensor: Any) -> Iterator[tuple[Any, Any, Any]]:
    variables = {_short(weight).removesuffix(":0"): weight for weight in wrapper.weights}
    low = next((name for name in variables if name.endswith("_min")), None)
    if low is not None:
        yield tensor, variables[low], variables[low.removesuffix("_min") + "_max"]


def _extremes(outputs: Any) -> list[tuple[float, float]]:
    tensors = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [(float(np.min(tensor)), float(np.max(tensor))) for tensor in tensors]
