"""Counting zeros in the weights that pruning may set to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

import numpy as np

from edgecv.modelio.layer_names import source_layer_name

# Depthwise kernels are left out: a filter of 9 weights has none to spare.
KERNEL_LAYERS = frozenset({"Conv1D", "Conv2D", "Conv2DTranspose", "Dense"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsity:
    """Exact zeros among the prunable weights of a model.

    Attributes:
        zeros_by_layer: Source layer name to its number of weights equal to 0.
        size_by_layer: Source layer name to its number of prunable weights.
    """

    zeros_by_layer: Mapping[str, int]
    size_by_layer: Mapping[str, int]

    @property
    def zeros(self) -> int:
        """Number of weights equal to 0."""
        return sum(self.zeros_by_layer.values())

    @property
    def size(self) -> int:
        """Number of prunable weights."""
        return sum(self.size_by_layer.values())

    @property
    def by_layer(self) -> dict[str, float]:
        """Source layer name to the share of its zeros, 0..1."""
        return {name: self.zeros_by_layer[name] / size for name, size in self.size_by_layer.items()}

    @property
    def share(self) -> float:
        """Zeros over size, 0..1; 0 for a model without prunable weights."""
        return self.zeros / self.size if self.size else 0.0


def measure(model: Any) -> Sparsity:
    """Count the zeros of a float, pruning or fake-quantised tf_keras model; biases and norms do not count."""
    kernels = prunable_weights(model)
    return Sparsity(
        zeros_by_layer={name: int(np.sum(values.numpy() == 0)) for name, values in kernels.items()},
        size_by_layer={name: int(np.prod(values.shape)) for name, values in kernels.items()},
    )


def prunable_weights(model: Any) -> dict[str, Any]:
    """Return the prunable variable of each layer that has one, by source layer name."""
    found: dict[str, Any] = {}
    for layer in model.layers:
        weight = prunable_weight(layer)
        if weight is not None:
            found[source_layer_name(layer.name) or layer.name] = weight
    return found


def prunable_weight(layer: Any) -> Any | None:
    """Return the variable of `layer` that pruning may set to zero, looking into tfmot's wrappers; None without one.

    A layer of another class takes part by `get_prunable_weights`, tfmot's own protocol.
    """
    inner = unwrapped(layer)
    if type(inner).__name__ in KERNEL_LAYERS:
        # By variable name: tfmot replaces the `kernel` attribute of quantised layers by a tensor.
        return next(weight for weight in layer.weights if weight.name.split("/")[-1] == "kernel:0")
    if is_custom_prunable(inner):
        weights = inner.get_prunable_weights()
        return weights[0] if len(weights) == 1 else None
    return None


def is_custom_prunable(layer: Any) -> bool:
    """Say whether a layer that Keras does not know declares its own prunable weights."""
    return type(layer).__name__ not in KERNEL_LAYERS and hasattr(type(layer), "get_prunable_weights")


def unwrapped(layer: Any) -> Any:
    """Return the layer inside tfmot's pruning or quantising wrapper, or `layer` itself."""
    wrappers = ("QuantizeWrapper", "QuantizeWrapperV2", "PruneLowMagnitude")
    return layer.layer if type(layer).__name__ in wrappers else layer
