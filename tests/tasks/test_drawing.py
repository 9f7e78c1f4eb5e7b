"""Drawing on images."""

import numpy as np
import pytest

from edgecv.core.errors import DataError
from edgecv.tasks import drawing

RED = (213, 94, 0)


def _pixels(picture: object) -> np.ndarray:
    return np.asarray(picture)


def test_small_images_grow_by_whole_factors_without_smoothing() -> None:
    image = np.arange(28 * 20, dtype=np.uint8).reshape(28, 20)
    picture, scale = drawing.canvas(image)
    assert (scale, picture.size) == (10, (200, 280))
    assert (_pixels(picture)[::10, ::10, 0] == image).all()
    assert (_pixels(picture)[9::10, 9::10, 2] == image).all()


def test_large_images_stay_as_they_are() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    picture, scale = drawing.canvas(image)
    assert (scale, picture.size) == (1, (400, 300))
    assert drawing.canvas(image[:, :, :1])[0].mode == "RGB"


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)])
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(DataError, match="drawing takes uint8"):
        drawing.canvas(image)


def test_the_outline_of_a_box_is_on_its_border_and_its_inside_is_free() -> None:
    picture, scale = drawing.canvas(np.full((32, 32), 128, np.uint8))
    drawing.box(picture, (4, 8, 20, 24), RED, scale=scale)
    pixels = _pixels(picture)
    for y, x in ((64, 32), (191, 159), (64, 159), (191, 32)):  # the corner pixels at scale 8
        assert tuple(pixels[y, x]) == RED
    assert (pixels[80:180, 50:150] == 128).all()
    assert (pixels[:60] == 128).all()


def test_tabs_lie_inside_the_picture_wherever_the_box_is() -> None:
    for corners in ((0, 0, 5, 5), (27, 27, 32, 32), (27, 0, 32, 4), (-4, -4, 40, 40)):
        picture, scale = drawing.canvas(np.zeros((32, 32), np.uint8))
        before = _pixels(picture).copy()
        drawing.label(picture, corners[:2], "a long label 0.97", RED, scale=scale)
        assert picture.size == (256, 256)
        tab = (_pixels(picture) == RED).all(axis=2)
        rows, columns = np.flatnonzero(tab.any(axis=1)), np.flatnonzero(tab.any(axis=0))
        assert len(rows) >= 15  # all of its height
        assert len(columns) > 100
        assert (_pixels(picture) != before).any()


def tabs(corners: list[tuple[int, int, int, int]], colors: list[drawing.Color], texts: list[str]) -> np.ndarray:
    """Where tabs are seen beside lines in a large picture: bool (300, 300)."""
    bare, with_tabs = (drawing.canvas(np.zeros((300, 300), np.uint8))[0] for _ in range(2))
    drawing.boxes(bare, corners, colors)
    drawing.boxes(with_tabs, corners, colors, texts=texts)
    return (_pixels(with_tabs) != _pixels(bare)).any(axis=2)


CROWDED = [(100, 100, 180, 180), (102, 104, 176, 186), (90, 98, 170, 170)]


def test_tabs_of_crowded_boxes_do_not_cover_each_other() -> None:
    colors = [drawing.palette(index) for index in range(3)]
    alone = [tabs([box], [color], ["label"]).sum() for box, color in zip(CROWDED, colors)]
    assert tabs(CROWDED, colors, ["label"] * 3).sum() > 0.9 * sum(alone)


def test_no_line_crosses_a_text() -> None:
    crossing = (100, 0, 103, 300)
    colors = [drawing.palette(0), drawing.palette(1)]
    alone, _ = drawing.canvas(np.zeros((300, 300), np.uint8))
    drawing.boxes(alone, [CROWDED[0]], colors[:1], texts=["label"])
    crossed, _ = drawing.canvas(np.zeros((300, 300), np.uint8))
    drawing.boxes(crossed, [CROWDED[0], crossing], colors, texts=["label", ""])
    seen = tabs([CROWDED[0]], colors[:1], ["label"])
    assert (_pixels(crossed)[seen] == _pixels(alone)[seen]).all()


def test_the_last_box_has_its_tab_above_it() -> None:
    same, colors = [(100, 100, 180, 180)] * 2, [drawing.palette(0), drawing.palette(1)]
    assert np.flatnonzero(tabs(same, colors, ["", "label"]).any(axis=1)).max() < 100
    assert np.flatnonzero(tabs(same, colors, ["label", ""]).any(axis=1)).max() < 100
    both = tabs(same, colors, ["label", "other"])
    assert both[:100].any()
    assert both[105:].any()


def test_where_there_is_no_room_tabs_lie_inside_the_picture() -> None:
    many = [(0, 0, 300, 300)] * 40
    picture, _ = drawing.canvas(np.zeros((300, 300), np.uint8))
    drawing.boxes(picture, many, [RED] * 40, texts=["a rather long label of a class 0.97"] * 40)
    assert picture.size == (300, 300)


def test_text_stands_out_from_its_tab() -> None:
    for index in range(21):
        picture, _ = drawing.canvas(np.zeros((256, 256), np.uint8))
        drawing.label(picture, (20, 100), "8", drawing.palette(index))
        luma = _pixels(picture) @ [0.299, 0.587, 0.114]
        tab = luma[90:98, 22:30]
        assert abs(drawing.palette(index) @ np.array([0.299, 0.587, 0.114]) - tab).max() > 90


def test_a_mask_blends_inside_and_is_solid_at_its_rim() -> None:
    picture, _scale = drawing.canvas(np.full((64, 64), 100, np.uint8))
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    drawing.overlay_mask(picture, mask, (200, 0, 100), alpha=0.5)
    pixels = _pixels(picture)
    assert tuple(pixels[64, 64]) == (200, 0, 100)
    assert pixels[128, 128] == pytest.approx([150, 50, 100], abs=1)
    assert tuple(pixels[0, 0]) == (100, 100, 100)
    with pytest.raises(DataError, match="does not fit"):
        drawing.overlay_mask(picture, mask[:30], RED)


def test_a_mask_that_covers_the_image_has_no_rim() -> None:
    picture, _ = drawing.canvas(np.zeros((300, 300), np.uint8))
    drawing.overlay_mask(picture, np.ones((300, 300), bool), (200, 100, 50), alpha=0.5)
    assert _pixels(picture)[0, 0] == pytest.approx([100, 50, 25], abs=1)


def test_the_palette_is_distinct() -> None:
    colors = np.array([drawing.palette(index) for index in range(21)], float)
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=2) + 1e3 * np.eye(21)
    assert apart.min() > 25
    assert drawing.palette(21) == drawing.palette(0)


def test_pictures_side_by_side() -> None:
    one, two = (drawing.canvas(np.full(size, 50, np.uint8))[0] for size in ((300, 300), (100, 260)))
    row = drawing.beside([one, two], ["truth", "int8"])
    assert row.width == 300 + 260 + 3 * 8
    assert row.height > 300 + 18
    top = row.height - 308
    assert (_pixels(row)[top : top + 300, 8:308] == 50).all()
    assert (_pixels(row)[top : top + 100, 316:576] == 50).all()
    assert (_pixels(row)[top:, 308:316] == 255).all()
    with pytest.raises(DataError):
        drawing.beside([one], ["a", "b"])
    with pytest.raises(DataError):
        drawing.beside([])


def test_captions_are_added_below_and_never_cut() -> None:
    picture, _ = drawing.canvas(np.full((256, 256), 50, np.uint8))
    found = drawing.caption(picture, ["a line that is far longer than the picture is wide, and then some", "b"])
    assert found.width > 256
    assert found.height > 256 + 2 * 13
    assert (_pixels(found)[:256, :256] == 50).all()
