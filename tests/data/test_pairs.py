import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.data import Split, as_pairs, as_triplets
from edgecv.data.sources import ArrayImages


def split_of(identity):
    """Image i is a pixel of value i."""
    n = len(identity)
    images = ArrayImages(np.arange(n, dtype=np.uint8).reshape(n, 1, 1), np.arange(n))
    return Split(name="test", images=images, targets=(np.asarray(identity, np.int64),))


def indices(split):
    return np.array([[int(image[0, 0]) for image in split.sample(i)] for i in range(len(split))]).T


IDENTITIES = st.lists(st.integers(2, 9), min_size=2, max_size=8).map(
    lambda sizes: np.repeat(np.arange(len(sizes)), sizes)
)


@settings(max_examples=40, deadline=None)
@given(identity=IDENTITIES, seed=st.integers(0, 20))
def test_answers_are_right_and_half_is_of_one_identity(identity, seed):
    identity = identity[np.random.default_rng(seed).permutation(len(identity))]
    pairs = as_pairs(split_of(identity), 0, seed=seed)
    first, second = indices(pairs)
    assert sorted(first.tolist()) == list(range(len(identity)))
    assert (first != second).all()
    assert pairs.targets[0].tolist() == (identity[first] == identity[second]).astype(int).tolist()
    assert abs(pairs.targets[0].sum() - len(identity) / 2) <= 1
    assert pairs.groups.tolist() == identity[first].tolist()


@settings(max_examples=20, deadline=None)
@given(n=st.integers(3, 6), each=st.sampled_from([4, 6, 10]), seed=st.integers(0, 20))
def test_of_alike_identities_each_image_is_used_twice(n, each, seed):
    first, second = indices(as_pairs(split_of(np.repeat(np.arange(n), each)), 0, seed=seed))
    used = np.bincount(np.concatenate([first, second]))
    assert used.mean() == 2
    assert used.max() <= 3


def test_a_seed_draws_the_same_pairs_and_another_seed_others():
    split = split_of(np.arange(40) % 5)
    first, again, other = (as_pairs(split, 0, seed=seed) for seed in (3, 3, 4))
    assert first.sha256 == again.sha256 != other.sha256
    assert not np.array_equal(indices(first), indices(other))


def test_one_identity_may_have_most_images():
    identity = np.r_[np.zeros(9), np.ones(2)].astype(int)
    first, second = indices(as_pairs(split_of(identity), 0, seed=0))
    answers = identity[first] == identity[second]
    assert answers.sum() in (5, 6)


@settings(max_examples=20, deadline=None)
@given(identity=IDENTITIES, seed=st.integers(0, 20))
def test_triplets(identity, seed):
    triplets = as_triplets(split_of(identity), 0, seed=seed)
    anchor, same, other = indices(triplets)
    assert sorted(anchor.tolist()) == list(range(len(identity)))
    assert (identity[anchor] == identity[same]).all()
    assert (anchor != same).all()
    assert (identity[anchor] != identity[other]).all()
    assert triplets.targets[0].tolist() == triplets.groups.tolist() == identity[anchor].tolist()


@pytest.mark.parametrize("identity", [[0, 0, 0], [0, 1, 2], []])
def test_nothing_to_draw(identity):
    with pytest.raises(DataError, match="identities and at most"):
        as_pairs(split_of(identity), 0, seed=0)


def test_values_are_no_identities():
    split = split_of([0, 0, 1])
    values = Split(name="test", images=split.images, targets=(np.zeros((3, 1), np.float32),))
    with pytest.raises(DataError, match="no single images with identities"):
        as_pairs(values, 0, seed=0)
    with pytest.raises(DataError, match="no single images with identities"):
        as_pairs(split.with_inputs(split.images, split.images), 0, seed=0)
