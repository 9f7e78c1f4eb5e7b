"""Anchors: sizes found in data, and boxes as SSD, TensorFlow's SSD, YOLO and Faster R-CNN lay them out."""

from typing import Any, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError
from edgecv.tasks import boxes
from edgecv.tasks.detection import anchors

ROOT2, ROOT3 = np.sqrt(2.0), np.sqrt(3.0)


def _sized(x: float, y: float, width: float, height: float) -> Any:
    return pytest.approx([x - width / 2, y - height / 2, x + width / 2, y + height / 2], abs=1e-4)


def _clusters(seed: int = 0) -> Any:
    """Sizes around (10, 20), (60, 30) and (100, 150)."""
    rng = np.random.default_rng(seed)
    centres = np.repeat([[60.0, 30.0], [100.0, 150.0], [10.0, 20.0]], [200, 100, 100], axis=0)
    return centres * rng.uniform(0.9, 1.1, centres.shape)


def test_overlap_of_sizes_is_that_of_boxes_on_one_centre() -> None:
    sizes = np.random.default_rng(0).uniform(1, 50, (6, 2))
    around = np.concatenate([-sizes / 2, sizes / 2], axis=1)
    assert anchors.size_iou(sizes, sizes[:4]) == pytest.approx(boxes.iou(around, around[:4]))


def test_sizes_by_hand() -> None:
    # From any start the mean is (4, 5), which covers 16/20, 1 and 20/24 of the three, more than either of the others.
    found, fit = anchors.kmeans(np.array([[4.0, 4.0], [4.0, 5.0], [4.0, 6.0]]), 1, repeats=1)
    assert found.tolist() == [[4.0, 5.0]]
    assert fit == pytest.approx((0.8 + 1 + 20 / 24) / 3)


def test_an_anchor_is_kept_where_the_mean_fits_worse() -> None:
    # (4, 4) or (4, 6) alone give 1 and 16/24, their mean 16/20 and 20/24.
    found, fit = anchors.kmeans(np.array([[4.0, 4.0], [4.0, 6.0]]), 1, repeats=1)
    assert found.tolist() in ([[4.0, 4.0]], [[4.0, 6.0]])
    assert fit == pytest.approx((1 + 16 / 24) / 2)


def test_an_anchor_without_sizes_takes_the_one_that_fits_worst() -> None:
    sizes = np.array([[4.0, 4.0], [4.0, 5.0], [90.0, 90.0]])
    # Of two equal anchors the first one owns all sizes.
    found = anchors._clustered(sizes, np.ones(3), np.array([[4.0, 4.0], [4.0, 4.0]]))
    assert found.tolist() == [[4.0, 4.5], [90.0, 90.0]]


def test_clusters_are_found_the_smallest_first() -> None:
    found, fit = anchors.kmeans(_clusters(), 3, seed=1)
    assert found == pytest.approx(np.array([[10, 20], [60, 30], [100, 150]]), rel=0.02)
    assert found.dtype == np.float32
    assert fit == pytest.approx(float(anchors.size_iou(_clusters(), found).max(axis=1).mean()))
    assert 0.88 < fit < 0.95


def test_the_same_seed_gives_the_same_anchors() -> None:
    sizes = np.random.default_rng(3).uniform(5, 300, (500, 2))
    first, second = (anchors.kmeans(sizes, 9, seed=4, repeats=2) for _ in range(2))
    assert first[0].tolist() == second[0].tolist()
    assert first[1] == second[1]
    assert (np.diff(first[0].prod(axis=1)) >= 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_more_repeats_never_hurt_and_the_unit_does_not_matter(seed: int, k: int) -> None:
    sizes = np.random.default_rng(seed).uniform(5, 300, (60, 2))
    found, fit = anchors.kmeans(sizes, k, seed=seed, repeats=1)
    assert found.shape == (k, 2)
    assert anchors.kmeans(sizes, k, seed=seed, repeats=4)[1] >= fit - 1e-6
    halved, same = anchors.kmeans(sizes / 2, k, seed=seed, repeats=1)
    assert halved * 2 == pytest.approx(found)
    assert same == pytest.approx(fit)


def test_as_many_anchors_as_sizes_fit_them_all() -> None:
    sizes = np.random.default_rng(0).integers(1, 40, (12, 2)).astype(float)
    distinct = np.unique(sizes, axis=0)
    found, fit = anchors.kmeans(sizes, len(distinct), repeats=1)
    assert sorted(found.tolist()) == distinct.tolist()
    assert fit == pytest.approx(1.0)


def test_a_grid_goes_cell_by_cell_then_anchor_by_anchor() -> None:
    found = anchors.grid((2, 3), 8, np.array([[4.0, 2.0], [10.0, 10.0]]))
    assert found.shape == (12, 4)
    assert found.dtype == np.float32
    assert found[0].tolist() == [2, 3, 6, 5]
    assert found[1].tolist() == [-1, -1, 9, 9]
    assert found[2].tolist() == [10, 3, 14, 5]
    assert found[6].tolist() == [2, 11, 6, 13]
    assert found[-1].tolist() == [15, 7, 25, 17]


def test_ssd300_has_8732_boxes() -> None:
    found = anchors.ssd()
    assert found.shape == (8732, 4)
    assert found.dtype == np.float32
    # A cell of the first layer is 8 pixels: sides 30 and sqrt(30 * 60), then 2 : 1 and 1 : 2.
    assert found[0].tolist() == [-11, -11, 19, 19]
    assert found[1] == _sized(4, 4, 42.42641, 42.42641)
    assert found[2] == _sized(4, 4, 30 * ROOT2, 30 / ROOT2)
    assert found[3] == _sized(4, 4, 30 / ROOT2, 30 * ROOT2)
    assert found[4] == _sized(12, 4, 30, 30)
    assert found[38 * 4] == _sized(4, 12, 30, 30)
    second = 38 * 38 * 4
    assert found[second] == _sized(8, 8, 60, 60)
    assert found[second + 1] == _sized(8, 8, np.sqrt(60 * 111), np.sqrt(60 * 111))
    assert found[second + 4] == _sized(8, 8, 60 * ROOT3, 60 / ROOT3)
    assert found[second + 5] == _sized(8, 8, 60 / ROOT3, 60 * ROOT3)
    assert found[-4] == _sized(150, 150, 264, 264)
    assert found[-3] == _sized(150, 150, np.sqrt(264 * 315), np.sqrt(264 * 315))


def test_ssd_by_the_input_has_centres_in_the_middle_of_cells() -> None:
    found = anchors.ssd((200, 400), ((2, 4),), sizes=(10, 40), ratios=((),), steps=None)
    assert found[0].tolist() == [45, 45, 55, 55]
    assert found[1].tolist() == [40, 40, 60, 60]
    assert found[-2].tolist() == [345, 145, 355, 155]


@pytest.mark.parametrize(
    ("size", "cells", "count"), [(300, (19, 10, 5, 3, 2, 1), 1917), (320, (20, 10, 5, 3, 2, 1), 2034)]
)
def test_tensorflows_ssd_has_so_many_boxes(size: int, cells: Any, count: int) -> None:
    found = anchors.ssdlite((size, size), [(side, side) for side in cells])
    assert found.shape == (count, 4)
    assert found.dtype == np.float32
    middle = size / cells[0] / 2
    # Heights and widths of the first three are 0.1, 0.1; 0.1414, 0.2828; 0.2828, 0.1414 of the input.
    assert found[0] == _sized(middle, middle, 0.1 * size, 0.1 * size)
    assert found[1] == _sized(middle, middle, 0.28284271 * size, 0.14142136 * size)
    assert found[2] == _sized(middle, middle, 0.14142136 * size, 0.28284271 * size)
    second, centre = 3 * cells[0] ** 2, size / 20
    wanted = [(1.0, 1.0), (ROOT2, 1 / ROOT2), (1 / ROOT2, ROOT2), (ROOT3, 1 / ROOT3)]
    for offset, (wide, high) in enumerate(wanted):
        assert found[second + offset] == _sized(centre, centre, 0.35 * size * wide, 0.35 * size * high)
    third = 0.35 * size * np.sqrt(0.3333), 0.35 * size / np.sqrt(0.3333)
    assert found[second + 4] == _sized(centre, centre, *third)
    between = np.sqrt(0.35 * 0.5) * size
    assert found[second + 5] == _sized(centre, centre, between, between)
    last = np.sqrt(0.95) * size
    assert found[-1] == _sized(size / 2, size / 2, last, last)


def test_tensorflows_ssd_with_other_settings() -> None:
    shapes = [(side, side) for side in (38, 19, 10, 5, 3, 1)]
    # The counts of the Object Detection API's own test.
    assert len(anchors.ssdlite((300, 300), shapes)) == 7308
    assert len(anchors.ssdlite((300, 300), shapes, reduced=False)) == 11640
    assert len(anchors.ssdlite((300, 300), shapes[:1], reduced=False, interpolated=0.0)) == 38 * 38 * 5
    # Boxes are as large as the shorter side says. The API's own test has [0, 0, 1, 0.5] in y, x of 320 x 640.
    wide = anchors.ssdlite((320, 640), [(1, 2)], min_scale=1.0, ratios=(1.0,), reduced=False, interpolated=0.0)
    assert wide.tolist() == [[0, 0, 320, 320], [320, 0, 640, 320]]


def test_region_proposals_have_nine_anchors_a_cell() -> None:
    found = anchors.rpn((2, 3))
    assert found.shape == (2 * 3 * 9, 4)
    assert found.dtype == np.float32
    assert found[0] == _sized(8, 8, 128 * ROOT2, 128 / ROOT2)
    assert found[1] == _sized(8, 8, 256 * ROOT2, 256 / ROOT2)
    assert found[3].tolist() == [8 - 64, 8 - 64, 8 + 64, 8 + 64]
    assert found[8] == _sized(8, 8, 512 / ROOT2, 512 * ROOT2)
    assert found[9 + 3].tolist() == [24 - 64, 8 - 64, 24 + 64, 8 + 64]
    assert boxes.area(found[:9]) == pytest.approx(np.tile([128.0**2, 256.0**2, 512.0**2], 3), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: anchors.grid((2, 2), 8, np.array([[4.0, np.nan]])), "sizes of anchors: .* got nan"),
        (lambda: anchors.grid((2, 2), 8, np.array([[4.0, 0.0]])), "got 0.0"),
        (lambda: anchors.grid((2, 2), 8, np.array([[4.0, -1.0]])), "got -1.0"),
        (lambda: anchors.grid((2, 2), 8, np.zeros((3, 4))), r"\(n, 2\)"),
        (lambda: anchors.grid((2, 2), 8, np.zeros((0, 2))), r"\(n, 2\)"),
        (lambda: anchors.grid((0, 2), 8, np.ones((1, 2))), "shape"),
        (lambda: anchors.grid((2, 2), float("inf"), np.ones((1, 2))), "stride"),
        (lambda: anchors.kmeans(np.array([[1.0, np.inf], [2.0, 2.0]]), 1), "got inf"),
        (lambda: anchors.kmeans(np.array([[1.0, 0.0], [2.0, 2.0]]), 1), "got 0.0"),
        (
            lambda: anchors.kmeans(np.array([[1.0, 1.0]] * 5), 2),
            "2 anchors need as many different sizes, got 1 among 5",
        ),
        (lambda: anchors.kmeans(np.ones((3, 2)), 0), "k = 0"),
        (lambda: anchors.kmeans(np.ones((3, 2)), 1, repeats=0), "repeats = 0"),
        (lambda: anchors.ssd(sizes=(30, 60)), "takes 7 sizes"),
        (lambda: anchors.ssd(steps=(8,)), "6 steps"),
        (lambda: anchors.ssd(ratios=((0,),) * 6), "ratios"),
        (lambda: anchors.ssd(sizes=(30, 60, 111, 162, 213, 264, float("nan"))), "sizes"),
        (lambda: anchors.ssdlite((300, 300), ()), "at least one layer"),
        (lambda: anchors.ssdlite((300, 300), ((2, 2),), min_scale=0.0), "scales"),
        (lambda: anchors.ssdlite((300, 300), ((2, 2),), ratios=(1.0, -2.0)), "ratios"),
        (lambda: anchors.rpn((2, 2), sizes=(0,)), "sizes"),
        (lambda: anchors.rpn((2, 2), ratios=(float("nan"),)), "ratios"),
    ],
)
def test_numbers_without_meaning_are_errors(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make()
