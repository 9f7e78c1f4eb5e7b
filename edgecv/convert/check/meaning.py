"""Whether a contract says what the float model does: the scale of its input, the kind of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.modelio.boundary import input_names
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_inputs
from edgecv.values.specs import InputSpec, ModelSpec

Array = np.ndarray[Any, Any]
NARROW = 0.05
"""Span of what reaches a first layer below which its input was scaled twice: a trained one has 1 or more."""
SAME = 1e-6
"""Largest share of the largest answer by which answers to different images differ that are the same."""

STEP = 1 / 256
"""Of probabilities in 8 bits."""


def check(
    answers: Sequence[Array],
    spec: ModelSpec,
    model: Any,
    bound: Sequence[Sequence[int]],
    *,
    real: bool,
    rounded: bool = False,
    tell: Callable[[str], None],
) -> None:
    """Hold a contract against the float model and its answers to the check's samples.

    Args:
        answers: One array per output, float32 (n, …), in the model's order.
        spec: The contract.
        model: The keras model.
        bound: Of each head, the places of its outputs.
        real: Whether the samples are real ones: answers to noise say nothing.
        rounded: Whether the model rounds its answers to 8 bits itself: it was trained with quantisation.
        tell: Takes what is likely wrong.

    Raises:
        ConfigError: The contract cannot be right.
    """
    for text in scaled_twice(model, spec):
        tell(text)
    if not real:
        return
    for head, places in zip(spec.heads, bound, strict=True):
        own = [answers[place] for place in places]
        found = task_of(head).contradiction(own, head, STEP if rounded else 0.0)
        if found is not None and found.certain:
            raise ConfigError(found.text, hint=found.hint)
        if found is not None:
            tell(f"{found.text}; {found.hint}")
    if len(answers[0]) > 1 and never_change(answers):
        tell(
            f"the float model gives the same answer to all {len(answers[0])} check images: look at mean and std of the "
            "spec, and at the data"
        )


def never_change(answers: Sequence[Array]) -> bool:
    """Return whether a model's answers, one array (n, …) per output, are the same for all samples."""
    return all(map(_constant, answers))


def _constant(answers: Array) -> bool:
    spread = float(np.abs(answers - answers[:1]).max())
    return spread <= SAME * float(np.abs(answers).max())


def scaled_twice(model: Any, spec: ModelSpec) -> Iterator[str]:
    """Yield a sentence for each input that the spec scales and the model's first layer scales again."""
    places = bind_inputs(spec, input_names(model), spec.name)
    for only, place in zip(spec.inputs, places, strict=True):
        span = _span(only, model.inputs[place], model)
        if span is not None and span < NARROW:
            low, high = only.range or (0.0, 0.0)
            yield (
                f"input '{only.name}' is scaled twice: the spec gives {low:.3g} to {high:.3g}, and the model's own "
                f"first layer makes a span of {span:.2g} of it; where the model does it, the spec says mean 0 and std 1"
            )


def _span(only: InputSpec, tensor: Any, model: Any) -> float | None:
    """Return the span of values behind a model's own scaling of an input; None where it has none."""
    layers = [layer for layer in model.layers for node in layer._inbound_nodes if _takes(node, tensor)]
    kinds = {type(layer).__name__ for layer in layers}
    if only.range is None or kinds != {"Rescaling"}:
        return None
    low, high = only.range
    return float(np.max(np.abs(np.asarray(layers[0].scale, np.float64)))) * (high - low)


def _takes(node: Any, tensor: Any) -> bool:
    return any(given is tensor for given in (node.keras_inputs or ()))
