"""Which pairs are compared, and their distances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from edgecv.tasks.embedding.pairs import Pairs, between, distances, nearest, pairs_of, unit


def test_few_samples_give_all_pairs():
    pairs = pairs_of(np.array([7, 7, 3]))
    assert list(zip(pairs.first, pairs.second, pairs.same, strict=True)) == [(0, 1, True), (0, 2, False), (1, 2, False)]


@given(
    identities=st.lists(st.integers(0, 6), min_size=2, max_size=60),
    drawn=st.integers(1, 50),
    seed=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_drawn_pairs_are_distinct_and_rightly_named(identities, drawn, seed):
    values = np.array(identities)
    pairs, again = (pairs_of(values, seed=seed, every=0, drawn=drawn) for _ in range(2))
    assert (pairs.first < pairs.second).all()
    assert len({*zip(pairs.first, pairs.second, strict=True)}) == len(pairs.first)
    assert ((values[pairs.first] == values[pairs.second]) == pairs.same).all()
    assert max(pairs.same.sum(), (~pairs.same).sum()) <= drawn
    assert (pairs.first == again.first).all()
    assert (pairs.second == again.second).all()


def test_all_genuine_pairs_are_taken_where_they_are_few():
    values = np.repeat(np.arange(40), 3)
    pairs = pairs_of(values, every=0, drawn=200)
    assert pairs.same.sum() == 40 * 3
    assert (~pairs.same).sum() == 200


def test_genuine_pairs_are_drawn_evenly():
    values = np.repeat([0, 1], [30, 10])  # 435 and 45 pairs
    share = np.mean([(values[_genuine_drawn(values, seed).first] == 0).mean() for seed in range(200)])
    assert share == pytest.approx(435 / 480, abs=0.01)


def _genuine_drawn(values, seed):
    pairs = pairs_of(values, seed=seed, every=0, drawn=60)
    return Pairs(pairs.first[pairs.same], pairs.second[pairs.same], pairs.same[pairs.same])


def test_distances_by_hand():
    vectors = np.array([[0, 0], [3, 4], [0, 2], [-3, -4]], np.float32)
    pairs = pairs_of(np.arange(4))
    assert distances(vectors, pairs, "euclidean") == pytest.approx([5, 2, 5, math.hypot(3, 2), 10, math.hypot(3, 6)])
    assert distances(vectors, pairs, "cosine") == pytest.approx([1, 1, 1, 0.2, 2, 1.8])


@pytest.mark.parametrize("measure", ["euclidean", "cosine"])
def test_distances_agree_with_scipy(measure):
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    expected = scipy.spatial.distance.pdist(vectors.astype(np.float64), measure)
    assert distances(vectors, pairs_of(np.arange(30)), measure) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("measure", ["euclidean", "cosine"])
def test_nearest_agrees_with_scikit_learn(measure):
    vectors = (5 + np.random.default_rng(1).normal(size=(60, 4))).astype(np.float32)
    found = NearestNeighbors(n_neighbors=2, metric=measure).fit(vectors).kneighbors(vectors, return_distance=False)
    assert (nearest(vectors, measure) == found[:, 1]).all()


def test_unit_keeps_zeros_and_dtype():
    found = unit(np.array([[3, 4], [0, 0]], np.float32))
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert between(found[1], found[0], "cosine") == 1.0
