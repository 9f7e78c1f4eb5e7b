"""Keras 3 models, rebuilt layer by layer in tf_keras and checked against Keras 3 on random inputs.

Models inside models are opened: the result is one flat graph, which is what pruning and quantisation need. Layers and
models that are called several times stay shared. Only layers whose meaning is the same in both are taken, with every
setting accounted for: one that tf_keras does not know, and that is neither off nor at Keras 3's default, is a refusal.
What cannot be taken is listed by layer and class.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.modelio import channels, env, forms, keras3_forms
from edgecv.modelio.boundary import renamed_outputs, scope_name
from edgecv.modelio.inference import check_inference
from edgecv.modelio.keras3_ops import is_operation, layer_of
from edgecv.modelio.messages import naming
from edgecv.modelio.opaque import carried, is_foreign
from edgecv.modelio.opening import Opening

TOLERANCE = 1e-4
# Layers with the same meaning in Keras 2 and 3.
LAYERS = frozenset({
    "Activation", "Add", "Average", "AveragePooling1D", "AveragePooling2D", "BatchNormalization", "Concatenate",
    "Conv1D", "Conv2D", "Conv2DTranspose", "Cropping1D", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout",
    "ELU", "Flatten", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GroupNormalization", "LayerNormalization", "LeakyReLU",
    "MaxPooling1D", "MaxPooling2D", "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "ReLU", "Rescaling",
    "Reshape", "SeparableConv2D", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "Subtract",
    "UnitNormalization", "UpSampling1D", "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
})  # fmt: skip
RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
# They move images while training and do nothing in inference; training augments by its recipe.
AUGMENTING = ("RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom")
# Keras 2's hard_sigmoid has another slope, 0.2 for 1/6, so these become layers of ours.
OURS = {"hard_sigmoid": "HardSigmoid", "hard_silu": "HardSwish", "hard_swish": "HardSwish"}
ACTIVATIONS = frozenset({"elu", "exponential", "gelu", "linear", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
                         "softplus", "softsign", "swish", "tanh"})  # fmt: skip
# They matter to training from scratch only; the trained weights are copied.
TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
GRAPHS = frozenset({"Functional", "Sequential"})


def import_keras3(source: Path, opening: Opening) -> Any:
    """Return a Keras 3 file's model as a tf_keras one.

    Args:
        source: A `.keras` or HDF5 file written by Keras 3, already searched for code.
        opening: What the user says of it.

    Raises:
        UnsupportedModelError: It holds something that tf_keras lacks (each layer and class is listed), or the
            rebuilt model does not compute the same.
    """
    return imported(keras3_forms.load(source, opening), source, opening)


def imported(original: Any, source: Path, opening: Opening) -> Any:
    """Return a Keras 3 model as a tf_keras one. `source` is where it is from; raises as `import_keras3` does."""
    keras3 = require("keras", why="to read models written by Keras 3")
    original, pixels = keras3_forms.prepared(original, opening, where=str(source))
    found = problems(original)
    if found:
        raise UnsupportedModelError(
            f"{source} was written by Keras 3 and cannot be imported: {'; '.join(found)}",
            hint="replace these layers by standard ones; or model.export(FOLDER), and convert the folder: it is "
            "quantised by calibration",
        )
    check_inference(original, where=str(source))
    model = channels.last(_rebuild(original), where=str(source), checked=False)
    _check_same(original, channels.as_before(model, original), source)
    keys = _output_keys(original, keras3.tree)
    return forms.with_pixels(renamed_outputs(model, keys) if keys else model, pixels)


def _output_keys(model: Any, tree: Any) -> list[str]:
    """Return the keys of a Keras 3 model that gives a dict, in the order of its outputs; of another, nothing."""
    outputs = getattr(model, "_outputs_struct", None)
    if not isinstance(outputs, dict) or len(outputs) != len(model.outputs):
        return []
    return list(tree.flatten({key: str(key) for key in outputs}))


def problems(model: Any) -> list[str]:
    """Return what stands in the way, one text per layer."""
    if type(model).__name__ == "Sequential" and not model.built:
        return [f"'{model.name}' has no input shape: add Input((height, width, channels)) as its first layer"]
    if type(model).__name__ not in GRAPHS:
        return [f"'{model.name}' is a {type(model).__name__}, expected a functional or Sequential model"]
    found = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in GRAPHS:
            found += problems(layer)
        elif kind != "InputLayer" and not is_operation(layer):
            found += [f"layer '{layer.name}' ({kind}) {reason}" for reason in _layer_problems(layer, kind)]
    found += [text for node in _nodes(model) if is_operation(node.operation) for text in _operation_problems(node)]
    return list(dict.fromkeys(found))


def _operation_problems(node: Any) -> list[str]:
    try:
        layer_of(node)
    except UnsupportedModelError as error:
        return [f"operation '{node.operation.name}' ({type(node.operation).__name__}) {error.message}"]
    return []


def _layer_problems(layer: Any, kind: str) -> list[str]:
    if is_foreign(layer):
        return []
    if kind not in LAYERS and kind not in _OTHERS:
        return ["has no counterpart here"]
    try:
        _OTHERS[kind](layer) if kind in _OTHERS else _settings(layer)
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
    known_activation = isinstance(activation, str) and (activation in ACTIVATIONS or activation in OURS)
    _expect(known_activation, f"has the activation {activation!r}")
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
    rebuilding = _Rebuilding()
    inputs, tensors = [], {}
    for tensor in original.inputs:
        name = tensor._keras_history.operation.name
        inputs.append(keras.Input(tuple(tensor.shape)[1:], dtype=tensor.dtype, name=rebuilding.unique(name, "")))
        tensors[id(tensor)] = inputs[-1]
    outputs = rebuilding.run(original, tensors, where="")
    return keras.Model(inputs, outputs, name=original.name)


class _Rebuilding:
    """The layers made so far, by the Keras 3 layer that they stand for."""

    def __init__(self) -> None:
        self._layers: dict[int, list[Any]] = {}
        self._names: set[str] = set()

    def unique(self, name: str, where: str) -> str:
        """Return a layer name that is free: the layer's own, else with the names of the models around it."""
        name = scope_name(name)  # Keras 3 allows any name.
        if name in self._names:
            name = f"{where}.{name}" if where else name
        count, free = 1, name
        while free in self._names:
            count += 1
            free = f"{name}_{count}"
        self._names.add(free)
        return free

    def run(self, model: Any, tensors: dict[int, Any], *, where: str) -> list[Any]:
        """Return the outputs of one call of a model.

        Args:
            model: Of Keras 3.
            tensors: Its inputs' ids to tf_keras tensors; filled with what is between.
            where: Names of the models around it.
        """
        for node in _nodes(model):
            operation = node.operation
            taken = [tensors[id(tensor)] for tensor in node.input_tensors]
            if hasattr(operation, "layers"):
                inner = {id(tensor): value for tensor, value in zip(operation.inputs, taken, strict=True)}
                path = f"{where}.{operation.name}" if where else operation.name
                results = self.run(operation, inner, where=path)
            else:
                with naming(operation):
                    results = self._call(node, taken, where)
            tensors.update(zip((id(tensor) for tensor in node.outputs), results, strict=True))
        return [tensors[id(tensor)] for tensor in model.outputs]

    def _call(self, node: Any, taken: list[Any], where: str) -> list[Any]:
        operation = node.operation
        result = taken if len(taken) > 1 else taken[0]
        if id(operation) in self._layers:
            for layer in self._layers[id(operation)]:
                result = layer(result)
            return [result]
        whole = carried(node) if not is_operation(operation) and is_foreign(operation) else None
        chain = [whole or layer_of(node)] if whole or is_operation(operation) else _chain(operation)
        names = [operation.name] if len(chain) == 1 else [operation.name, f"{operation.name}_activation"]
        for layer, name in zip(chain, names, strict=True):
            layer._name = self.unique(name, where)
            result = layer(result)
        if not is_operation(operation) and chain[0].weights:
            chain[0].set_weights(operation.get_weights())
        self._layers[id(operation)] = chain
        return [result]


def _chain(operation: Any) -> list[Any]:
    """Return the layers that stand for one: itself, and an activation of ours where Keras 2 has another one."""
    kind = type(operation).__name__
    if kind in _OTHERS:
        return [_OTHERS[kind](operation)]
    settings = _settings(operation)
    activation = settings.get("activation")
    if activation not in OURS:
        return [getattr(env.keras().layers, kind)(**settings)]
    from edgecv.modelio import layers

    ours = getattr(layers, OURS[activation])()
    if kind == "Activation":
        return [ours]
    return [getattr(env.keras().layers, kind)(**{**settings, "activation": "linear"}), ours]


def _layer_scale(operation: Any) -> Any:
    from edgecv.modelio import layers

    return layers.ChannelScale()


def _stochastic_depth(operation: Any) -> Any:
    """Drop whole samples of a branch while training, as the original does; nothing in inference."""
    rank = len(operation.input.shape)
    return env.keras().layers.Dropout(operation.drop_path_rate, noise_shape=(None, *[1] * (rank - 1)))


def _normalization(operation: Any) -> Any:
    """Rescaling by the statistics, which are fixed: tf_keras' own layer keeps them out of the graph."""
    config = operation.get_config()
    axis = config["axis"] if isinstance(config["axis"], (list, tuple)) else (config["axis"],)
    rank = len(operation.input.shape)
    _expect(not config["invert"], "has the setting invert=True")
    _expect(tuple(axis) in ((-1,), (rank - 1,), ()), f"normalises over the axis {config['axis']}, expected the last")
    mean, variance = (np.asarray(value, np.float32).reshape(-1) for value in (operation.mean, operation.variance))
    # Source: keras.layers.Normalization.call; the floor is keras.backend.epsilon().
    scale = 1.0 / np.maximum(np.sqrt(variance), 1e-7)
    return env.keras().layers.Rescaling(scale.tolist(), (-mean * scale).tolist())


def _nothing(operation: Any) -> Any:
    return env.keras().layers.Activation("linear")


_OTHERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("Identity", *AUGMENTING), _nothing),
    "LayerScale": _layer_scale,
    "StochasticDepth": _stochastic_depth,
    "Normalization": _normalization,
}


def _check_same(original: Any, model: Any, source: Path) -> None:
    """Check both on random inputs, in inference. Raises UnsupportedModelError beyond 1e-4 of the largest output."""
    rng = np.random.default_rng(0)
    batch = [rng.standard_normal((2, *_static(t, source))).astype(np.float32) for t in original.inputs]
    tree = require("keras", why="to read models written by Keras 3").tree
    answers = original(tree.pack_sequence_as(keras3_forms.input_structure(original), batch), training=False)
    expected = [np.asarray(value) for value in tree.flatten(answers)]
    got = _arrays(model(batch if len(batch) > 1 else batch[0], training=False))
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
