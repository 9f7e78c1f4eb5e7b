"""Sheets of maps: the right greys in the right places, and heat where it is."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from edgecv.report import tiles


def test_tiles_are_in_order_with_their_own_greys_and_frames():
    maps = np.zeros((4, 4, 3))
    maps[..., 1] = np.arange(16).reshape(4, 4)
    maps[0, 0, 2] = -5
    page = tiles.sheet(maps, tiles.own_limits(maps), {1: "dead"})
    side = (page.shape[1] - tiles.GAP) // 3 - tiles.GAP
    starts = [tiles.GAP + index * (side + tiles.GAP) for index in range(3)]
    assert page.shape == (side + 2 * tiles.GAP, 3 * side + 4 * tiles.GAP, 3)
    assert not page[tiles.GAP : -tiles.GAP, starts[0] : starts[0] + side].any()
    second = page[tiles.GAP : -tiles.GAP, starts[1] : starts[1] + side, 0]
    assert (second[0, 0], second[-1, -1]) == (0, 255)
    assert (np.diff(second[0].astype(int)) >= 0).all()
    third = page[tiles.GAP : -tiles.GAP, starts[2] : starts[2] + side, 0]
    assert (third[0, 0], third[-1, -1]) == (0, 255)
    assert tuple(page[0, starts[1]]) == tiles.MARKS["dead"]
    assert tuple(page[0, starts[0]]) == tiles.BACKGROUND


@pytest.mark.parametrize(("side", "channels"), [(1, 1), (7, 300), (26, 32), (224, 5), (1000, 2)])
def test_no_sheet_is_wider_than_a_phone_unless_its_tile_is(side, channels):
    maps = np.random.default_rng(0).random((side, side, channels))
    page = tiles.sheet(maps, tiles.own_limits(maps))
    assert page.shape[1] <= tiles.WIDTH + 2 * tiles.GAP
    assert page.dtype == np.uint8


def test_both_models_have_the_limits_of_the_first():
    first, second = np.array([[[0.0], [1.0]]]), np.array([[[0.5], [9.0]]])
    page = tiles.sheet(second, tiles.own_limits(first))[tiles.GAP : -tiles.GAP, tiles.GAP : -tiles.GAP, 0]
    assert {int(value) for value in np.unique(page)} == {128, 255}


def test_kernels_have_grey_for_zero_and_colours_for_three_inputs():
    kernel = np.zeros((3, 3, 1, 2))
    kernel[1, 1, 0] = 1, -1
    assert {0, 128, 255} <= set(np.unique(tiles.kernel_sheet(kernel)).tolist())
    red = np.zeros((3, 3, 3, 1))
    red[..., 0, 0] = 1
    middle = tiles.kernel_sheet(red)[tiles.GAP + 5, tiles.GAP + 5]
    assert middle.tolist() == [255, 128, 128]
    assert tiles.kernel_sheet(np.zeros((3, 3, 40, 500))).shape[1] < 40 * 50


def test_heat_is_hot_where_it_is():
    image = np.full((10, 20), 128, np.uint8)
    heat = np.zeros((5, 10))
    heat[4, 9] = 2
    heat[0, 0] = -7
    page = tiles.overlay(image, heat)
    assert (page.shape[1] >= 280, page.shape[0] * 2) == (True, page.shape[1])
    hot, cold = page[-1, -1].astype(int), page[0, 0].astype(int)
    assert hot.sum() > cold.sum() + 200
    assert (tiles.overlay(image, np.zeros((2, 2)))[0, 0] == cold).all()


def test_pictures_stand_in_the_page():
    uri = tiles.data_uri(np.arange(12, dtype=np.uint8).reshape(3, 4))
    assert uri.startswith("data:image/png;base64,")
    decoded = Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))
    assert np.asarray(decoded).tolist() == np.arange(12).reshape(3, 4).tolist()
