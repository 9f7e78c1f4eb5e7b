import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecv.calibration.diversity import farthest_first, features


def test_features_by_hand():
    image = np.zeros((8, 8), np.uint8)
    image[:2, :2] = [[10, 20], [30, 40]]
    found = features(image)
    assert found.shape == (32,)
    assert found[:2] == pytest.approx([25, np.std([10, 20, 30, 40])])
    assert not found[2:].any()


def test_features_tell_colours_apart():
    red, blue = np.zeros((2, 9, 7, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    assert features(red).shape == (96,)
    assert features(red)[:3].tolist() == [200, 0, 0]
    assert features(blue)[:3].tolist() == [0, 0, 200]


@given(st.integers(1, 9), st.integers(1, 9))
def test_images_smaller_than_the_grid_have_features(height, width):
    found = features(np.full((height, width, 1), 5, np.uint8))
    np.testing.assert_array_equal(found, np.tile(np.float32([5, 0]), 16))


def test_a_vector_is_its_own_feature():
    assert features(np.array([1.5, -2.0])).tolist() == [1.5, -2.0]


def test_farthest_first_by_hand():
    line = np.array([[0.0], [1.0], [10.0], [4.0]])
    assert farthest_first(line, 4, first=0).tolist() == [0, 2, 3, 1]


def radius(points, chosen):
    return max(min(np.linalg.norm(p - points[c]) for c in chosen) for p in points)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(3, 7), st.just(2)), elements=st.integers(0, 9)), st.integers(1, 3))
def test_the_cover_is_at_most_twice_the_best_one(points, count):
    chosen = farthest_first(points, count, first=0).tolist()
    assert len(set(chosen)) == count
    best = min(radius(points, c) for c in itertools.combinations(range(len(points)), count))
    assert radius(points, chosen) <= 2 * best + 1e-9
