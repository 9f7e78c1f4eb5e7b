import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.data.splits import check_classes, stratified

SHARES = {"test": 0.2, "validation": 0.15}


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(3, 40), min_size=2, max_size=5), seed=st.integers(0, 1000))
def test_splits_partition_the_samples_and_hold_every_class(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    names = [str(i) for i in range(len(counts))]
    parts = stratified(labels, names, SHARES, seed=seed, where="x")
    assert list(parts) == ["train", "validation", "test"]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(labels)))
    for index in parts.values():
        assert set(labels[index]) == set(range(len(counts)))


def test_shares_are_rounded_up_per_class():
    labels = np.repeat([0, 1], [10, 11])
    parts = stratified(labels, "ab", SHARES, seed=0, where="x")
    # class a: 2 test, ceil(.15 * 8) = 2 validation; class b: ceil(2.2) = 3 test, ceil(.15 * 8) = 2 validation
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [12, 4, 5]


def test_same_seed_same_splits_other_seed_others():
    labels = np.repeat([0, 1], 50)
    first, again, other = (stratified(labels, "ab", SHARES, seed=s, where="x") for s in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_a_class_too_small_for_every_split_is_refused():
    with pytest.raises(DataError, match="class 'b' has 2 samples, expected at least 3"):
        stratified(np.array([0] * 9 + [1] * 2), "ab", SHARES, seed=0, where="x")


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 0], "a", "single class"),
        ([0, 0], "ab", "class 'b' has no samples"),
        ([0, 1, 2], "ab", "label 2 at index 2 is out of range, expected 0..1"),
        ([0, -1, 1], "ab", "label -1 at index 1 is out of range"),
    ],
)
def test_check_classes(labels, names, message):
    with pytest.raises(DataError, match=message):
        check_classes(np.array(labels), names, where="x")
