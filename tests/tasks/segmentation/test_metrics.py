"""Figures of masks: by hand, their relations, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.tasks.segmentation import metrics

TRUTH = np.array([[0, 0, 1], [1, 1, 9]], np.uint8)
MASK = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)


def random_pair(seed, classes=4, size=(9, 11)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, size).astype(np.uint8)
    return truth, np.where(rng.random(size) < 0.6, truth, rng.integers(0, classes, size)).astype(np.uint8)


def test_counts_by_hand():
    counts = metrics.count_pixels(TRUTH, MASK, 3, ignore_index=9)
    np.testing.assert_array_equal(counts, [[1, 2, 0], [2, 3, 0], [2, 3, 0]])
    np.testing.assert_allclose(metrics.jaccard(counts), [1 / 3, 2 / 4, np.nan])
    np.testing.assert_allclose(metrics.dice(counts), [2 / 4, 4 / 6, np.nan])
    assert metrics.mean_iou(counts) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert metrics.pixel_accuracy(counts) == pytest.approx(3 / 5)


def test_a_class_of_the_prediction_alone_counts_as_zero():
    counts = metrics.count_pixels(np.zeros((2, 2), int), np.array([[0, 0], [0, 2]]), 3)
    np.testing.assert_allclose(metrics.jaccard(counts), [3 / 4, np.nan, 0.0])
    assert metrics.mean_iou(counts) == pytest.approx(3 / 8)


def test_published_relations():
    assert metrics.dice_of_jaccard(0.88) == pytest.approx(0.936170, abs=1e-6)
    assert metrics.jaccard_of_dice(0.85) == pytest.approx(0.739130, abs=1e-6)


@given(value=st.floats(0.0, 1.0))
def test_dice_and_jaccard_are_inverse(value):
    assert metrics.jaccard_of_dice(metrics.dice_of_jaccard(value)) == pytest.approx(value, abs=1e-12)


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_relation_of_both_figures_of_the_same_counts(seed, classes):
    counts = metrics.count_pixels(*random_pair(seed, classes), classes)
    overlap, dice = metrics.jaccard(counts), metrics.dice(counts)
    known = np.isfinite(overlap)
    np.testing.assert_allclose(overlap[known], dice[known] / (2 - dice[known]), atol=1e-12)
    assert (dice[known] >= overlap[known]).all()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_pixels_does_not_matter(seed):
    truth, mask = random_pair(seed)
    order = np.random.default_rng(seed).permutation(truth.size)
    moved = [one.ravel()[order].reshape(one.shape) for one in (truth, mask)]
    np.testing.assert_array_equal(metrics.count_pixels(truth, mask, 4, 0), metrics.count_pixels(*moved, 4, 0))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed):
    truth, mask = random_pair(seed)
    counts, flat = metrics.count_pixels(truth, mask, 4), (truth.ravel(), mask.ravel())
    confusion = sklearn.metrics.confusion_matrix(*flat)
    np.testing.assert_array_equal(counts, [np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)])
    assert metrics.mean_iou(counts) == pytest.approx(sklearn.metrics.jaccard_score(*flat, average="macro"))
    np.testing.assert_allclose(metrics.dice(counts), sklearn.metrics.f1_score(*flat, average=None))
    np.testing.assert_allclose(metrics.recall(counts), sklearn.metrics.recall_score(*flat, average=None))
    np.testing.assert_allclose(metrics.precision(counts), sklearn.metrics.precision_score(*flat, average=None))
    assert metrics.pixel_accuracy(counts) == pytest.approx(sklearn.metrics.accuracy_score(*flat))


def test_figures_take_many_counts_at_once():
    each = np.stack([metrics.count_pixels(*random_pair(seed), 4) for seed in range(5)])
    np.testing.assert_allclose(metrics.mean_iou(each), [metrics.mean_iou(one) for one in each])


def test_nothing_judged_is_undefined():
    counts = metrics.count_pixels(np.full((2, 2), 255), np.zeros((2, 2), int), 2, 255)
    assert counts.sum() == 0
    assert np.isnan(metrics.mean_iou(counts))


def test_refuses_other_sizes_and_unknown_classes():
    with pytest.raises(DataError, match="one size"):
        metrics.count_pixels(TRUTH, MASK[:1], 2, 9)
    with pytest.raises(DataError, match="class 9") as caught:
        metrics.count_pixels(TRUTH, MASK, 2)
    assert "ignore_index = 9" in caught.value.hint
