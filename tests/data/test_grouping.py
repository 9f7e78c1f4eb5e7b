import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.data import Target
from edgecv.data.grouping import check_apart, divide, grouped, merged
from edgecv.data.sources import ArrayImages
from edgecv.data.splits import stratified

SHARES = {"test": 0.2, "validation": 0.15}


def of(index, values):
    return {name: set(np.asarray(values)[i].tolist()) for name, i in index.items()}


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 2), min_size=12, max_size=80),
    size=st.integers(1, 4),
    seed=st.integers(0, 50),
)
def test_groups_are_whole_and_every_sample_is_in_one_split(labels, size, seed):
    strata = np.array([*labels, 0, 1, 2])
    groups = np.arange(len(strata)) // size
    try:
        parts = grouped(strata, "abc", groups, SHARES, seed=seed, where="x")
    except DataError:
        # Only when a class is too rare for the training split.
        assert np.bincount(strata).min() <= 2 * size
        return
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(strata)))
    held = of(parts, groups)
    assert sum(map(len, held.values())) == len(set(groups.tolist()))
    assert all(len(index) for index in parts.values())
    assert set(strata[parts["train"]].tolist()) == set(strata.tolist())


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(3, 40), min_size=2, max_size=4), seed=st.integers(0, 50))
def test_single_samples_are_divided_exactly_as_without_groups(counts, seed):
    strata = np.repeat(np.arange(len(counts)), counts)
    names = [str(i) for i in range(len(counts))]
    plain = stratified(strata, names, SHARES, seed=seed, where="x")
    alone = grouped(strata, names, np.arange(len(strata)), SHARES, seed=seed, where="x")
    assert {name: index.tolist() for name, index in plain.items()} == {
        name: index.tolist() for name, index in alone.items()
    }


def test_groups_keep_the_balance_of_classes():
    strata = np.tile([0, 0, 1, 1, 1, 2, 0, 1], 25)
    groups = np.repeat(np.arange(50), 4)
    parts = grouped(strata, "abc", groups, SHARES, seed=0, where="x")
    for name, share in (("test", 0.2), ("validation", 0.12), ("train", 0.68)):
        assert len(parts[name]) / 200 == pytest.approx(share, abs=0.04)
        found = np.bincount(strata[parts[name]], minlength=3) / len(parts[name])
        assert found == pytest.approx(np.bincount(strata) / 200, abs=0.08)


def test_three_large_groups_give_one_to_each_split():
    parts = grouped(np.zeros(30, int), "a", np.repeat([7, 8, 9], 10), SHARES, seed=0, where="x")
    assert sorted(len(index) for index in parts.values()) == [10, 10, 10]


def test_too_few_groups():
    with pytest.raises(DataError, match="has samples of 2 groups, expected at least 3"):
        grouped(np.zeros(9, int), "a", np.repeat([0, 1], [5, 4]), SHARES, seed=0, where="x")


def test_a_class_that_misses_the_training_split_is_refused():
    # Two groups of class a go to train and to test; the only one of b is what is left for validation.
    strata, groups = np.repeat([0, 1], [20, 2]), np.repeat([0, 1, 2], [10, 10, 2])
    with pytest.raises(DataError, match="class 'b' comes in too few groups"):
        grouped(strata, "ab", groups, SHARES, seed=0, where="x")


def test_merged_follows_chains():
    # Content 0 links groups a and b, content 1 links b and c.
    ids = np.array([0, 0, 1, 1, 2])
    found = merged(ids, np.array(list("abbcd")))
    assert len(set(found[:4].tolist())) == 1
    assert found[4] != found[0]
    assert merged(ids, None) is ids


def test_identical_samples_stay_on_one_side_whatever_their_class():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60, 3, 3), dtype=np.uint8)
    x[40:50] = x[:10]
    y = np.arange(60) % 2
    y[40] = 1 - y[0]
    target = Target(name="output", task="classification", labels=("a", "b"))
    for seed in range(5):
        parts = divide((target,), (y,), ArrayImages(x, np.arange(60)), SHARES, seed=seed, where="x")
        held = {name: {x[i].tobytes() for i in index} for name, index in parts.items()}
        assert sum(map(len, held.values())) == 50
        assert all(set(y[index]) == {0, 1} for index in parts.values())


def test_check_apart_names_the_group():
    check_apart({"train": np.array(["a", "b"]), "test": np.array(["c"])}, where="x")
    with pytest.raises(DataError, match="group 'b' is in train and in test"):
        check_apart({"train": np.array(["a", "b"]), "test": np.array(["b"])}, where="x")
