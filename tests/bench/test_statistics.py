from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgecv.bench import statistics as stats
from edgecv.tasks.paired import t_quantile95

CLEAN = np.zeros(8, np.bool_)


def launches(rng: np.random.Generator, n: int, m: int, between: float, within: float) -> list[np.ndarray]:
    return [rng.normal(rng.normal(0, between) if between else 0.0, within, m) for _ in range(n)]


def test_percentiles_by_hand():
    assert stats.percentiles([4, 1, 3, 2, 5]) == pytest.approx((3.0, 4.6, 4.96))


def test_midmean_by_hand():
    assert stats.midmean(np.array([100.0, 1, 2, 3, 4, 5, 6, -50])) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert stats.midmean(np.array([1.0, 2.0, 9.0])) == pytest.approx(4.0), "too few to leave any out"


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3)), st.floats(-10, 10))
def test_midmean_lies_between_and_moves_along(values, shift):
    found = float(stats.midmean(values))
    assert values.min() - 1e-9 <= found <= values.max() + 1e-9
    assert float(stats.midmean(values + shift)) == pytest.approx(found + shift, abs=1e-6)


def test_midmean_agrees_with_scipy():
    scipy_stats = pytest.importorskip("scipy.stats", reason="scipy has an independent trimmed mean")
    values = np.random.default_rng(0).standard_cauchy(101)
    assert stats.midmean(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25))


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 10, 29, 30, 31, 60, 120, 1000])
def test_t_quantile_agrees_with_scipy(degrees):
    scipy_stats = pytest.importorskip("scipy.stats", reason="scipy has an independent quantile")
    assert t_quantile95(degrees) == pytest.approx(scipy_stats.t.ppf(0.975, degrees), abs=6e-4)


def test_log_ratios_leave_disturbed_rounds_out_on_both_sides():
    case, base = [2.0] * 8, [1.0] * 8
    case[3] = 50.0
    hit = CLEAN.copy()
    hit[3] = True
    assert stats.log_ratios(case, base, hit) == pytest.approx([math.log(2)] * 7)


def test_log_ratios_keep_all_when_hardly_any_is_clean():
    hit = ~CLEAN
    hit[:4] = False
    assert stats.log_ratios([2.0] * 8, [1.0] * 8, hit).size == 8


def test_interval_is_students_when_rounds_do_not_vary():
    centres = np.array([0.01, 0.03, -0.02, 0.0, 0.02, -0.01])
    found = stats.ratio_interval([np.full(5, c) for c in centres], np.random.default_rng(0))
    half = 2.571 * centres.std(ddof=1) / math.sqrt(6)
    assert found.value == pytest.approx(math.exp(centres.mean()))
    assert found.low is not None
    assert found.high is not None
    assert math.log(found.high / found.low) / 2 == pytest.approx(half, rel=0.1), "a bootstrap of 600 is within 10 %"


def test_rounds_that_vary_widen_the_interval():
    rng = np.random.default_rng(0)
    steady = stats.ratio_interval(launches(rng, 6, 20, 0.01, 0.001), np.random.default_rng(0))
    noisy = stats.ratio_interval(launches(rng, 6, 20, 0.01, 0.2), np.random.default_rng(0))
    assert noisy.width > 2 * steady.width


def test_no_interval_from_two_launches():
    found = stats.ratio_interval([np.zeros(5), np.ones(5)], np.random.default_rng(0))
    assert (found.low, found.high) == (None, None)
    assert found.value == pytest.approx(math.exp(0.5))
    assert found.width == math.inf


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 2.0))
def test_interval_scales_with_the_ratio(seed, factor):
    data = launches(np.random.default_rng(seed), 5, 10, 0.02, 0.05)
    plain = stats.ratio_interval(data, np.random.default_rng(1))
    scaled = stats.ratio_interval([d + math.log(factor) for d in data], np.random.default_rng(1))
    assert plain.low is not None
    assert scaled.low is not None
    assert scaled.value == pytest.approx(plain.value * factor)
    assert scaled.low == pytest.approx(plain.low * factor)
    assert plain.low <= plain.value <= plain.high


@pytest.mark.parametrize("n", [3, 5, 8])
def test_interval_covers_with_few_launches(n):
    rng = np.random.default_rng(n)
    hits = 0
    for _ in range(300):
        found = stats.ratio_interval(launches(rng, n, 12, 0.02, 0.02), rng)
        hits += found.low <= 1.0 <= found.high
    assert hits >= 0.93 * 300


def test_outliers():
    assert stats.outlier_share([1.0, 1.01, 0.99, 1.02, 0.98, 5.0, 1.0, 1.0, 1.01, 0.99]) == pytest.approx(0.1)
    assert stats.outlier_share([1.0] * 9 + [2.0]) == pytest.approx(0.1)
    assert stats.outlier_share([1.0] * 10) == 0.0


def test_launch_spread():
    assert stats.launch_spread([1.0]) == 0.0
    assert stats.launch_spread([0.9, 1.1]) == pytest.approx(math.sqrt(0.02))
