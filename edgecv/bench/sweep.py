"""How a file's time depends on the number of threads: the best count, and what cannot be told from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgecv.bench.cases import BenchCase
from edgecv.core.errors import ConfigError
from edgecv.values.latency import Latency, SweepPoint, ThreadSweep


def parse_threads(text: str) -> tuple[int, ...]:
    """Read "4" or "1,2,4".

    Raises:
        ConfigError: It is something else, a count is below 1, or one comes twice.
    """
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--threads: expected a number or several like 1,2,4, got '{text}'") from error
    if min(counts) < 1 or len(set(counts)) < len(counts):
        raise ConfigError(f"--threads: expected different numbers of 1 or more, got '{text}'")
    return counts


def sweep_name(name: str, threads: int) -> str:
    """Return the case's name of a file with a number of threads: "m.tflite, 2 threads"."""
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"


def sweep_cases(case: BenchCase, counts: Sequence[int]) -> tuple[BenchCase, ...]:
    """Return the case with each number of threads."""
    return tuple(replace(case, name=sweep_name(case.name, n), threads=n) for n in counts)


def sweep(artifact: str, reference: str, latencies: Sequence[Latency]) -> ThreadSweep:
    """Choose the best number of threads.

    Args:
        artifact: The file's name.
        reference: What the ratios are to.
        latencies: One per number of threads. One without a ratio is the reference itself, and counts as 1.
    """
    points = tuple(
        SweepPoint(threads=x.threads, p50=x.p50, ratio=x.ratio_to_baseline, ci95=x.ratio_ci95) for x in latencies
    )
    best = min(points, key=_height)
    low, high = _bounds(best)
    tied = tuple(p.threads for p in points if p is not best and _bounds(p)[0] <= high and _bounds(p)[1] >= low)
    return ThreadSweep(
        artifact=artifact, device=latencies[0].device, reference=reference, points=points, best=best.threads, tied=tied
    )


def _height(point: SweepPoint) -> float:
    return 1.0 if point.ratio is None else point.ratio


def _bounds(point: SweepPoint) -> tuple[float, float]:
    return point.ci95 or (_height(point), _height(point))
