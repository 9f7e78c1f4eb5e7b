"""Keras 3 models, rebuilt layer by layer in tf_keras and checked against Keras 3 on random inputs.

Only layers whose meaning is the same in both are taken, with every setting accounted for: one that tf_keras does not
know, and that is neither off nor at Keras 3's default, is a refusal. What cannot be taken is listed by layer and class.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.optional import require

TOLERANCE = 1e-4
# Layers with the same meaning in Keras 2 and 3.
LAYERS = frozenset({
    "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D",
    "Conv2DTranspose", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout", "ELU", "Flatten", "GaussianDropout",
    "GaussianNoise", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "LayerNormalization", "LeakyReLU",
    "MaxPooling2D", "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "ReLU", "Rescaling", "Reshape",
    "SeparableConv2D", "Softmax", "SpatialDropout2D", "Subtract", "UpSampling2D", "ZeroPadding2D",
})  # fmt: skip
RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
# hard_sigmoid is not here: its slope changed from 0.2 to 1/6.
ACTIVATIONS = frozenset({"elu", "exponential", "gelu", "linear", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
                         "softplus", "softsign", "swish", "tanh"})  # fmt: skip
# They matter to training from scratch only; the trained weights are copied.
TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
GRAPHS = frozenset({"Functional", "Sequential"})


def import_keras3(source: Path, *, unsafe: bool) -> Any:
    """Return a Keras 3 file's model as a tf_keras one.

    Args:
        source: A `.keras` or HDF5 file written by Keras 3, already searched for code.
        unsafe: Whether Keras may run code while it reads the file.

    Raises:
        UnsupportedModelError: It holds something that tf_keras lacks (each layer and class is listed), or the
            rebuilt model does not compute the same.
    """
    keras3 = require("keras", why="to read models written by Keras 3")
    original = keras3.models.load_model(source, compile=False, safe_mode=not unsafe)
    problems = _problems(original)
    if problems:
        raise UnsupportedModelError(
            f"{source} was written by Keras 3 and cannot be imported: {'; '.join(problems)}",
            hint="replace these layers by standard ones, or train the model with tf_keras",
        )
    model = _rebuild(original)
    _check_same(original, model, source)
    return model


def _problems(model: Any) -> list[str]:
    """Return what stands in the way, one text per layer."""
    if type(model).__name__ not in GRAPHS:
        return [f"'{model.name}' is a {type(model).__name__}, expected a functional or Sequential model"]
    found = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in GRAPHS:
            found += _problems(layer)
        elif kind != "InputLayer":
            found += [f"layer '{layer.name}' ({kind}) {reason}" for reason in _layer_problems(layer, kind)]
    for node in _nodes(model):
        if not type(node.operation).__module__.startswith("keras.src.layers.") and not hasattr(
            node.operation, "layers"
        ):
            found.append(f"operation '{node.operation.name}' ({type(node.operation).__name__}) is not a layer")
    return list(dict.fromkeys(found))


def _layer_problems(layer: Any, kind: str) -> list[str]:
    if kind not in LAYERS:
        return ["has no counterpart here"]
    try:
        _settings(layer)
    except UnsupportedModelError as error:
        return [error.message]
    return []


def _settings(layer: Any) -> dict[str, Any]:
    """Return the keyword arguments of the tf_keras layer. Raises UnsupportedModelError for one that has none."""
    kind = type(layer).__name__
    known, renamed = _parameters(getattr(env.keras().layers, kind)), RENAMED.get(kind, {})
    defaults = _parameters(type(layer))
    settings: dict[str, Any] = {}
    for original_key, value in layer.get_config().items():
        key = renamed.get(original_key, original_key)
        if key == "dtype":
            _expect(_dtype(value) == "float32", f"computes in {_dtype(value)}, expected float32")
        elif key in known and not key.endswith(TRAINING_ONLY):
            settings[key] = value
        elif not key.endswith(TRAINING_ONLY):
            at_rest = value is None or value is False or value == defaults.get(key)
            _expect(at_rest, f"has the setting {key}={value!r}, which tf_keras lacks")
    activation = settings.get("activation", "linear")
    _expect(isinstance(activation, str) and activation in ACTIVATIONS, f"has the activation {activation!r}")
    _expect(settings.get("data_format") in (None, "channels_last"), "has channels first")
    return settings


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


def _nodes(model: Any) -> list[Any]:
    """Return the calls of a Keras 3 model in an order in which they can be computed, inputs left out."""
    graph = model._functional if type(model).__name__ == "Sequential" else model
    levels = sorted(graph._nodes_by_depth.items(), reverse=True)
    return [node for _, nodes in levels for node in nodes if not node.is_input]


def _rebuild(original: Any) -> Any:
    keras = env.keras()
    tensors: dict[int, Any] = {}
    inputs = []
    for tensor in original.inputs:
        name = tensor._keras_history.operation.name
        inputs.append(keras.Input(tuple(tensor.shape)[1:], dtype=tensor.dtype, name=name))
        tensors[id(tensor)] = inputs[-1]
    layers: dict[int, Any] = {}
    for node in _nodes(original):
        operation = node.operation
        if id(operation) not in layers:
            layers[id(operation)] = _rebuild(operation) if hasattr(operation, "layers") else _layer(operation)
        taken = [tensors[id(tensor)] for tensor in node.input_tensors]
        result = layers[id(operation)](taken if len(taken) > 1 else taken[0])
        for old, new in zip(node.outputs, result if isinstance(result, list) else [result], strict=True):
            tensors[id(old)] = new
        if not hasattr(operation, "layers"):
            layers[id(operation)].set_weights(operation.get_weights())
    return keras.Model(inputs, [tensors[id(tensor)] for tensor in original.outputs], name=original.name)


def _layer(operation: Any) -> Any:
    return getattr(env.keras().layers, type(operation).__name__)(**_settings(operation))


def _check_same(original: Any, model: Any, source: Path) -> None:
    """Check both on random inputs, in inference. Raises UnsupportedModelError beyond 1e-4 of the largest output."""
    rng = np.random.default_rng(0)
    batch = [rng.standard_normal((2, *_static(t, source))).astype(np.float32) for t in original.inputs]
    feed = batch if len(batch) > 1 else batch[0]
    expected, got = (_arrays(net(feed, training=False)) for net in (original, model))
    for index, (a, b) in enumerate(zip(expected, got, strict=True)):
        difference = float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(a))), 1e-6))
        # Written so that NaN fails.
        if not difference <= TOLERANCE:
            raise UnsupportedModelError(
                f"{source}: output {index} of the imported model differs from Keras 3 by {difference:.2g} of its "
                f"largest value, expected at most {TOLERANCE:g}",
                hint="train the model with tf_keras instead",
            )


def _static(tensor: Any, source: Path) -> tuple[int, ...]:
    shape = tuple(tensor.shape)[1:]
    with contextlib.suppress(TypeError):
        if all(size > 0 for size in shape):
            return shape
    raise UnsupportedModelError(
        f"{source}: input '{tensor.name}' has the dynamic shape {tuple(tensor.shape)}, "
        "expected fixed sizes besides the batch",
        hint="build the model again with a fixed input, for example Input((224, 224, 3)), and load its weights",
    )


def _arrays(outputs: Any) -> list[Any]:
    return [np.asarray(value) for value in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
