"""From nodes to layers of tf_keras, a function per kind of operator: it takes the building and the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgecv.modelio.onnx.rules import (
    activations,
    arithmetic,
    convolution,
    linear,
    moves,
    norms,
    reductions,
    resizing,
)

RULES: Mapping[str, Callable[..., Any]] = {
    **activations.RULES,
    **arithmetic.RULES,
    **convolution.RULES,
    **linear.RULES,
    **moves.RULES,
    **norms.RULES,
    **reductions.RULES,
    **resizing.RULES,
}
"""By operator; a rule gives a `Value`, or one for each output, and raises `Refused` with a reason."""
