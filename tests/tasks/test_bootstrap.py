"""The paired bootstrap: its draws, its interval by hand, and how often the interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.tasks.bootstrap import bootstrap_drop, draws, expanded_tail
from edgecv.values.scores import Metric

SHARE = Metric("share of right answers")
ERROR = Metric("mae", unit="mm", better="lower")


def mean(values):
    """The weighted mean as a statistic."""
    return lambda weights: weights @ np.asarray(values, np.float64) / weights.sum(axis=1)


def test_value_is_the_drop_of_the_whole_split():
    drop = bootstrap_drop(mean([1, 1, 0, 1]), mean([1, 0, 0, 1]), 4, SHARE)
    assert drop.value == 0.25
    assert drop.ci95[0] <= 0.25 <= drop.ci95[1]


def test_a_growing_error_is_a_drop():
    drop = bootstrap_drop(mean([1.0, 2.0, 3.0]), mean([2.0, 3.0, 4.0]), 3, ERROR)
    assert drop.value == pytest.approx(1.0)
    assert drop.ci95 == pytest.approx((1.0, 1.0))


@given(n=st.integers(2, 40), repeats=st.integers(1, 30), seed=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_every_draw_has_n_units(n, repeats, seed):
    weights = np.concatenate(list(draws(n, repeats=repeats, seed=seed)))
    assert weights.shape == (repeats, n)
    assert (weights >= 0).all()
    assert (weights.sum(axis=1) == n).all()


def test_many_units_come_in_chunks_of_bounded_size():
    chunks = list(draws(10_000, repeats=250))
    assert sum(len(chunk) for chunk in chunks) == 250
    assert max(chunk.nbytes for chunk in chunks) <= 8 << 20


def test_the_seed_decides():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=50), rng.normal(size=50)
    same = [bootstrap_drop(mean(first), mean(second), 50, SHARE, seed=seed).ci95 for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


@pytest.mark.parametrize("n", [2, 5, 30, 1000])
def test_tail_agrees_with_scipy(n):
    expected = scipy.stats.norm.cdf(-math.sqrt(n / (n - 1)) * scipy.stats.t.ppf(0.975, n - 1))
    assert expanded_tail(n) == pytest.approx(expected, rel=1e-6, abs=1e-30)


def test_interval_of_a_mean_agrees_with_scipys_percentiles_for_many_units():
    rng = np.random.default_rng(0)
    first, second = rng.normal(1.0, 1.0, 400), rng.normal(0.9, 1.0, 400)
    ours = bootstrap_drop(mean(first), mean(second), 400, SHARE, repeats=4000)
    theirs = scipy.stats.bootstrap(
        (first - second,), np.mean, n_resamples=4000, method="percentile", random_state=0
    ).confidence_interval
    assert ours.ci95 == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_an_undefined_draw_is_left_out():
    def positives(weights):
        with np.errstate(invalid="ignore"):
            return weights[:, 0] / np.where(weights[:, 0] > 0, weights[:, 0], np.nan)

    assert bootstrap_drop(positives, mean([0, 0, 0]), 3, SHARE).ci95 == (1.0, 1.0)


def test_one_unit_has_no_interval():
    with pytest.raises(DataError, match="at least 2 samples, got 1"):
        bootstrap_drop(mean([1]), mean([0]), 1, SHARE)


def test_an_undefined_drop_is_refused():
    with pytest.raises(DataError, match="undefined on these 2 samples"):
        bootstrap_drop(lambda weights: np.full(len(weights), np.nan), mean([0, 0]), 2, SHARE)


@pytest.mark.parametrize("n", [10, 60])
def test_interval_of_a_mean_holds_the_truth_in_95_percent_of_repetitions(n):
    rng, hits, runs = np.random.default_rng(n), 0, 400
    for seed in range(runs):
        first = rng.normal(0.0, 1.0, n)
        drop = bootstrap_drop(mean(first), mean(first - rng.normal(0.3, 0.5, n)), n, SHARE, repeats=400, seed=seed)
        hits += drop.ci95[0] <= 0.3 <= drop.ci95[1]
    # Of 400 repetitions, the share itself varies by 1.1 points.
    assert 0.92 <= hits / runs <= 0.98
