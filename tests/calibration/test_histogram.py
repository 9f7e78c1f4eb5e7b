import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecv.calibration.histogram import BINS, StreamingHistogram
from edgecv.core.errors import DataError

values = arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32))


def filled(*batches):
    histogram = StreamingHistogram()
    for batch in batches:
        histogram.add(np.asarray(batch, np.float32))
    return histogram


def test_by_hand():
    histogram = filled([-1.5, 0.0, 0.25, 3.0])
    # 3.0 needs 4 / 4096 per bin.
    assert histogram.width == 4 / BINS
    assert np.flatnonzero(histogram.counts).tolist() == [BINS - 1536, BINS, BINS + 256, BINS + 3072]
    assert (histogram.low, histogram.high, histogram.total) == (-1.5, 3.0, 4)


def test_growth_merges_neighbours():
    histogram = filled([0.3, -0.3], [1000.0])
    assert histogram.width == 1024 / BINS
    assert histogram.counts[BINS + 1] == 1
    assert histogram.counts[BINS - 2] == 1


@given(values, st.integers(1, 5), st.randoms())
def test_counts_do_not_depend_on_batches_or_order(data, pieces, random):
    order = list(data)
    random.shuffle(order)
    whole = filled(data)
    parts = filled(*[p for p in np.array_split(np.array(order, np.float32), pieces) if p.size])
    np.testing.assert_array_equal(whole.counts, parts.counts)
    assert (whole.low, whole.high, whole.width) == (parts.low, parts.high, parts.width)


@given(values)
def test_agrees_with_numpy_histogram(data):
    histogram = filled(data)
    edges = np.arange(-BINS, BINS + 1) * histogram.width
    expected, _ = np.histogram(data.astype(np.float64), bins=edges)
    np.testing.assert_array_equal(histogram.counts, expected)


def test_memory_does_not_grow():
    histogram = filled(*[np.random.default_rng(i).normal(size=1000) * 10.0**i for i in range(6)])
    assert histogram.counts.size == 2 * BINS
    assert histogram.total == 6000


@pytest.mark.parametrize("tiny", [0.0, 1e-38, -1e-30])
def test_tiny_values(tiny):
    assert filled([tiny] * 3).total == 3


@pytest.mark.parametrize("bad", [[np.nan], [np.inf, 1.0], []])
def test_refuses_what_is_not_finite(bad):
    with pytest.raises(DataError):
        filled(bad)


@given(values, values)
def test_merging_is_counting_both(first, second):
    merged, whole = filled(first), filled(first, second)
    merged.merge(filled(second))
    np.testing.assert_array_equal(merged.counts, whole.counts)
    assert (merged.low, merged.high, merged.width) == (whole.low, whole.high, whole.width)


def test_merging_by_hand():
    narrow, wide = filled([0.3, -0.3]), filled([1000.0])
    narrow.merge(wide)
    assert narrow.width == 1024 / BINS
    assert np.flatnonzero(narrow.counts).tolist() == [BINS - 2, BINS + 1, BINS + 4000]
    assert filled([1.0]).width == 2 / BINS, "what was merged is left as it was"


def test_more_values_than_one_chunk():
    data = np.random.default_rng(0).normal(size=(3, 70, 401)).astype(np.float32)
    expected, _ = np.histogram(data.astype(np.float64), bins=np.arange(-BINS, BINS + 1) * filled(data).width)
    np.testing.assert_array_equal(filled(data).counts, expected)
