"""Networks without weights: to count and to show what they are, at no cost of memory and little of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgecv.modelio import env

LEAST = 1024
"""Variables of fewer values get them: some layers compute with theirs while they are built (Normalization)."""


@contextmanager
def weightless() -> Iterator[None]:
    """Make keras models in this scope hold large variables of a shape and no values.

    Such a model can be profiled and its layers be listed; it cannot be called, saved or trained.
    """
    tf = env.tensorflow()
    from tensorflow.python.ops.resource_variable_ops import UninitializedVariable

    def create(next_creator: Callable[..., Any], **options: Any) -> Any:
        shape, dtype = options.get("shape"), options.get("dtype")
        if shape is None or dtype is None or math.prod(shape) < LEAST:
            return next_creator(**options)
        return UninitializedVariable(shape=shape, dtype=dtype, name=options["name"], trainable=options["trainable"])

    with tf.variable_creator_scope(create):
        yield
