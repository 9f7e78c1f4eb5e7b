"""A frame says where preprocessing puts an image: what `preprocess` does with pixels that name themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.runtime import preprocess
from edgecv.tasks.frame import Frame, frame_of
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input

RULES = ("stretch", "letterbox", "center_crop", "pad")
PAD = 255
SIDE = st.integers(1, 40)
SIZES = st.tuples(SIDE, SIDE)
FRAMES = st.builds(
    Frame,
    SIZES,
    SIZES,
    st.tuples(*[st.floats(0.3, 3)] * 2, *[st.floats(-0.2, 0.2)] * 2, *[st.floats(-50, 50)] * 2).map(
        lambda v: ((v[0], v[2], v[4]), (v[3], v[1], v[5]))
    ),
)


def spec(rule: str, size: tuple[int, int], interpolation: str = "bilinear") -> ModelSpec:
    how = Preprocessing(
        color="rgb", resize=rule, interpolation=interpolation, mean=(0.0,) * 3, std=(1.0,) * 3, pad_value=PAD
    )  # type: ignore[arg-type]
    return one_input("m", (*size, 3), (Head("h", "classification", "logits"),), how)


def coordinates(size: tuple[int, int]) -> np.ndarray:
    """Return an image whose red and green are the column and the row of each pixel."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)


def fitting(rule: str, size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """Return a size that the rule takes: "pad" takes none that is larger than the input."""
    return (min(size[0], target[0]), min(size[1], target[1])) if rule == "pad" else size


def centres(size: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.stack([columns, rows], axis=-1) + 0.5


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40, deadline=None)
@given(size=SIZES, target=SIZES)
def test_every_pixel_of_the_input_comes_from_where_the_frame_says(rule, size, target):
    """Bilinear interpolation of a ramp gives the point itself, so each pixel of the tensor says where it is from."""
    size = fitting(rule, size, target)
    made = spec(rule, target)
    tensor = preprocess(coordinates(size), made)[0]
    frame, edge = frame_of(made.preprocessing, size, target), np.array([size[1], size[0]])
    points = frame.to_image(centres(target))
    inside = ((points > 0) & (points < edge)).all(axis=-1)
    if rule in ("stretch", "center_crop"):
        assert inside.all()
    assert (tensor[~inside] == PAD).all()
    # Half a pixel from the edge of the image, or of the window that is cut out of it, the last pixel is repeated.
    first, last = np.clip(frame.to_image(np.array([(0, 0), (target[1], target[0])])), 0, edge)
    np.testing.assert_allclose(tensor[inside][:, :2], np.clip(points[inside] - 0.5, first, last - 1), atol=2e-3)


@pytest.mark.parametrize(
    ("rule", "size", "target", "pixel", "point"),
    [
        # Twice as large: pixel (3, 1) covers 6..8 and 2..4.
        ("stretch", (4, 5), (8, 10), (3, 1), (7.0, 3.0)),
        # Twice as large and 2 rows of padding above.
        ("letterbox", (4, 6), (12, 12), (5, 0), (11.0, 3.0)),
        # The middle 4 columns of 8, twice as large.
        ("center_crop", (4, 8), (8, 8), (3, 2), (3.0, 5.0)),
        # 3 rows above and 2 columns to the left; of an odd rest, the smaller half.
        ("pad", (3, 4), (9, 9), (0, 2), (2.5, 5.5)),
    ],
)
def test_by_hand(rule, size, target, pixel, point):
    made = spec(rule, target, "nearest")
    frame = frame_of(made.preprocessing, size, target)
    assert frame.to_input(np.array(pixel) + 0.5) == pytest.approx(point)
    image = np.zeros((*size, 3), np.uint8)
    image[pixel[1], pixel[0]] = 200
    rows, columns = np.nonzero(preprocess(image, made)[0, ..., 0] == 200)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(point)


@settings(max_examples=60, deadline=None)
@given(frame=FRAMES, point=st.tuples(st.floats(-100, 100), st.floats(-100, 100)))
def test_to_image_inverts_to_input(frame, point):
    assert frame.to_image(frame.to_input(np.array(point))) == pytest.approx(np.array(point), abs=1e-6)
    assert frame.to_input(frame.to_image(np.array([point, point])))[1] == pytest.approx(np.array(point), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(frame=FRAMES, move=FRAMES, point=st.tuples(st.floats(-100, 100), st.floats(-100, 100)))
def test_a_move_comes_after_what_preprocessing_did(frame, move, point):
    moved = frame.then(np.array(move.matrix))
    assert (moved.size, moved.input_size) == (frame.size, frame.input_size)
    assert moved.to_input(np.array(point)) == pytest.approx(move.to_input(frame.to_input(np.array(point))), abs=1e-6)


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40, deadline=None)
@given(size=SIZES, target=SIZES)
def test_the_image_fills_as_much_of_the_input_as_the_rule_says(rule, size, target):
    size = fitting(rule, size, target)
    frame = frame_of(spec(rule, target).preprocessing, size, target)
    (left, top), (right, bottom) = frame.to_input(np.array([(0, 0), (size[1], size[0])]))
    if rule == "stretch":
        assert (left, top, right, bottom) == pytest.approx((0, 0, target[1], target[0]))
    elif rule == "center_crop":
        assert max(left, top) <= 1e-9
        assert right >= target[1] - 1e-9
        assert bottom >= target[0] - 1e-9
    else:
        assert min(left, top) >= 0
        assert right <= target[1] + 1e-9
        assert bottom <= target[0] + 1e-9
        # Whole pixels, in the middle: what is left over differs by one pixel at the most.
        assert -1e-9 <= (target[1] - right) - left < 1 + 1e-9
        assert -1e-9 <= (target[0] - bottom) - top < 1 + 1e-9


def test_vectors_do_not_move():
    frame = frame_of(None, (3, 4), (3, 4))
    assert frame.to_input(np.array([1.25, 2.5])).tolist() == [1.25, 2.5]
