"""Bringing a keras model into the one form that everything here works on: float32, fixed sizes, float inputs.

The model is built again from its configuration, with what is open filled in and every precision float32, gets the same
weights, and is checked against the original.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import custom, env
from edgecv.modelio.boundary import input_names
from edgecv.modelio.opening import Opening
from edgecv.values.binding import bind_inputs
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]
OTHER_PRECISIONS = {
    **dict.fromkeys(("float16", "mixed_float16"), 0.03),
    **dict.fromkeys(("bfloat16", "mixed_bfloat16"), 0.15),
    "float64": 1e-4,
}
"""Precisions that are rebuilt in float32, with how far answers may lie apart, of the largest: a model's rounding."""
PIXELS = "uint8"
TOLERANCE = 1e-4


def fixed(model: Any, opening: Opening, *, where: str) -> Any:
    """Return a tf_keras model with fixed sizes, float32 inputs and float32 layers; the model itself when it is so.

    Args:
        model: Functional or Sequential.
        opening: Says which sizes open inputs get, and which classes of the user's the model has.
        where: The file, for messages.

    Raises:
        UnsupportedModelError: An input stays open or has another type, or the model computes something else in float32.
    """
    inputs = _wanted_inputs(model, opening, where)
    precisions = _precisions(_all_layers(model))
    same = all(shape == tuple(old.shape)[1:] for shape, old in zip(inputs.values(), model.inputs, strict=True))
    if same and not precisions and all(_type(tensor) == "float32" for tensor in model.inputs):
        return model
    config = rewritten(model.get_config(), inputs)
    with env.keras().utils.custom_object_scope(custom.read_objects(opening.custom_objects)):
        made = type(model).from_config(config)
    made.set_weights(model.get_weights())
    check_alike(model, made, inputs, precisions, where=where, call=_tf_call)
    return made


def check_pixels(pixels: Sequence[bool], model: Any, spec: ModelSpec, *, where: str) -> None:
    """Check that a contract feeds raw pixels where a model takes uint8. Raises ConfigError when it scales them.

    Args:
        pixels: As `pixel_inputs` says.
        model: The tf_keras model.
        spec: The contract.
        where: The file, for the message.
    """
    names = input_names(model)
    for only, place in zip(spec.inputs, bind_inputs(spec, names, where), strict=True):
        if pixels[place] and only.range is not None and only.range != (0.0, 255.0):
            raise ConfigError(
                f"{where}: the input '{names[place]}' takes uint8 pixels, 0 to 255, and the spec scales them to "
                f"{only.range[0]:g} to {only.range[1]:g}",
                hint="the model scales them itself: mean = [0, 0, 0] and std = [1, 1, 1]",
            )


def pixel_inputs(model: Any) -> tuple[bool, ...]:
    """Say of each input of a tf_keras or Keras 3 model whether it takes uint8, or did where the model is from."""
    noted = getattr(model, "_took_pixels", ())
    return tuple(noted) or tuple(_type(tensor) == PIXELS for tensor in model.inputs)


def with_pixels(model: Any, pixels: Sequence[bool]) -> Any:
    """Return a model that notes which of its inputs took uint8 where it is from."""
    model._took_pixels = tuple(pixels)
    return model


def _wanted_inputs(model: Any, opening: Opening, where: str) -> dict[str, tuple[int, ...]]:
    names = input_names(model)
    for name, tensor in zip(names, model.inputs, strict=True):
        check_type(name, _type(tensor), where)
    return {
        name: opening.shape(name, tuple(tensor.shape)[1:], names=names, where=where)
        for name, tensor in zip(names, model.inputs, strict=True)
    }


def check_type(name: str, dtype: str, where: str) -> None:
    """Raise UnsupportedModelError for an input that is neither of pixels nor of a floating type."""
    if dtype not in ("float32", PIXELS, *OTHER_PRECISIONS):
        raise UnsupportedModelError(
            f"{where}: input '{name}' is {dtype}, expected float32, or uint8 for pixels",
            hint="build the model again with a float32 input and a Cast behind it, and load its weights",
        )


def _type(tensor: Any) -> str:
    return str(getattr(tensor.dtype, "name", tensor.dtype))


def _all_layers(model: Any) -> list[Any]:
    return [inner for layer in model.layers for inner in (*_all_layers(layer), layer)] if _is_model(model) else []


def _is_model(layer: Any) -> bool:
    return hasattr(layer, "layers") and hasattr(layer, "inputs")


def _precisions(layers: Sequence[Any]) -> set[str]:
    """Return the precisions other than float32 that layers compute in."""
    found = {str(getattr(getattr(layer, "dtype_policy", None), "name", "float32")) for layer in layers}
    return found & set(OTHER_PRECISIONS)


def precisions(model: Any) -> set[str]:
    """Return the precisions other than float32 that a tf_keras or Keras 3 model computes in, models inside included."""
    return _precisions(_all_layers(model))


def rewritten(config: Any, inputs: Mapping[str, tuple[int, ...]]) -> Any:
    """Return a model's configuration with every precision float32 and, if given, inputs of these shapes.

    Args:
        config: Of tf_keras or Keras 3.
        inputs: Shape without the batch by the name of an input layer, at the outermost level only.
    """
    config = _in_float32(config)
    return config | {"layers": [_sized(layer, inputs) for layer in config["layers"]]}


def _in_float32(node: Any) -> Any:
    if isinstance(node, Mapping):
        if node.get("class_name") in ("Policy", "DTypePolicy"):
            return "float32"
        return {key: _in_float32(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_in_float32(value) for value in node)
    return "float32" if isinstance(node, str) and node in OTHER_PRECISIONS else node


def _sized(layer: Any, inputs: Mapping[str, tuple[int, ...]]) -> Any:
    config = layer["config"]
    if "batch_input_shape" not in config and "batch_shape" not in config:
        return layer
    name = layer.get("name") or config.get("name")
    shape = inputs.get(str(name)) or (next(iter(inputs.values())) if layer["class_name"] != "InputLayer" else None)
    if shape is None:
        return layer
    changes: dict[str, Any] = {key: (None, *shape) for key in ("batch_input_shape", "batch_shape") if key in config}
    if layer["class_name"] == "InputLayer":
        changes["dtype"] = "float32"
    without_build = {key: value for key, value in layer.items() if key != "build_config"}
    return without_build | {"config": config | changes}


def check_alike(
    original: Any, made: Any, inputs: Mapping[str, tuple[int, ...]], seen: set[str], *, where: str, call: Any
) -> None:
    """Check that a rebuilt model answers as the original does, on random inputs.

    Args:
        original: As it was in the file.
        made: In float32.
        inputs: Shape of each input, without the batch.
        seen: Precisions of the original.
        where: The file, for the message.
        call: Takes a model and its inputs, gives arrays in order.

    Raises:
        UnsupportedModelError: They differ beyond the rounding of the original's precision.
    """
    rng = np.random.default_rng(0)
    batch = [
        rng.integers(0, 256, (1, *shape)) if _type(tensor) == PIXELS else rng.standard_normal((1, *shape))
        for shape, tensor in zip(inputs.values(), original.inputs, strict=True)
    ]
    wanted = call(original, [a.astype(_type(t)) for a, t in zip(batch, original.inputs, strict=True)])
    got = call(made, [array.astype(np.float32) for array in batch])
    allowed = max((OTHER_PRECISIONS[one] for one in seen), default=TOLERANCE)
    for index, (a, b) in enumerate(zip(wanted, got, strict=True)):
        first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
        difference = float(np.max(np.abs(first - second)) / max(float(np.max(np.abs(first))), 1e-6))
        if not difference <= allowed:  # Written so that NaN fails.
            raise UnsupportedModelError(
                f"{where}: output {index} of the model in float32 differs by {difference:.2g} of its largest value, "
                f"expected at most {allowed:g}",
                hint="an operation depends on the type of its input: begin the model with a Cast to float32 or "
                "Rescaling, and build it in float32",
            )


def _tf_call(model: Any, batch: Sequence[Array]) -> list[Any]:
    tf = env.tensorflow()
    tensors = [tf.constant(array) for array in batch]
    outputs = tf.nest.flatten(env.infer(model, tensors if len(tensors) > 1 else tensors[0]))
    return [tf.cast(value, tf.float64).numpy() for value in outputs]
