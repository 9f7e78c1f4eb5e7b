"""F1 of boundaries: by hand, against a distance transform, and its relations."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.ndimage

from edgecv.tasks.segmentation import boundaries, metrics
from edgecv.tasks.segmentation.prediction import Segmentation
from edgecv.tasks.segmentation.synthetic import blobs
from edgecv.tasks.segmentation.task import SegmentationTask
from edgecv.values.specs import Head

TASK = SegmentationTask()


def square(side, top, left, size):
    mask = np.zeros((side, side), np.uint8)
    mask[top : top + size, left : left + size] = 1
    return mask


def expected(truth, mask, classes, ignore_index, tolerance):
    """By its definition, class by class, with the distance to the nearest boundary pixel of all."""
    radius = tolerance * np.hypot(*truth.shape)
    judged = truth != ignore_index
    cross = scipy.ndimage.generate_binary_structure(2, 1)
    found = np.zeros((4, classes), np.int64)
    for index in range(classes):
        edges = []
        for labels in (mask, truth):
            other = scipy.ndimage.binary_dilation((labels != index) & judged, cross)
            edges.append((labels == index) & judged & other)
        for row, (own, of) in enumerate((edges, edges[::-1])):
            distance = scipy.ndimage.distance_transform_edt(~of) if of.any() else np.full(of.shape, np.inf)
            found[2 * row :, index][:2] = ((own & (distance <= radius)).sum(), own.sum())
    return found


def test_one_pixel_beside_counts_by_the_tolerance():
    truth, mask = square(20, 5, 5, 8), square(20, 5, 6, 8)
    counts = boundaries.count_boundaries(truth, mask, 2, tolerance=0.01)  # 0.28 pixels: none
    # The squares' rings of 28 pixels share the upper and lower row but for one pixel at each end.
    np.testing.assert_array_equal(counts[:, 1], [14, 28, 14, 28])
    assert boundaries.f_scores(counts)[1] == pytest.approx(0.5)
    counts = boundaries.count_boundaries(truth, mask, 2, tolerance=1 / np.hypot(20, 20))  # one pixel
    np.testing.assert_array_equal(counts[:, 1], [28, 28, 28, 28])
    np.testing.assert_array_equal(boundaries.f_scores(counts), [1.0, 1.0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tolerance", [0.0, 0.0075, 0.04])
@pytest.mark.parametrize("void", [None, 255])
def test_equal_to_a_distance_transform(seed, tolerance, void):
    rng = np.random.default_rng(seed)
    truth = blobs(rng, (70, 93), 4, void)
    mask = np.roll(blobs(np.random.default_rng(seed), (70, 93), 4), (seed, 1), (0, 1))
    mask[rng.random(mask.shape) < 0.01] = 2
    found = boundaries.count_boundaries(truth, mask, 4, void, tolerance)
    np.testing.assert_array_equal(found, expected(truth, mask, 4, 255, tolerance))


def test_the_edges_of_the_image_and_of_void_are_no_boundaries():
    truth = np.ones((6, 6), np.uint8)
    truth[:, 3:] = 255
    mask = np.where(truth == 255, 0, truth)
    counts = boundaries.count_boundaries(truth, mask, 2, 255)
    np.testing.assert_array_equal(counts, 0)
    assert np.isnan(boundaries.f_scores(counts)).all()


def test_a_class_on_one_side_only_has_zero():
    flat = np.zeros((9, 9), np.uint8)
    for truth, mask in ((flat, square(9, 3, 3, 2)), (square(9, 3, 3, 2), flat)):
        np.testing.assert_array_equal(boundaries.f_scores(boundaries.count_boundaries(truth, mask, 3))[:2], [0.0, 0.0])
    assert np.isnan(boundaries.f_scores(boundaries.count_boundaries(flat, flat, 3))).all()


def test_the_task_reports_it_by_image_and_by_class():
    head = Head(name="mask", task="segmentation", activation="linear", labels=("a", "b", "c"))
    truths = [square(40, 5, 5, 8), square(40, 20, 20, 8)]
    masks = [truths[0], np.zeros((40, 40), np.uint8)]
    evidence = [TASK.evidence(t, Segmentation(m, head.labels), head) for t, m in zip(truths, masks, strict=True)]
    assert {one.shape for one in evidence} == {(3 + boundaries.ROWS, 3)}
    scores = TASK.score(evidence, head)
    assert scores.figures["boundary_f1"] == pytest.approx((1.0 + 0.0) / 2)
    assert [scores.per_label[name]["boundary_f1"] for name in "abc"] == [0.5, 0.5, None]
    assert scores.value == metrics.mean_iou(np.sum(evidence, axis=0)[:3])


def test_it_takes_little_beside_counting_pixels():
    """A bound that holds on a loaded machine: 0.5 s where it takes some 10 ms."""
    rng = np.random.default_rng(0)
    truth = blobs(rng, (512, 512), 21)
    mask = np.roll(truth, 3, axis=0)
    start = time.process_time()
    counts = boundaries.count_boundaries(truth, mask, 21)
    assert time.process_time() - start < 0.5
    assert counts[1].sum() > 1000
