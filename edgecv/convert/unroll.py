"""Recurrent layers step by step: a loop becomes the operators of all its steps.

A loop is a WHILE operator with graphs of its own for condition and body, which TensorFlow Lite's quantiser leaves in
float, tf2onnx turns into control flow, and accelerators do not take. The number of steps is known, since every shape
is; unrolled, a step is made of products, additions and activations, which have integer kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgecv.modelio import env

STEPS = 128
"""The longest sequence that is written out: a file grows by some ten operators with every step."""


@contextmanager
def unrolled() -> Iterator[None]:
    """Make keras write out the steps of every loop over time while a model is traced.

    All recurrent layers, and layers that are distributed over time, go through one function of keras. Sequences of more
    than STEPS stay loops.
    """
    backend = _backend()
    rolled = backend.rnn

    def step_by_step(step: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        axis = 0 if options.get("time_major") else 1
        tf = env.tensorflow()
        if all((tensor.shape[axis] or STEPS + 1) <= STEPS for tensor in tf.nest.flatten(inputs)):
            options["unroll"] = True
        return rolled(step, inputs, *arguments, **options)

    backend.rnn = step_by_step
    try:
        yield
    finally:
        backend.rnn = rolled


def _backend() -> Any:
    env.keras()
    from tf_keras.src import backend

    return backend
