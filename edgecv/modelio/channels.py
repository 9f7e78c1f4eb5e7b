"""Models with channels first, turned once into channels last: axes, weights and the boundary.

Tensors are followed through the graph. Those that hold maps are kept with their channels last; a layer whose meaning
hangs on the order (Reshape, Permute, a softmax over columns) gets its input in the old order by a Permute before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env

Array = np.ndarray[Any, Any]
FORMATTED = frozenset({
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "Conv1D", "Conv1DTranspose", "Conv2D",
    "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Cropping2D", "Cropping3D", "DepthwiseConv1D", "DepthwiseConv2D",
    "Flatten", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "SeparableConv1D",
    "SeparableConv2D", "UpSampling2D", "UpSampling3D", "ZeroPadding2D", "ZeroPadding3D",
})  # fmt: skip
"""Layers that say where the channels are, and compute the same when both are told."""
POINTWISE = frozenset({
    "Add", "Average", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "HardSigmoid", "HardSwish", "LeakyReLU",
    "Maximum", "Minimum", "Multiply", "ReLU", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Subtract",
    "TanhGelu", "ThresholdedReLU",
})  # fmt: skip
"""Layers that do the same to every value, or to the values of several tensors at the same place."""
OVER_AN_AXIS = frozenset({"BatchNormalization", "Concatenate", "GroupNormalization", "LayerNormalization", "Softmax"})
HINT = "build the model with data_format='channels_last' and load its weights, which have the same shapes"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A tensor of the new model.

    Attributes:
        moved: Its channels are last, and were first.
        flat: Shape without the batch, channels last, of the maps that it holds as a vector; they were first.
    """

    tensor: Any
    moved: bool = False
    flat: tuple[int, ...] | None = None


def last(model: Any, *, where: str, checked: bool = True) -> Any:
    """Return a tf_keras model with channels last, that of its inputs and outputs included.

    Args:
        model: Functional or Sequential, of static shape; the model itself comes back when it has no channels first.
        where: The file, for messages.
        checked: Compare the answers of both on random inputs.

    Raises:
        UnsupportedModelError: A layer cannot be turned; the message names it.
    """
    ranks = _first_ranks(model)
    if not ranks:
        return model
    turning = _Turning(where)
    inputs, values = [], {}
    for name, tensor in zip(model.input_names, model.inputs, strict=True):
        shape, moved = tuple(tensor.shape)[1:], len(tensor.shape) in ranks
        inputs.append(env.keras().Input(_rolled(shape) if moved else shape, dtype=tensor.dtype, name=name))
        turning.names.add(name)
        values[id(tensor)] = _Value(tensor=inputs[-1], moved=moved)
    outputs = [turning.settled(value) for value in turning.run(model, values, "")]
    made = env.keras().Model(inputs, [value.tensor for value in outputs], name=model.name)
    for layer, weights in turning.weights:
        layer.set_weights(weights)
    made._moved_ends = tuple(len(t.shape) in ranks for t in model.inputs), tuple(value.moved for value in outputs)
    if checked:
        _check(model, made, where)
    return made


def as_before(model: Any, original: Any) -> Any:
    """Return what calls a model as the one that `last` made it from: tensors with channels first in and out.

    Args:
        model: What `last` gave.
        original: Model with the inputs of before; only their structure counts.
    """
    taken, given = getattr(model, "_moved_ends", ((), ()))
    if not any(taken):
        return model

    def call(inputs: Any, training: bool = False) -> list[Any]:
        tensors = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        turned = [np.moveaxis(t, 1, -1) if moved else t for t, moved in zip(tensors, taken, strict=True)]
        answers = env.tensorflow().nest.flatten(model(turned if len(turned) > 1 else turned[0], training=training))
        return [np.moveaxis(a, -1, 1) if moved else np.asarray(a) for a, moved in zip(answers, given, strict=True)]

    return call


def _first_ranks(model: Any) -> set[int]:
    """Return the ranks, with the batch, of what layers with channels first take."""
    found: set[int] = set()
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found |= _first_ranks(layer)
        elif getattr(layer, "data_format", None) == "channels_first" and type(layer).__name__ != "Flatten":
            shape = layer.input_shape
            found.add(len(shape[0] if isinstance(shape, list) else shape))
    return found


def _rolled(shape: Sequence[Any]) -> tuple[Any, ...]:
    return (*shape[1:], shape[0])


def _axis(axis: int, rank: int) -> int:
    """Return where an axis of a tensor with channels first is when they are last."""
    axis %= rank
    return axis if axis == 0 else (rank - 1 if axis == 1 else axis - 1)


class _Turning:
    """The layers made so far, by the one that they stand for, and the weights that they get in the end."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.names: set[str] = set()
        self.weights: list[tuple[Any, list[Array]]] = []
        self._made: dict[int, tuple[Any, Any]] = {}

    def run(self, model: Any, values: dict[int, _Value], path: str) -> list[_Value]:
        """Return the outputs of one call of a model, from its inputs' ids to their values."""
        for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
            for node in nodes:
                if type(node.layer).__name__ == "InputLayer":
                    continue
                taken = {id(tensor): values[id(tensor)] for tensor in _flat(node.keras_inputs)}
                if hasattr(node.layer, "layers"):
                    pairs = zip(node.layer.inputs, taken.values(), strict=True)
                    results = self.run(node.layer, {id(t): value for t, value in pairs}, f"{path}{node.layer.name}.")
                else:
                    results = self._call(node, taken, path)
                given = _flat(node.outputs)
                values.update(zip((id(tensor) for tensor in given), results, strict=True))
        return [values[id(tensor)] for tensor in model.outputs]

    def settled(self, value: _Value) -> _Value:
        """Return a vector in the old order; other values as they are."""
        return _Value(tensor=self._before(value)) if value.flat else value

    def _call(self, node: Any, taken: dict[int, _Value], path: str) -> list[_Value]:
        layer, kind = node.layer, type(node.layer).__name__
        config, values = layer.get_config(), list(taken.values())
        if config.get("data_format") == "channels_first":
            return self._formatted(node, taken, config, path)
        rank = max(len(tensor.shape) for tensor in _flat(node.keras_inputs))
        same_rank = all(len(tensor.shape) == rank for tensor in _flat(node.keras_inputs))
        if any(value.moved for value in values) and same_rank:
            changed = self._moved_config(kind, config, rank)
            if changed is not None:
                together = {key: self._moved(value) for key, value in taken.items()}
                weights = [np.moveaxis(w, 0, -1) if kind == "PReLU" else w for w in layer.get_weights()]
                return [_Value(tensor=t, moved=True) for t in self._apply(node, together, changed, weights, path)]
        if len(values) == 1 and (values[0].moved or values[0].flat):
            special = self._into_vector(node, values[0], config, path)
            if special is not None:
                return special
        before = {key: self._before(value) for key, value in taken.items()}
        return [_Value(tensor=t) for t in self._apply(node, before, config, layer.get_weights(), path)]

    def _formatted(self, node: Any, taken: dict[int, _Value], config: Any, path: str) -> list[_Value]:
        layer, kind = node.layer, type(node.layer).__name__
        if kind == "Flatten":  # It turns channels first into last itself.
            given = {key: self._moved(v) if len(v.tensor.shape) > 2 else v.tensor for key, v in taken.items()}
        elif kind in FORMATTED:
            given = {key: self._moved(value) for key, value in taken.items()}
        else:
            raise UnsupportedModelError(
                f"{self.where}: layer '{layer.name}' ({kind}) has channels first, which it cannot be turned from",
                hint=HINT,
            )
        changed = config | {"data_format": "channels_last"}
        made = self._apply(node, given, changed, layer.get_weights(), path)
        return [_Value(tensor=tensor, moved=len(tensor.shape) > 2) for tensor in made]

    def _moved_config(self, kind: str, config: Mapping[str, Any], rank: int) -> Any:
        """Return the configuration of a layer over tensors with channels last; None when it must have them first."""
        if kind in POINTWISE or (kind == "Activation" and config["activation"] not in ("softmax", "log_softmax")):
            return config
        if kind == "Rescaling" and np.size(config["scale"]) == np.size(config["offset"]) == 1:
            return config
        if kind == "PReLU":
            return dict(config) | {"shared_axes": [_axis(axis, rank) for axis in config["shared_axes"] or ()] or None}
        axes = config.get("axis")
        axes = list(axes) if isinstance(axes, (list, tuple)) else [axes]
        if kind in OVER_AN_AXIS and len(axes) == 1:
            return dict(config) | {"axis": _axis(int(axes[0]), rank)}
        return None

    def _into_vector(self, node: Any, value: _Value, config: Any, path: str) -> list[_Value] | None:
        """Flatten maps without moving them, and put the rows of a dense kernel in their new order instead."""
        layer, kind = node.layer, type(node.layer).__name__
        key = id(_flat(node.keras_inputs)[0])
        if kind == "Flatten" and value.moved:
            shape = tuple(int(size) for size in tuple(value.tensor.shape)[1:])
            made = self._apply(node, {key: value.tensor}, config, [], path)
            return [_Value(tensor=made[0], flat=shape)]
        if value.flat and kind in (POINTWISE | {"Activation"}) and config.get("activation") != "softmax":
            return [_Value(tensor=self._apply(node, {key: value.tensor}, config, [], path)[0], flat=value.flat)]
        if value.flat and kind == "Dense":
            kernel, *bias = layer.get_weights()
            height, width, channels = (*value.flat[:-1], value.flat[-1]) if len(value.flat) == 3 else (0, 0, 0)
            if not height:
                return None
            rows = kernel.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(kernel.shape)
            made = self._apply(node, {key: value.tensor}, config, [rows, *bias], path)
            return [_Value(tensor=made[0])]
        return None

    def _moved(self, value: _Value) -> Any:
        if value.moved:
            return value.tensor
        rank = len(value.tensor.shape)
        return env.keras().layers.Permute((*range(2, rank), 1), name=self._free("channels_last"))(value.tensor)

    def _before(self, value: _Value) -> Any:
        layers, tensor = env.keras().layers, value.tensor
        if value.flat:
            tensor = layers.Reshape(value.flat, name=self._free("maps"))(tensor)
        if value.moved or value.flat:
            rank = len(tensor.shape)
            tensor = layers.Permute((rank - 1, *range(1, rank - 1)), name=self._free("channels_first"))(tensor)
        return layers.Flatten(data_format="channels_last", name=self._free("vector"))(tensor) if value.flat else tensor

    def _apply(
        self, node: Any, given: Mapping[int, Any], config: Mapping[str, Any], weights: list[Array], path: str
    ) -> list[Any]:
        layer, told = node.layer, {key: value for key, value in config.items() if key != "name"}
        if id(layer) not in self._made:
            made = type(layer).from_config({**config, "name": self._free(layer.name, path)})
            self._made[id(layer)] = made, (told, [w.tobytes() for w in weights])
            if weights:
                self.weights.append((made, weights))
        made, first = self._made[id(layer)]
        if first != (told, [w.tobytes() for w in weights]):
            raise UnsupportedModelError(
                f"{self.where}: layer '{layer.name}' is called on tensors with channels first and on others", hint=HINT
            )
        places = {str(key): [tensor] * len(_flat(node.keras_inputs)) for key, tensor in given.items()}
        args, kwargs = node.map_arguments(places)  # which takes one out of a list for each place that it fills
        return _flat(made(*args, **{key: value for key, value in kwargs.items() if key != "training"}))

    def _free(self, name: str, path: str = "") -> str:
        name = path + name if name in self.names else name
        names = (name if count == 1 else f"{name}_{count}" for count in itertools.count(1))
        free = next(one for one in names if one not in self.names)
        self.names.add(free)
        return free


def _flat(tensors: Any) -> list[Any]:
    return list(env.tensorflow().nest.flatten(tensors))


def _check(original: Any, made: Any, where: str) -> None:
    rng = np.random.default_rng(0)
    batch = [rng.standard_normal((1, *tuple(t.shape)[1:])).astype(np.float32) for t in original.inputs]
    wanted = [np.asarray(value) for value in _flat(env.infer(original, batch if len(batch) > 1 else batch[0]))]
    got = as_before(made, original)(batch)
    for index, (a, b) in enumerate(zip(wanted, got, strict=True)):
        difference = float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(a))), 1e-6))
        if not difference <= 1e-4:  # Written so that NaN fails.
            raise UnsupportedModelError(
                f"{where}: output {index} with channels last differs by {difference:.2g} of its largest value, "
                "expected at most 0.0001",
                hint=HINT,
            )
