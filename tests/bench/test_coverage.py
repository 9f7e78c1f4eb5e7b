"""Whether the interval keeps its word when the loop decides by itself when to stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgecv.bench import BenchPlan, bench, plan
from edgecv.bench.devices.fake import FakeDevice, FakeModel

# Few short rounds: the coverage at issue is that of launches.
QUICK = replace(plan("quick"), min_rounds=8, max_rounds=8)
SLOW = pytest.mark.slow
N = 150


def intervals(case_of, ratio: float, noise: dict[str, float], n: int, chosen: BenchPlan) -> list[tuple[float, float]]:
    case, base = case_of("case"), case_of("base")
    found = []
    for seed in range(n):
        models = {"case": FakeModel(median_ms=0.02 * ratio, **noise), "base": FakeModel(median_ms=0.02, **noise)}
        device = FakeDevice(models, seed=seed)
        results = bench([case], baseline=base, device=device, plan=replace(chosen, seed=seed), clock=device.clock)
        found.append(results[1].latency.ratio_ci95)
    return found


@pytest.mark.parametrize("launch_sigma", [pytest.param(0.005, marks=SLOW), 0.015, pytest.param(0.03, marks=SLOW)])
def test_the_true_ratio_lies_in_the_interval(case_of, launch_sigma):
    noise = {"launch_sigma": launch_sigma, "block_sigma": 0.03, "interruption_share": 0.1}
    found = intervals(case_of, 1.3, noise, N, QUICK)
    assert sum(low <= 1.3 <= high for low, high in found) >= 0.93 * N


def test_ten_per_cent_are_told_from_nothing(case_of):
    noise = {"launch_sigma": 0.012, "block_sigma": 0.03}
    found = intervals(case_of, 1.1, noise, 40, QUICK)
    assert sum(low > 1.0 for low, _ in found) >= 0.9 * 40
