"""Training on several sizes of the input: which ones a network takes, and calling it on them with the same weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.modelio.env import keras, tensorflow
from edgecv.tasks.registry import task_of
from edgecv.values.specs import ModelSpec

Size = tuple[int, int]


def input_sizes(model: Any, spec: ModelSpec, factors: Sequence[float]) -> tuple[Size, ...]:
    """Return the sizes (height, width) of the input by which a batch may come, each once, the smallest first.

    They are the nearest multiples of the network's stride: what lies between two cells of its smallest maps.

    Args:
        model: Functional or sequential.
        spec: Its contract, of the full size.
        factors: Of the full size's sides.

    Raises:
        ConfigError: The model takes no image, or several inputs, or a head can be read at the full size only.
    """
    if len(spec.inputs) != 1 or spec.input.preprocessing is None:
        raise ConfigError(
            f"sizes are of an image, and '{spec.name}' takes {', '.join(one.name for one in spec.inputs)}",
            hint="leave sizes out of the recipe",
        )
    full, step = (spec.input_shape[0], spec.input_shape[1]), _stride(model, spec)
    found = {(_nearest(full[0] * factor, step), _nearest(full[1] * factor, step)) for factor in factors}
    for size in found - {full}:
        for head in spec.heads:
            task_of(head).check_size(head, size)
    return tuple(sorted(found))


@contextlib.contextmanager
def any_size(models: Sequence[Any]) -> Iterator[None]:
    """Let models, and those inside them, be called on inputs of another size than they were built for.

    Their layers are what decides: a convolution takes every size, a dense layer behind a flattened map does not.
    """
    nested = [one for model in models for one in (model, *model.submodules) if isinstance(one, keras().Model)]
    specs = [(one, one.input_spec) for one in nested]
    for one in nested:
        one.input_spec = None
    try:
        yield
    finally:
        for one, spec in specs:
            one.input_spec = spec


def refused(model: Any, size: Size, error: Exception) -> ConfigError:
    """Return the error for a network that a size cannot be traced with; Keras names the layer."""
    told = " ".join(str(error).split())[:400]
    return ConfigError(
        f"'{model.name}' takes no input of {size[0]}x{size[1]}, which the recipe's sizes ask for: {told}",
        hint="only a network that is convolutional up to its heads takes several sizes: leave sizes out of the recipe",
    )


def _nearest(side: float, step: int) -> int:
    return max(1, round(side / step)) * step


def _stride(model: Any, spec: ModelSpec) -> int:
    """How many pixels of the input lie between two cells of the smallest maps; what is 1x1 is a pool, and no map."""
    height, found = spec.input_shape[0], [1]
    for layer in model.layers:
        for tensor in tensorflow().nest.flatten(getattr(layer, "output", ())):
            shape = tuple(getattr(tensor, "shape", ()))
            if len(shape) == 4 and None not in shape[1:3] and min(shape[1:3]) > 1:
                found.append(height // int(shape[1]))
    return max(found)
