"""Whether a device's interpreter gives this host's answers, number by number, on inputs that are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.bench.remote import DevicePredictor
from edgecv.core.errors import EdgecvError
from edgecv.modelio.model_file import model_file
from edgecv.runtime import preprocess_sample
from edgecv.runtime.apart_session import ApartSession
from edgecv.runtime.golden import sample_of
from edgecv.runtime.tensors import random_input, to_stored

Array = np.ndarray[Any, Any]

RANDOM_SAMPLES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Raw outputs of a device against this host's.

    Attributes:
        samples: Inputs compared: the file's golden ones and seeded random ones.
        values: Output values compared.
        differing: How many of them are not equal, bit for bit.
        max_steps: Largest difference in steps of its output's quantisation; None without integer outputs.
        max_abs_diff: Largest difference in real units.
        host_engine: Of this host; None when it cannot run the file, and then nothing was compared.
        cause: Why they differ, as far as it can be told; "" when they do not.
    """

    samples: int
    values: int
    differing: int
    max_steps: int | None
    max_abs_diff: float
    host_engine: str | None
    cause: str


def compare(file: Path, there: DevicePredictor, *, samples: int = RANDOM_SAMPLES, seed: int = 0) -> Agreement:
    """Run the golden and random inputs on a device and here.

    Raises:
        DeviceError: The device failed.
    """
    try:
        here = ApartSession(file, {})
    except EdgecvError as error:
        cause = f"this host cannot run the file: {error.message}"
        return Agreement(samples=0, values=0, differing=0, max_steps=None, max_abs_diff=0.0, host_engine=None,
                         cause=cause)  # fmt: skip
    try:
        inputs = _inputs(there, samples, seed)
        expected = [here.run(tensors) for tensors in inputs]
    finally:
        here.close()
    got = [
        answer for i in range(0, len(inputs), there.batch) for answer in there.predict_raw(inputs[i : i + there.batch])
    ]
    return _agreement(expected, got, there, here.engine, half=model_file(file).graph.half)


def _inputs(there: DevicePredictor, samples: int, seed: int) -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    goldens = there.manifest.golden if there.manifest is not None else ()
    kept = [_stored(sample_of(golden), there) for golden in goldens]
    return kept + [[random_input(each.shape, each.dtype, rng) for each in there.inputs] for _ in range(samples)]


def _stored(sample: list[Array], there: DevicePredictor) -> list[Array]:
    tensors = there.in_file_order(preprocess_sample(sample, there.spec))
    return [to_stored(tensor, info) for tensor, info in zip(tensors, there.inputs, strict=True)]


def _agreement(
    expected: Sequence[Sequence[Array]],
    got: Sequence[Sequence[Array]],
    there: DevicePredictor,
    engine: str,
    *,
    half: bool,
) -> Agreement:
    steps: list[int] = []
    values = differing = 0
    largest = 0.0
    for mine, theirs in zip(expected, got, strict=True):
        for a, b, info in zip(mine, theirs, there.outputs, strict=True):
            values += a.size
            differing += int((a != b).sum())
            difference = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))
            largest = max(largest, difference * (info.scale if info.scale is not None else 1.0))
            if np.dtype(info.dtype).kind in "iu":
                steps.append(round(difference))
    return Agreement(
        samples=len(expected),
        values=values,
        differing=differing,
        max_steps=max(steps, default=None),
        max_abs_diff=largest,
        host_engine=engine,
        cause=_cause(engine, there, bool(steps), half) if differing else "",
    )


def _cause(engine: str, there: DevicePredictor, integer: bool, half: bool) -> str:
    if engine != there.engine:
        return (
            f"another interpreter, {there.engine} there and {engine} here: their kernels round differently, as may "
            "those of another processor"
        )
    if integer:
        return f"the same interpreter ({engine}) picks other kernels on that processor, which round differently"
    if half:
        return f"the file lets processors that can compute in float16; the interpreter is the same ({engine})"
    return f"the same interpreter ({engine}) adds floats up in another order on that processor"
