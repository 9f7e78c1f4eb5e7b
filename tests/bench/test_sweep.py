from __future__ import annotations

import pytest

from edgecv.bench import BenchCase, parse_threads, sweep, sweep_cases
from edgecv.core.errors import ConfigError
from edgecv.values.latency import Latency


def latency(threads: int, ratio: float | None, ci95: tuple[float, float] | None) -> Latency:
    return Latency(
        device="d",
        engine="e",
        accelerator="cpu",
        threads=threads,
        kind="simulated",
        load_ms=1.0,
        first_ms=1.0,
        p50=1.0 if ratio is None else ratio,
        p90=1.0,
        p99=1.0,
        samples=(1.0,),
        ratio_to_baseline=ratio,
        ratio_ci95=ci95,
    )


def test_numbers_of_threads():
    assert parse_threads("4") == (4,)
    assert parse_threads("1, 2,4") == (1, 2, 4)
    for wrong in ("", "x", "1,,2", "0", "1,-2", "2,2"):
        with pytest.raises(ConfigError, match="--threads"):
            parse_threads(wrong)


def test_cases_differ_in_threads_and_name():
    cases = sweep_cases(BenchCase(name="m", path="m"), (1, 2))
    assert [(case.name, case.threads) for case in cases] == [("m, 1 thread", 1), ("m, 2 threads", 2)]


def test_the_best_has_the_lowest_ratio_and_overlaps_are_named():
    points = [latency(1, None, None), latency(2, 0.6, (0.55, 0.66)), latency(4, 0.58, (0.5, 0.65))]
    found = sweep("m", "1 thread", points)
    assert found.best == 4
    assert found.tied == (2,)
    assert [p.ratio for p in found.points] == [None, 0.6, 0.58]
    assert found.points[1].ci95 == (0.55, 0.66)


def test_the_reference_itself_can_be_best():
    found = sweep("m", "1 thread", [latency(1, None, None), latency(2, 1.2, (1.1, 1.3)), latency(4, 1.05, (0.9, 1.2))])
    assert found.best == 1
    assert found.tied == (4,), "whose interval holds 1"
