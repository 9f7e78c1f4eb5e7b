from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.calibration import select
from edgecv.calibration.sampling import SAMPLERS
from edgecv.core.errors import ConfigError, DataError
from edgecv.values.profiles import CalibrationRecipe


def recipe(sampler, count):
    return CalibrationRecipe(name="r", title="t", sampler=sampler, count=count)


def test_first_takes_the_first():
    assert select(np.array([5, 5, 5, 1]), recipe("first", 3), seed=9).tolist() == [0, 1, 2]


def test_stratified_by_hand():
    labels = np.array([0] * 10 + [1] * 2 + [2])
    chosen = select(labels, recipe("stratified", 7), seed=0)
    # Rounds deal 3 classes, then 2, then only class 0: 1 of class 2, 2 of class 1, the rest of class 0.
    assert Counter(labels[chosen].tolist()) == {0: 4, 1: 2, 2: 1}


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.integers(1, 80),
    st.sampled_from(SAMPLERS),
    st.integers(0, 3),
)
def test_indices_are_unique_sorted_in_range_and_repeatable(labels, count, sampler, seed):
    labels = np.array(labels)
    look = {"sample": lambda index: np.full((4, 4), 7 * index % 11, np.uint8)}
    chosen = select(labels, recipe(sampler, count), seed, **look)
    assert chosen.dtype == np.int64
    assert len(chosen) == min(count, len(labels))
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0
    assert chosen[-1] < len(labels)
    np.testing.assert_array_equal(chosen, select(labels, recipe(sampler, count), seed, **look))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 60))
def test_stratified_is_even_as_far_as_classes_last(labels, count):
    labels = np.array(labels)
    chosen = labels[select(labels, recipe("stratified", count), 1)]
    taken = {c: int(np.sum(chosen == c)) for c in set(labels.tolist())}
    unfinished = [n for c, n in taken.items() if n < np.sum(labels == c)]
    assert not unfinished or max(taken.values()) - min(unfinished) <= 1


def test_another_seed_chooses_others():
    labels = np.zeros(1000, int)
    assert select(labels, recipe("random", 10), 0).tolist() != select(labels, recipe("random", 10), 1).tolist()


def test_diverse_finds_the_rare_ones_whatever_the_seed():
    images = np.full((60, 8, 8, 3), 120, np.uint8) + np.random.default_rng(0).integers(0, 4, (60, 8, 8, 3), np.uint8)
    images[17], images[42], images[55, :4] = 0, 255, 0
    for seed in range(5):
        chosen = select(np.zeros(60, int), recipe("diverse", 6), seed, sample=images.__getitem__)
        assert {17, 42, 55} <= set(chosen.tolist())


def test_diverse_sees_ten_times_what_it_takes():
    seen = []

    def sample(index):
        seen.append(index)
        return np.array([index, 1.0], np.float32)

    labels = np.arange(1000) % 4
    chosen = select(labels, recipe("diverse", 5), 0, sample=sample)
    assert sorted(Counter(labels[seen].tolist()).values()) == [12, 12, 13, 13]
    assert set(chosen.tolist()) <= set(seen)
    # Five points that cover a line from 0 to 1000: its ends are among them.
    assert (chosen.min(), chosen.max()) == (min(seen), max(seen))


def test_diverse_has_to_see():
    with pytest.raises(ConfigError, match="'diverse' has to see the samples"):
        select(np.array([1, 2]), recipe("diverse", 1), 0)


def test_refuses_nothing_and_unknown():
    with pytest.raises(ConfigError, match="count is 0"):
        select(np.array([1]), recipe("first", 0), 0)
    with pytest.raises(DataError, match="labels of shape"):
        select(np.array([]), recipe("first", 1), 0)
    with pytest.raises(ConfigError, match="unknown calibration sampler 'stratifed'") as error:
        select(np.array([1]), recipe("stratifed", 1), 0)
    assert "did you mean 'stratified'" in str(error.value)
