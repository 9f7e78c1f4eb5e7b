"""The tf_keras counterparts of Keras 3 layers whose meaning is the same in both, with every setting accounted for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env, keras3_resize

Array = np.ndarray[Any, Any]
SAME = frozenset({
    "Activation", "Add", "AlphaDropout", "Average", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "BatchNormalization", "Concatenate", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D",
    "Conv3DTranspose", "ConvLSTM1D", "ConvLSTM2D", "Cropping1D", "Cropping2D", "Cropping3D", "Dense", "DepthwiseConv1D",
    "DepthwiseConv2D", "Dropout", "ELU", "Embedding", "Flatten", "GaussianDropout", "GaussianNoise",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GroupNormalization", "GRU", "LayerNormalization", "LeakyReLU", "LSTM",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "ReLU",
    "RepeatVector", "Rescaling", "Reshape", "SeparableConv1D", "SeparableConv2D", "SimpleRNN", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Subtract", "UnitNormalization", "UpSampling1D",
    "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
})  # fmt: skip
"""Layers with the same meaning in Keras 2 and 3."""
RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
MERGES = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"})
AUGMENTING = frozenset({
    "AugMix", "CutMix", "MixUp", "RandAugment", "RandomBrightness", "RandomColorDegeneration",
    "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization",
    "RandomRotation", "RandomSaturation", "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom",
})  # fmt: skip
"""They change images while training and do nothing in inference; training augments by its recipe."""
ACTIVATIONS = frozenset({"elu", "exponential", "gelu", "linear", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
                         "softplus", "softsign", "swish", "tanh"})  # fmt: skip
"""Activations that tf_keras knows under the same name and with the same meaning: its hard_sigmoid is another."""
RECURRENT = frozenset({"ConvLSTM1D", "ConvLSTM2D", "GRU", "LSTM", "SimpleRNN"})
# They matter to training from scratch only; the trained weights are copied.
TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
INDIFFERENT = frozenset({"seed", "sparse", "zero_output_for_mask"})
"""Settings that change nothing here: of random draws, of sparse tensors, and of masks, which no file has."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """What stands for a layer of Keras 3.

    Attributes:
        layer: Of tf_keras, unbuilt.
        weights: In the order of `layer`; None for those of the original.
        activation: A function of Keras 3 to apply behind it; None when there is none left to apply.
        behind: Further layers, and their weights.
    """

    layer: Any
    weights: list[Array] | None = None
    activation: Callable[[Any], Any] | None = None
    behind: tuple[tuple[Any, list[Array]], ...] = ()


def counterpart(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    """Return what stands for a layer in tf_keras.

    Args:
        layer: Of Keras 3, built.
        shapes: Of the tensors of the call, batch included.

    Raises:
        UnsupportedModelError: Nothing does; the message is a reason without the layer's name.
    """
    kind = type(layer).__name__
    if kind in _SPECIAL:
        return _SPECIAL[kind](layer, shapes)
    _expect(kind in SAME, "has no counterpart here")
    # Merging layers of Keras 2 line the axes of unequal ranks up from the front, those of Keras 3 from the back.
    _expect(kind not in MERGES or len({len(shape) for shape in shapes}) == 1, "merges tensors of unequal ranks")
    values = _settings(layer)
    activation = _left_to_apply(layer, kind, values)
    return Counterpart(getattr(env.keras().layers, kind)(**values), activation=activation)


def _settings(layer: Any) -> dict[str, Any]:
    """Return the keyword arguments of the tf_keras layer. Raises UnsupportedModelError for one that has none."""
    kind = type(layer).__name__
    known, renamed = _parameters(getattr(env.keras().layers, kind)), RENAMED.get(kind, {})
    defaults = _parameters(type(layer))
    values: dict[str, Any] = {}
    for original_key, value in layer.get_config().items():
        key = renamed.get(original_key, original_key)
        if key == "dtype":
            _expect(_dtype(value) == "float32", f"computes in {_dtype(value)}, expected float32")
        elif key in known and not key.endswith(TRAINING_ONLY):
            values[key] = value
        elif not key.endswith(TRAINING_ONLY) and key not in INDIFFERENT:
            at_rest = value is None or value is False or value == defaults.get(key)
            _expect(at_rest, f"has the setting {key}={value!r}, which tf_keras lacks")
    _expect(not values.get("stateful") and not values.get("return_state"), "keeps or gives its state")
    return values


def _left_to_apply(layer: Any, kind: str, values: dict[str, Any]) -> Callable[[Any], Any] | None:
    """Return the activation that tf_keras does not have; the settings then say "linear"."""
    name = values.get("activation", "linear")
    if isinstance(name, str) and name in ACTIVATIONS:
        inner = values.get("recurrent_activation", "linear")
        _expect(inner in ACTIVATIONS, f"has the recurrent activation {inner!r}")
        return None
    _expect(kind not in RECURRENT, f"has the activation {name!r}")
    values["activation"] = "linear"
    activation: Callable[[Any], Any] = layer.activation
    return activation


def _parameters(cls: type) -> dict[str, Any]:
    """Return the constructor parameters of a class and its bases, with their defaults."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        own = inspect.signature(base.__init__).parameters  # type: ignore[misc]
        found = {name: parameter.default for name, parameter in own.items()} | found
    return found


def _dtype(policy: Any) -> str:
    return str(policy["config"]["name"]) if isinstance(policy, Mapping) else str(policy)


def _expect(condition: bool, reason: str) -> None:
    if not condition:
        raise UnsupportedModelError(reason)


def _nothing(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    return Counterpart(env.keras().layers.Activation("linear"))


def _random_crop(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    """In inference it scales and crops about the middle: nothing for images that have the size already."""
    _expect(tuple(shapes[0][-3:-1]) == (layer.height, layer.width), "crops to another size")
    return _nothing(layer, shapes)


def _layer_scale(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    from edgecv.modelio import layers

    return Counterpart(layers.ChannelScale())


def _stochastic_depth(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    """Drop whole samples of a branch while training, as the original does; nothing in inference."""
    rank = len(shapes[0])
    return Counterpart(env.keras().layers.Dropout(layer.drop_path_rate, noise_shape=(None, *[1] * (rank - 1))))


def _normalization(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    """Rescaling by the statistics, which are fixed: tf_keras' own layer keeps them out of the graph."""
    config = layer.get_config()
    axis = config["axis"] if isinstance(config["axis"], (list, tuple)) else (config["axis"],)
    rank = len(shapes[0])
    _expect(tuple(axis) in ((-1,), (rank - 1,), ()), f"normalises over the axis {config['axis']}, expected the last")
    mean, variance = (np.asarray(value, np.float32).reshape(-1) for value in (layer.mean, layer.variance))
    # Source: keras.layers.Normalization.call; the floor is keras.backend.epsilon().
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if config["invert"]:
        return Counterpart(env.keras().layers.Rescaling(deviation.tolist(), mean.tolist()), weights=[])
    scale = 1.0 / deviation
    return Counterpart(env.keras().layers.Rescaling(scale.tolist(), (-mean * scale).tolist()), weights=[])


def _upsampling(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    """By its own layer, or by a resize where TensorFlow Lite lacks the operator of that layer."""
    options = {"interpolation": layer.interpolation, "data_format": layer.data_format}
    if not keras3_resize.is_product(shapes[0], options):
        return Counterpart(env.keras().layers.UpSampling2D(**_settings(layer)))
    size = [int(side) * factor for side, factor in zip(shapes[0][1:3], layer.size, strict=True)]
    return _by_products(shapes[0], size, options)


def _resizing(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    from edgecv.modelio.tensor_function import TensorFunction

    names = ("interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_mode", "fill_value")
    _expect(layer.data_format == "channels_last", "has channels first")
    options = {name: getattr(layer, name) for name in names if hasattr(layer, name)}
    size = [layer.height, layer.width]
    if keras3_resize.is_product(shapes[0], options):
        return _by_products(shapes[0], size, options)
    kwargs = {"images": {"tensor": 0}, "size": size, "data_format": "channels_last", **options}
    return Counterpart(TensorFunction("resize", {"args": [], "kwargs": kwargs}))


def _by_products(shape: tuple[Any, ...], size: list[int], options: dict[str, Any]) -> Counterpart:
    (first, weights), *behind = keras3_resize.layers_of(shape, size, options)
    return Counterpart(first, weights, behind=tuple(behind))


def _center_crop(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    before = tuple(shapes[0][-3:-1])
    after = (layer.height, layer.width)
    _expect(layer.data_format == "channels_last" and len(shapes[0]) == 4, "has channels first, or no batch")
    _expect(None not in before and before >= after and before[1] >= after[1], f"crops {before} to {after}")
    cut = [(had - wanted) // 2 for had, wanted in zip(before, after, strict=True)]
    rest = [had - wanted - first for had, wanted, first in zip(before, after, cut, strict=True)]
    return Counterpart(env.keras().layers.Cropping2D(tuple(zip(cut, rest, strict=True))))


def _bidirectional(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    parts = [counterpart(part, shapes).layer for part in (layer.forward_layer, layer.backward_layer)]
    made = env.keras().layers.Bidirectional(parts[0], merge_mode=layer.merge_mode, backward_layer=parts[1])
    return Counterpart(made)


def _time_distributed(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    inner = counterpart(layer.layer, [(shapes[0][0], *shapes[0][2:])])
    _expect(inner.activation is None, f"holds a {type(layer.layer).__name__} with another activation")
    return Counterpart(env.keras().layers.TimeDistributed(inner.layer), weights=inner.weights)


def _attention(layer: Any, shapes: list[tuple[Any, ...]]) -> Counterpart:
    """Attention of queries and values by sums: products are traced to parts that passes know."""
    _expect(type(layer).__name__ == "AdditiveAttention" or layer.score_mode == "concat", "attends by products")
    return Counterpart(getattr(env.keras().layers, type(layer).__name__)(**_settings(layer)))


_SPECIAL: Mapping[str, Callable[[Any, list[tuple[Any, ...]]], Counterpart]] = {
    **dict.fromkeys(("ActivityRegularization", "Identity", *AUGMENTING), _nothing),
    **dict.fromkeys(("AdditiveAttention", "Attention"), _attention),
    "Bidirectional": _bidirectional,
    "CenterCrop": _center_crop,
    "LayerScale": _layer_scale,
    "Normalization": _normalization,
    "RandomCrop": _random_crop,
    "Resizing": _resizing,
    "StochasticDepth": _stochastic_depth,
    "TimeDistributed": _time_distributed,
    "UpSampling2D": _upsampling,
}
