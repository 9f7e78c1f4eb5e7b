"""Replaying a file's golden vectors: does this engine, here, answer as another did when the file was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.runtime.image import preprocess_sample
from edgecv.values.manifest import Golden, GoldenOutput, Manifest, pack_output, sampled_positions, unpack_array
from edgecv.values.specs import ModelSpec

Array = NDArray[Any]


FLOAT16_RELATIVE = 0.03
"""For accelerators that compute in float16: what its 11 bits lose through a deep network stays below this on the zoo's
networks (benchmarks/reference/gpu_coverage.json: at most 0.027, untrained)."""


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
        tolerance: Largest allowed difference of the output.
        max_abs_diff: Largest absolute difference, real units; infinite when the output is not finite or has another
            shape.
    """

    vector: int
    output: int
    tolerance: float
    max_abs_diff: float

    @property
    def passed(self) -> bool:
        """Whether the difference is allowed."""
        return self.max_abs_diff <= self.tolerance


@dataclass(frozen=True)
class GoldenResult:
    """How far a file's answers are from its golden ones.

    Attributes:
        max_abs_diff: Of the output that is farthest off by its own tolerance, real units.
        tolerance: Of that output.
        n: Number of golden vectors.
        passed: Whether every output is within its tolerance.
        details: One per vector and output.
    """

    max_abs_diff: float
    tolerance: float
    n: int
    passed: bool
    details: Tuple[GoldenDifference, ...]


def replay(predictor: Runnable, *, relative: float = 0.0) -> GoldenResult:
    """Run every golden vector of a loaded file and compare.

    Args:
        predictor: The loaded file.
        relative: An output may be off by so much of its largest golden value, where that is more than the file's own
            tolerance: see `FLOAT16_RELATIVE`.

    Raises:
        UnsupportedModelError: The file has no manifest or no golden vectors, so nothing can be verified.
    """
    manifest = predictor.manifest
    if manifest is None or not manifest.golden:
        raise UnsupportedModelError(
            "the file holds no golden vectors, so there is nothing to verify", hint="make it again with edgecv convert"
        )
    return compare(manifest, [_answers(predictor, golden) for golden in manifest.golden], relative=relative)


def compare(manifest: Manifest, answers: Sequence[Sequence[Array]], *, relative: float = 0.0) -> GoldenResult:
    """Compare answers, one sequence of arrays without the batch per golden vector, with the manifest's."""
    details = tuple(
        GoldenDifference(
            vector=number,
            output=index,
            tolerance=max(_tolerance(manifest, index), relative * size_of(expected)),
            max_abs_diff=_difference(expected, outputs, index),
        )
        for number, (golden, outputs) in enumerate(zip(manifest.golden, answers))
        for index, expected in enumerate(golden.outputs)
    )
    return result_of(details, manifest.golden_tolerance)


def result_of(details: Sequence[GoldenDifference], tolerance: float = 0.0) -> GoldenResult:
    """Return the worst of some differences: how far a file is off. `tolerance` is told where there are none."""
    worst = max(details, key=lambda detail: (not detail.passed, detail.max_abs_diff), default=None)
    return GoldenResult(
        max_abs_diff=worst.max_abs_diff if worst else float("inf"),
        tolerance=worst.tolerance if worst else tolerance,
        n=len({detail.vector for detail in details}),
        passed=worst is not None and all(detail.passed for detail in details),
        details=tuple(details),
    )


def _tolerance(manifest: Manifest, output: int) -> float:
    if output < len(manifest.golden_tolerances):
        return manifest.golden_tolerances[output]
    return manifest.golden_tolerance


def size_of(expected: GoldenOutput) -> float:
    """Return the largest absolute value that is kept of an output."""
    return float(np.abs(unpack_array(expected.values)).max(initial=0.0))


def sample_of(golden: Golden) -> List[Array]:
    """Return what the file took, one array per input of the spec."""
    return [unpack_array(packed) for packed in golden.inputs]


def _answers(predictor: Runnable, golden: Golden) -> Sequence[Array]:
    outputs = predictor.run(preprocess_sample(sample_of(golden), predictor.spec))
    return [output[0] for output in outputs]


def _difference(expected: GoldenOutput, outputs: Sequence[Array], index: int) -> float:
    return difference_to(expected, outputs[index] if index < len(outputs) else None)


def difference_to(expected: GoldenOutput, found: Optional[Array]) -> float:
    """Return the largest difference of an output, of a large one over what is kept of it; 0 when its digest agrees.

    Infinite when there is none, or it is not finite or of another shape.
    """
    if found is None or found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    if pack_output(expected.name, found).sha256 == expected.sha256:
        return 0.0
    flat = found.reshape(-1)
    sampled = flat[sampled_positions(flat.size)].astype(np.float64)
    kept = unpack_array(expected.values).reshape(-1)
    if kept.size != sampled.size:  # not what was kept of such an output
        return float("inf")
    return float(np.abs(sampled - kept).max(initial=0.0))
