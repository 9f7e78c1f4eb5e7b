"""Integral images and Haar features: by hand, by their definition, and the published counts."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.runtime.cascade import FEATURE_SHAPES, feature_count
from edgecv.runtime.cascade.haar import FeatureSums, integral, tilted_integral
from edgecv.runtime.cascade.values import Features

IMAGE = np.random.default_rng(0).integers(0, 256, (9, 11), dtype=np.uint8)


def test_the_published_counts_in_24x24() -> None:
    counts = [feature_count(shape) for shape in FEATURE_SHAPES.values()]
    assert counts == [43_200, 43_200, 27_600, 27_600, 20_736]
    assert sum(counts) == 162_336


@pytest.mark.parametrize("shape", FEATURE_SHAPES.values())
def test_counts_are_those_of_listing_all(shape: tuple[int, int]) -> None:
    rows, columns = shape
    listed = sum(
        y + rows * h <= 7 and x + columns * w <= 9
        for y in range(7) for x in range(9) for h in range(1, 8) for w in range(1, 10)
    )  # fmt: skip
    assert feature_count(shape, (7, 9)) == listed


def test_the_integral_image_is_the_sum_above_and_left() -> None:
    sums = integral(IMAGE)
    assert sums[4, 7] == IMAGE[:4, :7].sum()
    assert sums[-1, -1] == IMAGE.sum()
    assert not sums[0].any()
    assert not sums[:, 0].any()


def test_the_tilted_integral_image_is_the_sum_of_its_cone() -> None:
    y, x = np.mgrid[: IMAGE.shape[0], : IMAGE.shape[1]]
    expected = [
        [IMAGE[(y < row) & (np.abs(x - column + 1) <= row - y - 1)].sum() for column in range(IMAGE.shape[1] + 1)]
        for row in range(IMAGE.shape[0] + 1)
    ]
    np.testing.assert_array_equal(tilted_integral(IMAGE), expected)


def test_sums_that_outgrow_their_type_differ_as_they_should() -> None:
    white = np.full((40, 40), 255, np.uint8)
    sums = integral(white, np.int16)
    areas = sums[4:, 4:] - sums[:-4, 4:] - sums[4:, :-4] + sums[:-4, :-4]
    assert (areas == 16 * 255).all()


def test_features_are_weighted_sums_of_their_rectangles() -> None:
    boxes = np.zeros((3, 3, 4), np.int64)
    weights = np.zeros((3, 3), np.float32)
    boxes[0, :2], weights[0, :2] = [[0, 0, 4, 2], [2, 0, 2, 2]], [-1, 2]
    boxes[1], weights[1] = [[0, 0, 6, 3], [2, 0, 2, 3], [3, 1, 1, 1]], [-1, 3, 0.5]
    boxes[2, 0], weights[2, 0] = [2, 1, 1, 2], 1.0
    features = FeatureSums(Features(boxes, weights, np.array([False, False, True])), IMAGE.shape[1] + 1)
    places = np.array([0, 1 * 12 + 3])
    sums, tilted = integral(IMAGE).reshape(-1), tilted_integral(IMAGE).reshape(-1)
    found = features.values(np.array([2, 0, 1]), places, sums, tilted)
    for row, (y, x) in zip(found, ((0, 0), (1, 3)), strict=True):
        part = IMAGE[y:, x:].astype(float)
        # Width 1 and height 2 from the pixel (x, y) = (2, 1): two diagonals of two pixels, and those between.
        assert row[0] == part[1, 1] + part[2, 1] + part[2, 0] + part[3, 0]
        assert row[1] == -part[:2, :4].sum() + 2 * part[:2, 2:4].sum()
        assert row[2] == -part[:3, :6].sum() + 3 * part[:3, 2:4].sum() + 0.5 * part[1, 3]
