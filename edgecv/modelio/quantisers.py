"""Fake quantisers that round exactly as an int8 .tflite does, under tfmot's wrapper, registered for saving.

Importing this module imports tensorflow: do it inside functions. It lives beside the file readers because a file with a
fake-quantised model must load without the code that trained it.
"""

from __future__ import annotations

from typing import Any

from edgecv.core.optional import require
from edgecv.modelio import env

tf, keras = env.tensorflow(), env.keras()
_quantization = env.tfmot().quantization.keras
_quantizers = _quantization.quantizers
_wrapper = require(
    "tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper", why="to train with quantisation"
)
_layer = require(
    "tensorflow_model_optimization.python.core.quantization.keras.quantize_layer", why="to train with quantisation"
)
register = keras.saving.register_keras_serializable(package="edgecv")

# The weight that is quantised, by layer class.
KERNELS = {
    "Conv1D": "kernel",
    "Conv2D": "kernel",
    "Conv2DTranspose": "kernel",
    "Dense": "kernel",
    "DepthwiseConv2D": "depthwise_kernel",
}


@register
class ChannelWeights(_quantizers.Quantizer):  # type: ignore[misc, name-defined]
    """Symmetric int8 weights in -127..127, one scale per output channel: that of its largest magnitude.

    The range follows the weights in every step, so nothing is stored and nothing can be stale.
    Source: TensorFlow Lite 8-bit quantization specification.

    Args:
        kind: Class of the layer, which says which axes of its kernel are channels.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        if self.kind == "Conv2DTranspose":  # (h, w, out, in)
            return tf.transpose(_per_channel(tf.transpose(inputs, (0, 1, 3, 2))), (0, 1, 3, 2))
        if self.kind == "DepthwiseConv2D":  # (h, w, in, multiplier): both last axes together are the output
            shape = tf.shape(inputs)
            return tf.reshape(_per_channel(tf.reshape(inputs, (shape[0], shape[1], -1))), shape)
        return _per_channel(inputs)

    def get_config(self) -> dict[str, Any]:
        return {"kind": self.kind}


def _per_channel(kernel: Any) -> Any:
    """Round a kernel whose last axis is the output channel."""
    axes = list(range(len(kernel.shape) - 1))
    # A channel of zeros has no range; any will do.
    bound = tf.maximum(tf.stop_gradient(tf.reduce_max(tf.abs(kernel), axis=axes)), 1e-8)
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -bound, bound, narrow_range=True)


@register
class FixedRange(_quantizers.Quantizer):  # type: ignore[misc, name-defined]
    """int8 activations with a range that is known: of an operator with a prescribed scale, or of the model's input."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        return tf.quantization.fake_quant_with_min_max_args(inputs, self.low, self.high)

    def get_config(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}


@register
class LayerQuantisation(_quantization.QuantizeConfig):  # type: ignore[misc, name-defined]
    """What is rounded in one layer.

    Args:
        kind: Class of the layer.
        weights: Whether its kernel is.
        output: "moving" (range followed by a moving average), "fixed" (`low` to `high`), or "none": the next layer
            says, because both become one operator or share a scale.
    """

    def __init__(
        self, kind: str, *, weights: bool = False, output: str = "moving", low: float = 0.0, high: float = 0.0
    ) -> None:
        self.kind, self.weights, self.output, self.low, self.high = kind, weights, output, low, high

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        return [(getattr(layer, KERNELS[self.kind]), ChannelWeights(self.kind))] if self.weights else []

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
        if quantize_weights:
            setattr(layer, KERNELS[self.kind], quantize_weights[0])

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        return

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        if self.output == "none":
            return []
        if self.output == "fixed":
            return [FixedRange(self.low, self.high)]
        return [_moving_average()]

    def get_config(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "weights": self.weights,
            "output": self.output,
            "low": self.low,
            "high": self.high,
        }


def _moving_average() -> Any:
    return _quantizers.MovingAverageQuantizer(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)


def wrapped(layer: Any, config: LayerQuantisation, *, name: str) -> Any:
    """Return an unbuilt layer under tfmot's wrapper."""
    return _wrapper.QuantizeWrapperV2(layer, config, name=name)


def input_quantiser(known: tuple[float, float] | None, *, name: str) -> Any:
    """Return the layer that rounds the model's input: to a known range, or to one that a moving average follows."""
    return _layer.QuantizeLayer(FixedRange(*known) if known else _moving_average(), name=name)


def without_weight_rounding(config: LayerQuantisation) -> LayerQuantisation:
    """Return the same configuration for a copy of the layer that keeps its weights in float."""
    return LayerQuantisation(**(config.get_config() | {"weights": False}))
