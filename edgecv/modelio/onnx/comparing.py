"""How far an imported model's answers lie from ONNX Runtime's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.modelio.boundary import call
from edgecv.modelio.onnx.build import Built
from edgecv.modelio.onnx.net import Array
from edgecv.modelio.onnx.observed import feeds

TOLERANCE = 1e-4
"""Of an output's range."""
LEAST_SPAN = 0.05
"""Of the largest value: a narrower range is that of a network that answers nearly the same everywhere."""
LEAST_PROBABILITY = 0.01
"""The least range of probabilities: where all are near 0, float32 itself differs by 1e-7."""
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


def drawn(proto: Any, seed: int) -> list[dict[str, Array]]:
    """Return random inputs of a file: of 0..1, and about 0."""
    rng = np.random.default_rng(seed)
    return [_drawn(proto, rng, centred=turn % 2 == 1) for turn in range(INPUTS)]


def compare(
    built: Built, names: Sequence[str], fed: Sequence[Mapping[str, Array]], expected: Sequence[Sequence[Array]]
) -> tuple[Difference, ...]:
    """Return how far each output lies from ONNX Runtime's, at worst.

    Args:
        built: The imported model.
        names: Of its outputs, in the file.
        fed: What it is asked, as the file takes it.
        expected: What ONNX Runtime answers.
    """
    worst = [0.0] * len(names)
    for feed, wanted in zip(fed, expected, strict=True):
        got = answers_of(built, list(feed.values()))
        found = [
            distance(a, b, least=LEAST_PROBABILITY if bounded else 0.0)
            for a, b, bounded in zip(wanted, got, built.probabilities, strict=True)
        ]
        worst = [_larger(known, new) for known, new in zip(worst, found, strict=True)]
    return tuple(Difference(output=name, relative=value) for name, value in zip(names, worst, strict=True))


def _larger(one: float, other: float) -> float:
    return other if np.isnan(other) or other > one else one


def _drawn(proto: Any, rng: np.random.Generator, *, centred: bool) -> dict[str, Array]:
    fed = feeds(proto, rng)
    return {name: (one - 0.5) * 4 if centred and one.dtype == np.float32 else one for name, one in fed.items()}


def answers_of(built: Built, arrays: Sequence[Array]) -> list[Array]:
    """Return the answers of an imported model to inputs as the file takes them, as the file gives them."""
    given = [array.transpose(perm).astype(np.float32) for array, perm in zip(arrays, built.inputs, strict=True)]
    outputs = [np.asarray(one) for one in call(built.model, given)]
    return [one.transpose(np.argsort(perm)) for one, perm in zip(outputs, built.outputs, strict=True)]


def distance(wanted: Array, got: Array, *, least: float = 0.0) -> float:
    """Return the largest distance over the range of what is wanted, or over `least` where that is more.

    Of integers the share that differs; infinite where shapes or finiteness differ, NaN where both are not finite.
    """
    if wanted.shape != got.shape:
        return float("inf")
    if wanted.dtype.kind in "iub":
        return float(np.mean(wanted != got)) if wanted.size else 0.0
    if not np.isfinite(wanted).all():
        same = np.isfinite(wanted) == np.isfinite(got)
        return float("nan") if same.all() else float("inf")
    span = float(wanted.max() - wanted.min()) if wanted.size else 0.0
    scale = max(span, LEAST_SPAN * float(np.abs(wanted).max(initial=0.0)), least, 1e-12)
    return float(np.abs(wanted.astype(np.float64) - got).max(initial=0.0) / scale)
