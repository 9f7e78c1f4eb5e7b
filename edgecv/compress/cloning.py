"""Copying keras models layer by layer, with some layers replaced."""

from __future__ import annotations

from typing import Any, Callable

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio.env import keras


def copy_layer(layer: Any) -> Any:
    """Return a layer of the same class and configuration, without weights."""
    return type(layer).from_config(layer.get_config())


def clone(model: Any, replace: Callable[[Any], Any] = copy_layer) -> Any:
    """Return a new model in which every layer is what `replace` gives for it; weights are not copied.

    Raises:
        UnsupportedModelError: The model is subclassed, so that its graph cannot be walked, or it nests models.
    """
    check_flat(model)
    return keras().models.clone_model(model, clone_function=replace)


def copy(model: Any) -> Any:
    """Return a copy of `model` with the same weights. Raises UnsupportedModelError as `clone` does."""
    twin = clone(model)
    twin.set_weights(model.get_weights())
    return twin


def check_flat(model: Any) -> None:
    """Raise UnsupportedModelError unless `model` is a functional or sequential model without models inside."""
    check_graph(model)
    nested = [layer.name for layer in model.layers if isinstance(layer, keras().Model)]
    if nested:
        raise UnsupportedModelError(
            f"model '{model.name}' holds models as layers: {', '.join(nested)}", hint="flatten it into one graph"
        )


def check_graph(model: Any) -> None:
    """Raise UnsupportedModelError unless the layers' connections can be read: functional or sequential."""
    if not isinstance(model, keras().Sequential) and not getattr(model, "_is_graph_network", False):
        raise UnsupportedModelError(
            f"model '{model.name}' is subclassed: its layers' connections cannot be read",
            hint="rebuild it with the functional API",
        )
