"""Layers that hold something whole: a function of a SavedModel, or a layer of the user's. They convert and calibrate.

They have no configuration: what needs to copy or save layers (pruning, training with quantisation, slimming) is
refused, with the way that works.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env

ACTIVATED = frozenset({
    "Activation", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Dense",
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
})  # fmt: skip
"""Layers of Keras 3 whose activation is the last that they do."""
CONVERTS = "it can be converted, and quantised by calibration (quantize --method ptq)"


def is_foreign(layer: Any) -> bool:
    """Say whether a layer of Keras 3 is not one of Keras' own, or a Lambda: its meaning is its code."""
    return type(layer).__name__ == "Lambda" or not type(layer).__module__.startswith("keras.")


def foreign_activation(layer: Any) -> Any:
    """Return the activation of a layer of Keras 3 that is a layer, or a function that is not one of Keras' own.

    None for the usual ones, and for layers that call theirs somewhere inside.
    """
    activation = getattr(layer, "activation", None)
    if type(layer).__name__ not in ACTIVATED or activation is None or hasattr(activation, "compute_output_shape"):
        return activation if type(layer).__name__ in ACTIVATED else None
    return None if str(getattr(activation, "__module__", "")).startswith("keras.") else activation


def layer_of(compute: Any, *, name: str, what: str, hint: str, ends: Sequence[str] = ()) -> Any:
    """Return a tf_keras layer that computes something whole.

    Args:
        compute: From the tensors that the layer is called with to one tensor, or a list.
        name: Of the layer.
        what: What it is, as the subject of a sentence, for the refusal.
        hint: What to do for pruning and training.
        ends: The activation that each result comes from, "linear" for none; nothing where that is not known.
    """
    untouched = env.tensorflow().autograph.experimental.do_not_convert(compute)

    class Whole(env.keras().layers.Layer):  # type: ignore[misc]
        """Computes what it was given."""

        holds_whole = True
        ends_in = tuple(ends)

        def call(self, inputs: Any) -> Any:
            return untouched(inputs)

        def get_config(self) -> dict[str, Any]:
            raise UnsupportedModelError(f"{what} cannot be changed or trained layer by layer; {CONVERTS}", hint=hint)

    return Whole(name=name, trainable=False)


def carried(node: Any) -> Any:
    """Return a tf_keras layer that calls a layer of Keras 3 as a node of its graph does.

    Args:
        node: Of a Keras 3 model.
    """
    operation = node.operation
    places = [id(tensor) for tensor in node.input_tensors]
    inference = {"training": False} if "training" in inspect.signature(operation.call).parameters else {}

    def compute(inputs: Any) -> Any:
        taken = inputs if len(places) > 1 else [inputs]
        args, kwargs = node.arguments.fill_in(dict(zip(places, taken, strict=True)))
        return operation.call(*args, **{**kwargs, **inference})

    kind = type(operation).__name__
    return layer_of(
        compute,
        name=operation.name,
        what=f"layer '{operation.name}' ({kind}), which has code of its own,",
        hint="write it with keras.ops or of standard layers, or as a registered layer of tf_keras",
    )


def require_layers(model: Any) -> None:
    """Check that a tf_keras model is made of layers that can be copied, changed and saved, all of them.

    Raises:
        UnsupportedModelError: One holds something whole; the hint says what to do.
    """
    for layer in model.layers:
        if getattr(layer, "holds_whole", False):
            layer.get_config()  # raises, with the reason that it was made with
