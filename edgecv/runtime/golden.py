"""Replaying a file's golden vectors: does this engine, here, answer as another did when the file was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import UnsupportedModelError
from edgecv.manifest import Golden, GoldenArray, Manifest, unpack_array
from edgecv.runtime.image import preprocess
from edgecv.specs import ModelSpec

Array = NDArray[Any]


class Runnable(Protocol):
    """What `replay` needs of a predictor."""

    manifest: Any
    spec: ModelSpec

    def run(self, tensors: Sequence[Array]) -> Sequence[Array]: ...


@dataclass(frozen=True)
class GoldenDifference:
    """One output of one golden vector.

    Attributes:
        vector: Index of the golden vector.
        output: Index of the output.
        max_abs_diff: Largest absolute difference, real units; infinite when the output is not finite or has another
            shape.
    """

    vector: int
    output: int
    max_abs_diff: float


@dataclass(frozen=True)
class GoldenResult:
    """How far a file's answers are from its golden ones.

    Attributes:
        max_abs_diff: Largest absolute difference over all vectors and outputs, real units.
        tolerance: The manifest's.
        n: Number of golden vectors.
        passed: Whether `max_abs_diff` is at most `tolerance`.
        details: One per vector and output.
    """

    max_abs_diff: float
    tolerance: float
    n: int
    passed: bool
    details: Tuple[GoldenDifference, ...]


def replay(predictor: Runnable) -> GoldenResult:
    """Run every golden vector of a loaded file and compare.

    Raises:
        UnsupportedModelError: The file has no manifest or no golden vectors, so nothing can be verified.
    """
    manifest = predictor.manifest
    if manifest is None or not manifest.golden:
        raise UnsupportedModelError(
            "the file holds no golden vectors, so there is nothing to verify", hint="make it again with edgecv convert"
        )
    return compare(manifest, [_answers(predictor, golden) for golden in manifest.golden])


def compare(manifest: Manifest, answers: Sequence[Sequence[Array]]) -> GoldenResult:
    """Compare answers, one sequence of arrays without the batch per golden vector, with the manifest's."""
    details = tuple(
        GoldenDifference(vector=number, output=index, max_abs_diff=_difference(expected, outputs, index))
        for number, (golden, outputs) in enumerate(zip(manifest.golden, answers))
        for index, expected in enumerate(golden.outputs)
    )
    worst = max((detail.max_abs_diff for detail in details), default=float("inf"))
    return GoldenResult(
        max_abs_diff=worst,
        tolerance=manifest.golden_tolerance,
        n=len(manifest.golden),
        passed=worst <= manifest.golden_tolerance,
        details=details,
    )


def _answers(predictor: Runnable, golden: Golden) -> Sequence[Array]:
    outputs = predictor.run([preprocess(unpack_array(golden.image), predictor.spec)])
    return [output[0] for output in outputs]


def _difference(packed: GoldenArray, outputs: Sequence[Array], index: int) -> float:
    expected = unpack_array(packed)
    if index >= len(outputs) or outputs[index].shape != expected.shape or not np.isfinite(outputs[index]).all():
        return float("inf")
    return float(np.abs(outputs[index].astype(np.float64) - expected).max(initial=0.0))
