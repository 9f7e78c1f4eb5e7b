import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecv.calibration.clipping import (
    clipping_loss,
    entropy_range,
    kl_divergence,
    mse_range,
    percentile_range,
    squared_error,
)
from edgecv.calibration.histogram import StreamingHistogram

values = arrays(np.float32, st.integers(1, 300), elements=st.floats(-1000, 1000, width=32))


def filled(data):
    histogram = StreamingHistogram()
    histogram.add(np.asarray(data, np.float32))
    return histogram


@given(values, st.floats(50, 100))
def test_percentiles_match_numpy_within_a_bin(data, percentile):
    histogram = filled(data)
    low, high = percentile_range(histogram, percentile)
    ranked = np.sort(data.astype(np.float64))
    # On binned counts any point between the two neighbouring order statistics is a quantile.
    for got, share in ((low, 1 - percentile / 100), (high, percentile / 100)):
        below = np.percentile(ranked, max(100 * share - 100 / len(ranked), 0), method="inverted_cdf")
        above = np.percentile(ranked, min(100 * share + 100 / len(ranked), 100), method="inverted_cdf")
        assert below - 2 * histogram.width <= got <= above + 2 * histogram.width


def test_percentile_parity_on_many_values():
    data = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    histogram = filled(data)
    low, high = percentile_range(histogram, 99)
    assert low == pytest.approx(np.percentile(data, 1), abs=histogram.width)
    assert high == pytest.approx(np.percentile(data, 99), abs=histogram.width)


def test_squared_error_by_hand():
    # Range 0..255 has step 1: 0.25 rounds to 0, 300 clips to 255.
    assert squared_error(np.array([0.25, 10.0, 300.0]), np.array([4, 1, 2]), 0.0, 255.0) == 4 * 0.25**2 + 2 * 45.0**2


def test_squared_error_matches_tensorflow_fake_quantisation():
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    data = np.random.default_rng(1).normal(size=2000).astype(np.float32)
    fake = tf.quantization.fake_quant_with_min_max_args(data, -1.0, 1.5).numpy()
    # tensorflow moves the range so that zero is on the grid; with this range it stays put: 102 steps below zero.
    ours = squared_error(data.astype(np.float64), np.ones(len(data)), -1.0, 1.5)
    assert ours == pytest.approx(float(np.sum((data - fake) ** 2)), rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(values)
def test_mse_range_is_no_worse_than_the_full_range(data):
    histogram = filled(data)
    low, high = mse_range(histogram)
    assert min(histogram.low, 0) <= low <= 0 <= high <= max(histogram.high, 0)
    full = squared_error(histogram.centers, histogram.counts, min(histogram.low, 0.0), max(histogram.high, 0.0))
    assert squared_error(histogram.centers, histogram.counts, low, high) <= full


def test_mse_clips_a_rare_outlier_of_many_values():
    data = np.append(np.random.default_rng(0).random(2_000_000), 8.0)
    assert mse_range(filled(data))[1] < 8.0


def test_mse_agrees_with_brute_force_on_the_data():
    data = np.random.default_rng(3).laplace(size=50_000)
    low, high = mse_range(filled(data))
    ends = [(data.min() * a, data.max() * b) for a in np.linspace(0.3, 1, 15) for b in np.linspace(0.3, 1, 15)]
    best = min(squared_error(data, np.ones(len(data)), *r) for r in ends)
    assert squared_error(data, np.ones(len(data)), low, high) <= best * 1.02


def test_kl_divergence_by_hand():
    assert kl_divergence(np.array([1, 1]), np.array([1, 3])) == pytest.approx(
        0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    )
    assert kl_divergence(np.array([0, 0]), np.array([1, 3])) == math.inf


@given(arrays(np.int64, 8, elements=st.integers(0, 100)), arrays(np.int64, 8, elements=st.integers(1, 100)))
def test_kl_divergence_is_not_negative_and_zero_for_equals(p, q):
    assert kl_divergence(p, q) >= -1e-9
    assert kl_divergence(q, 3 * q) == pytest.approx(0, abs=1e-12)


def test_kl_divergence_matches_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    rng = np.random.default_rng(0)
    p, q = rng.integers(1, 100, 50), rng.integers(1, 100, 50)
    assert kl_divergence(p, q) == pytest.approx(stats.entropy(p, q))


def test_clipping_loss_by_hand():
    counts = np.array([4, 0, 2, 2, 1, 7])
    # Bins 0..3 kept in 2 levels: reference 4, 0, 2, 2 + 8; level means over filled bins 4, 0, 2, 2.
    assert clipping_loss(counts, 0, 4, 2) == pytest.approx(
        kl_divergence(np.array([4, 0, 2, 10]), np.array([4, 0, 2, 2]))
    )


def test_nothing_is_lost_when_levels_suffice():
    assert clipping_loss(np.array([3, 1, 4, 1]), 0, 4, 4) == pytest.approx(0)


def test_entropy_clips_a_lone_outlier():
    data = np.append(np.random.default_rng(0).random(100_000), 50.0)
    low, high = entropy_range(filled(data))
    assert low == 0
    assert 1 <= high < 10


def test_entropy_agrees_with_onnxruntime():
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate", reason="onnxruntime is not installed")
    data = np.random.default_rng(2).laplace(size=200_000)
    limit = np.abs(data).max()
    histogram = np.histogram(data, bins=2049, range=(-limit, limit))
    collector = calibrate.HistogramCollector("entropy", False, 128, 256, 99.99, None)
    theirs = collector.get_entropy_threshold((*histogram, data.min(), data.max(), limit), 256)
    high = entropy_range(filled(data))[1]
    # The two differ in step of the search and in what they do with empty bins; both clip the tail alike.
    assert high == pytest.approx(float(theirs[1]), rel=0.35)
    assert high < limit


@settings(max_examples=20, deadline=None)
@given(values)
def test_entropy_range_stays_inside_what_was_seen(data):
    histogram = filled(data)
    low, high = entropy_range(histogram)
    assert min(histogram.low, 0) <= low <= 0 <= high <= max(histogram.high, 0)
