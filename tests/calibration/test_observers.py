import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecv.calibration import MinMaxObserver, MovingAverageObserver, PercentileObserver, make_observer
from edgecv.calibration.observers import ESTIMATORS
from edgecv.core.errors import ConfigError, DataError
from edgecv.values import profiles

batches = st.lists(
    arrays(np.float32, st.integers(1, 20), elements=st.floats(-100, 100, width=32)), min_size=1, max_size=5
)


def recipe(estimator, **settings):
    return profiles.CalibrationRecipe(name="r", title="t", estimator=estimator, **settings)


def run(observer, data):
    for batch in data:
        observer.observe(np.asarray(batch, np.float32))
    return observer.result()


def test_minmax_by_hand():
    assert run(MinMaxObserver(), [[1, 2], [-3, 0.5]]) == (-3, 2)
    assert run(MinMaxObserver(), [[4, 5]]) == (0, 5), "zero is always inside"


def test_moving_average_by_hand():
    # high: 10, then 0.5 * 10 + 0.5 * 20, then 0.5 * 15 + 0.5 * 5; low: -2, -1, 0.5 * -1 + 0.5 * -5.
    low, high = run(MovingAverageObserver(0.5), [[-2, 10], [0, 20], [-5, 5]])
    assert (low, high) == (-3.0, 10.0)


def test_moving_average_without_momentum_is_the_last_batch():
    assert run(MovingAverageObserver(0.0), [[-9, 9], [-1, 2]]) == (-1, 2)


@given(batches)
def test_minmax_is_that_of_all_data(data):
    whole = np.concatenate([np.zeros(1, np.float32), *data])
    assert run(MinMaxObserver(), data) == (whole.min(), whole.max())


@settings(max_examples=30, deadline=None)
@given(batches, st.sampled_from(ESTIMATORS))
def test_every_range_holds_zero_and_stays_inside_what_was_seen(data, estimator):
    whole = np.concatenate([np.zeros(1, np.float32), *data])
    low, high = run(make_observer(recipe(estimator)), data)
    assert whole.min() - 1e-4 <= low <= 0 <= high <= whole.max() + 1e-4


@settings(deadline=None)
@given(batches)
def test_full_percentile_is_minmax(data):
    assert run(PercentileObserver(100), data) == pytest.approx(run(MinMaxObserver(), data), abs=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_refuses_bad_batches_and_early_questions(estimator):
    observer = make_observer(recipe(estimator))
    with pytest.raises(ConfigError, match="before it saw a value"):
        observer.result()
    with pytest.raises(DataError, match="non-finite"):
        observer.observe(np.array([1, np.nan], np.float32))


def test_settings_are_honoured():
    data = [np.random.default_rng(0).normal(size=10_000)]
    narrow = run(make_observer(recipe("percentile", percentile=90.0)), data)
    wide = run(make_observer(recipe("percentile", percentile=99.9)), data)
    assert narrow[1] < wide[1]


def test_settings_out_of_range():
    with pytest.raises(ConfigError, match="percentile is 40"):
        make_observer(recipe("percentile", percentile=40.0))
    with pytest.raises(ConfigError, match=r"momentum is 1\.0"):
        make_observer(recipe("moving_average", momentum=1.0))
    with pytest.raises(ConfigError, match="unknown range estimator 'minmx'"):
        make_observer(recipe("minmx"))


@pytest.mark.parametrize("name", profiles.calibration_names())
def test_every_shipped_recipe_makes_an_observer(name):
    shipped = profiles.calibration(name)
    assert shipped.name == name
    assert name in (shipped.estimator, shipped.sampler)
    assert run(make_observer(shipped), [[0, 1, 2]])[1] > 0


@settings(max_examples=30, deadline=None)
@given(batches, st.sampled_from(ESTIMATORS))
def test_summaries_taken_early_and_merged_in_order_change_nothing(data, estimator):
    observer = make_observer(recipe(estimator))
    for summary in [observer.summarise(batch) for batch in data]:
        observer.merge(summary)
    assert observer.result() == run(make_observer(recipe(estimator)), data)


def test_percentiles_of_a_tensor_that_is_almost_always_zero_keep_its_values():
    """A layer that few images excite: its percentile is 0, and a file with such a range is one that XNNPACK refuses."""
    rare = np.zeros(1_000_000, np.float32)
    rare[:20] = np.linspace(0.01, 0.1, 20)
    assert run(PercentileObserver(99.99), [rare]) == (0.0, pytest.approx(0.1))
    rare[:1_000] = 0.1
    rare[0] = 5.0
    assert run(PercentileObserver(99.99), [rare])[1] == pytest.approx(0.1, abs=0.01), "an outlier is still clipped"
