"""How far an imported model's answers lie from ONNX Runtime's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.modelio.boundary import call
from edgecv.modelio.onnx.build import Built
from edgecv.modelio.onnx.net import Array
from edgecv.modelio.onnx.observed import Answers, feeds

TOLERANCE = 1e-4
"""Of an output's range."""
LEAST_SPAN = 0.05
"""Of the largest value: a narrower range is that of a network that answers nearly the same everywhere."""
INPUTS = 3
"""Random inputs that both answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far one output lies from the file's.

    Attributes:
        output: Its name in the file.
        relative: The largest distance over the output's range, of the worst input; of integers the share that differ.
    """

    output: str
    relative: float


def compare(proto: Any, built: Built, path: Path, *, inputs: int = INPUTS, seed: int = 0) -> tuple[Difference, ...]:
    """Return how far each output lies from ONNX Runtime's on random inputs: pixels of 0..1, and of mean 0."""
    rng = np.random.default_rng(seed)
    fed = [_drawn(proto, rng, centred=turn % 2 == 1) for turn in range(inputs)]
    names = [one.name for one in proto.graph.output]
    with Answers(proto, path) as answers:
        expected = [answers(feed) for feed in fed]
    worst = [0.0] * len(names)
    for feed, wanted in zip(fed, expected, strict=True):
        got = answers_of(built, list(feed.values()))
        worst = [max(known, distance(a, b)) for known, a, b in zip(worst, wanted, got, strict=True)]
    return tuple(Difference(output=name, relative=value) for name, value in zip(names, worst, strict=True))


def _drawn(proto: Any, rng: np.random.Generator, *, centred: bool) -> dict[str, Array]:
    fed = feeds(proto, rng)
    return {name: (one - 0.5) * 4 if centred and one.dtype == np.float32 else one for name, one in fed.items()}


def answers_of(built: Built, arrays: Sequence[Array]) -> list[Array]:
    """Return the answers of an imported model to inputs as the file takes them, as the file gives them."""
    given = [array.transpose(perm).astype(np.float32) for array, perm in zip(arrays, built.inputs, strict=True)]
    outputs = [np.asarray(one) for one in call(built.model, given)]
    return [one.transpose(np.argsort(perm)) for one, perm in zip(outputs, built.outputs, strict=True)]


def distance(wanted: Array, got: Array) -> float:
    """Return the largest distance over the range of what is wanted; infinite where shapes or finiteness differ."""
    if wanted.shape != got.shape:
        return float("inf")
    if wanted.dtype.kind in "iub":
        return float(np.mean(wanted != got)) if wanted.size else 0.0
    if not np.isfinite(wanted).all():
        same = np.isfinite(wanted) == np.isfinite(got)
        return float("nan") if same.all() else float("inf")
    span = float(wanted.max() - wanted.min()) if wanted.size else 0.0
    scale = max(span, LEAST_SPAN * float(np.abs(wanted).max(initial=0.0)), 1e-12)
    return float(np.abs(wanted.astype(np.float64) - got).max(initial=0.0) / scale)
