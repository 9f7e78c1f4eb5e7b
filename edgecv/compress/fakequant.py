"""From a float model to the fake-quantised one that QAT trains: rewriting, annotating, and first ranges.

Only tfmot's own configurations end up in the model, so a saved one loads wherever tfmot is installed.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterable, Iterator

import numpy as np

from edgecv.compress.cloning import clone, copy_layer
from edgecv.compress.names import QUANT_PREFIX
from edgecv.errors import UnsupportedModelError
from edgecv.modelio.env import keras, tfmot

# What tfmot's QuantizeAwareActivation and its config for Activation layers take (0.8.1).
_FUSED_ACTIVATIONS = frozenset({"linear", "relu", "swish", "gelu", "softmax", "sigmoid", "tanh"})
_ACTIVATION_LAYERS = _FUSED_ACTIVATIONS | {"relu6"}
_CONFIGS = "tensorflow_model_optimization.python.core.quantization.keras.default_8bit"


def annotated(model: Any) -> tuple[Any, tuple[str, ...]]:
    """Return `model` with tfmot's fake quantisers, and the names of the layers that got none.

    Layers without quantisers compute in float while training; the converter gives them ranges from the
    representative data set, as in post-training quantisation.

    Args:
        model: Functional or sequential tf_keras model; not changed.

    Raises:
        UnsupportedModelError: tfmot refuses the graph; chained from its error.
    """
    skipped: list[str] = []
    quantization = tfmot().quantization.keras

    def replace(layer: Any) -> Any:
        fresh = copy_layer(layer)
        if not _supported(layer):
            skipped.append(layer.name)
            return fresh
        return quantization.quantize_annotate_layer(fresh, quantize_config=_config(layer))

    notes = clone(model, replace)
    notes.set_weights(model.get_weights())
    with quantization.quantize_scope(), _refusals(model):
        return quantization.quantize_apply(notes), tuple(skipped)


def set_ranges(quantised: Any, source: Any, batches: Iterable[Any]) -> None:
    """Start the activation ranges of `quantised` at what `source` computes on `batches`.

    tfmot starts at -6..6 and moves by 0.1 % a step, so that a run of some hundred steps would end near -6..6 whatever
    the values are. The start is the mean of the batches' extremes, which is where the moving average tends to.

    Args:
        quantised: From `annotated`; its range variables are assigned.
        source: The float model that went in.
        batches: Inputs, float32 (n, H, W, C) each; at least one.
    """
    ranges = list(_range_variables(quantised, source))
    if not ranges:
        return
    taps = keras().Model(source.inputs, [tap for tap, _, _ in ranges])
    extremes = [_extremes(taps(inputs, training=False)) for inputs in batches]
    means = np.mean(extremes, axis=0)
    for (_, low, high), (smallest, largest) in zip(ranges, means, strict=True):
        low.assign(min(float(smallest), 0.0))
        high.assign(max(float(largest), 0.0))


def _supported(layer: Any) -> bool:
    registry = _module("default_8bit_quantize_registry").Default8BitQuantizeRegistry()
    if not registry.supports(layer):
        return False
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    known = _ACTIVATION_LAYERS if type(layer).__name__ == "Activation" else _FUSED_ACTIVATIONS
    return activation in known


def _config(layer: Any) -> Any:
    """Return the layer's own configuration, or None for tfmot's default.

    An average pool keeps the scale of its input in TFLite; tfmot's output range would add a QUANTIZE before it.
    """
    if type(layer).__name__ == "AveragePooling2D":
        return _module("default_8bit_quantize_configs").NoOpQuantizeConfig()
    return None


def _module(name: str) -> Any:
    from edgecv.optional import require

    tfmot()
    return require(f"{_CONFIGS}.{name}", why="to train with quantisation")


@contextlib.contextmanager
def _refusals(model: Any) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise UnsupportedModelError(
            f"quantisation-aware training cannot take model '{model.name}': {str(error).splitlines()[0]}",
            hint="use post-training quantisation (--method ptq) for this model",
        ) from error


def _range_variables(quantised: Any, source: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (symbolic tensor of `source`, min variable, max variable) for every activation range."""
    for layer in source.layers:
        wrapper = next((one for one in quantised.layers if one.name == QUANT_PREFIX + layer.name), None)
        variables = {v.name.split("/")[-1].removesuffix(":0"): v for v in wrapper.weights} if wrapper else {}
        for kind in ("pre_activation", "post_activation", "output"):
            if f"{kind}_min" in variables:
                tap = _before_activation(layer) if kind == "pre_activation" else layer.output
                yield tap, variables[f"{kind}_min"], variables[f"{kind}_max"]


def _before_activation(layer: Any) -> Any:
    config = layer.get_config()
    bare = type(layer).from_config(config | {"activation": "linear", "name": f"{layer.name}_before_activation"})
    output = bare(layer.input)
    bare.set_weights(layer.get_weights())
    return output


def _extremes(outputs: Any) -> list[tuple[float, float]]:
    tensors = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [(float(np.min(tensor)), float(np.max(tensor))) for tensor in tensors]
