"""Losses against values computed by hand; augmentation against the moves it claims to make."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from edgecv.core.errors import ConfigError
from edgecv.runtime.image import moved_batch, preprocess, preprocess_batch
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects
from edgecv.tasks.frame import Frame, frame_of
from edgecv.tasks.learning import LossOptions
from edgecv.tasks.registry import task_of
from edgecv.train.augment import Augmentation, moves
from edgecv.values.specs import Head, InputSpec, Preprocessing


def head(activation: str, task: str = "classification") -> Head:
    return Head("output", task, activation)  # type: ignore[arg-type]


def value(activation: str, outputs: list[list[float]], labels: list[Any], **options: Any) -> float:
    only = head(activation, "regression" if activation == "linear" else "classification")
    task = task_of(only).training(only)
    targets = [np.stack(column) for column in zip(*(task.encode(label, None) for label in labels), strict=True)]
    return float(task.loss(targets, [np.array(outputs, np.float32)], LossOptions(**options)))


def test_losses_by_hand() -> None:
    assert value("probabilities", [[0.25, 0.75]], [1]) == pytest.approx(-math.log(0.75), rel=1e-5)
    assert value("logits", [[0.0, math.log(3)]], [1]) == pytest.approx(-math.log(0.75), rel=1e-5)
    assert value("linear", [[1.0], [4.0]], [[2.0], [2.0]]) == pytest.approx((1 + 4) / 2)


def test_distances_are_lecuns_map_criterion() -> None:
    # E = d_right + log sum exp(-d), LeCun et al. 1998, eq. 9 without the rubbish class.
    distances, right = [1.0, 3.0, 0.5], 2
    expected = distances[right] + math.log(sum(math.exp(-d) for d in distances))
    assert value("distances", [distances], [right]) == pytest.approx(expected, rel=1e-5)


def test_smoothing_spreads_the_target() -> None:
    expected = -(0.95 * math.log(0.75) + 0.05 * math.log(0.25))
    assert value("probabilities", [[0.25, 0.75]], [1], label_smoothing=0.1) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "expected"), [("mse", (9 + 0.25) / 2), ("mae", 3.5 / 2), ("huber", (2.5 + 0.125) / 2)]
)
def test_losses_of_values_by_hand(loss: str, expected: float) -> None:
    assert value("linear", [[5.0], [1.5]], [[2.0], [2.0]], regression=loss) == pytest.approx(expected)


def test_class_weights_weigh_each_sample_by_its_class() -> None:
    weights = np.array([2.0, 0.5], np.float32)
    expected = (-2.0 * math.log(0.25) - 0.5 * math.log(0.75)) / 2
    found = value("probabilities", [[0.25, 0.75]] * 2, [0, 1], class_weights=weights)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("activation", "task"),
    [
        ("linear", "classification"), ("distances", "segmentation"), ("logits", "regression"), ("linear", "multilabel"),
        ("logits", "embedding"), ("linear", "verification"), ("linear", "localisation"),
    ],
)  # fmt: skip
def test_a_head_without_a_loss_is_refused(activation: str, task: str) -> None:
    with pytest.raises(ConfigError, match=r"head 'output' .*(has no training loss|no cross-entropy)"):
        task_of(head(activation, task)).training(head(activation, task))


SIDE = 12
CENTRE = SIDE / 2


def images(count: int = 2, side: int = SIDE) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, 256, (count, side, side), dtype=np.uint8))


def taker(size: tuple[int, int] = (SIDE, SIDE), **how: Any) -> InputSpec:
    """Return an input whose tensor holds plain pixels."""
    return InputSpec("image", (*size, 1), Preprocessing(color="gray", mean=(0.0,), std=(1.0,), **how))


class Fixed:
    """A generator whose draws are all the same share of the bound: turn, zoom, shear, and the shift down and across."""

    def __init__(self, *shares: float, flips: bool = False) -> None:
        self.shares, self.flips = shares, flips

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
        draws = np.zeros(shape)
        for index, share in enumerate(self.shares):
            draws[index] = share
        return draws

    def random(self, count: int) -> np.ndarray:
        return np.zeros(count) if self.flips else np.ones(count)


ALL = Fixed(1.0, 1.0, 1.0, 1.0, 1.0)


def placed(given_images: list[np.ndarray], only: InputSpec, how: Augmentation, rng: Any) -> list[Frame]:
    """Return where moved images lie, as training does it."""
    size = (only.shape[0], only.shape[1])
    return [
        frame_of(only.preprocessing, (image.shape[0], image.shape[1]), size).then(matrix)
        for image, matrix in zip(given_images, moves(how, size, len(given_images), rng), strict=True)
    ]


def moved(given_images: list[np.ndarray], only: InputSpec, how: Augmentation, rng: Any = ALL) -> np.ndarray:
    return moved_batch(given_images, only, placed(given_images, only, how, rng))


class TestMoves:
    def test_none_is_the_identity(self) -> None:
        assert Augmentation().none
        assert np.array_equal(moves(Augmentation(), (7, 5), 3, np.random.default_rng(0)), [np.eye(3)[:2]] * 3)

    @pytest.mark.parametrize(
        ("bounds", "point", "expected"),
        [
            # The size is 8 by 12, so the centre (6, 4) stays where nothing shifts; images come from where they went.
            ({"rotation": 90.0}, (6, 4), (6, 4)),
            ({"rotation": 90.0}, (7, 4), (6, 5)),
            ({"zoom": 0.5}, (8, 6), (9, 7)),
            ({"shear": 0.25}, (6, 6), (5.5, 6)),
            ({"shift": 2.0}, (6, 4), (4, 2)),
        ],
    )
    def test_by_hand(self, bounds: dict[str, float], point: tuple[float, float], expected: tuple[float, float]) -> None:
        (matrix,) = moves(Augmentation(**bounds), (8, 12), 1, ALL)  # type: ignore[arg-type]
        assert matrix[:, :2] @ point + matrix[:, 2] == pytest.approx(expected)

    def test_a_flip_mirrors_left_and_right(self) -> None:
        (matrix,) = moves(Augmentation(flip=True), (8, 12), 1, Fixed(flips=True))  # type: ignore[arg-type]
        assert matrix[:, :2] @ (1.0, 3.0) + matrix[:, 2] == pytest.approx((11.0, 3.0))
        flips = moves(Augmentation(flip=True), (8, 12), 400, np.random.default_rng(0))[:, 0, 0] < 0
        assert 150 < flips.sum() < 250

    def test_every_draw_is_within_its_bound_and_uses_it(self) -> None:
        found = moves(Augmentation(rotation=30.0), (8, 8), 500, np.random.default_rng(0))
        angles = np.degrees(np.arctan2(found[:, 1, 0], found[:, 0, 0]))
        assert np.abs(angles).max() <= 30 + 1e-9
        assert angles.min() < -28
        assert angles.max() > 28

    @pytest.mark.parametrize("bounds", [{"shift": -1.0}, {"rotation": 180.0}, {"zoom": 1.0}, {"shear": float("nan")}])
    def test_bounds_out_of_range_are_refused(self, bounds: dict[str, float]) -> None:
        with pytest.raises(ConfigError):
            Augmentation(**bounds)  # type: ignore[arg-type]


class TestMovedImages:
    @pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
    @pytest.mark.parametrize("rule", ["stretch", "letterbox", "center_crop", "pad"])
    @settings(max_examples=25, deadline=None)
    @given(size=st.tuples(st.integers(1, 30), st.integers(1, 30)), target=st.tuples(*[st.integers(1, 30)] * 2))
    def test_without_a_move_are_what_preprocessing_gives(self, rule, interpolation, size, target) -> None:
        if rule == "pad":
            size = (min(size[0], target[0]), min(size[1], target[1]))
        image = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
        only = taker(target, resize=rule, interpolation=interpolation, pad_value=77)
        (frame,) = placed([image], only, Augmentation(), ALL)
        result, expected = moved_batch([image], only, [frame]), preprocess(image, only)
        # Where a window is cut out, preprocessing repeats the window's last pixels, and a move sees those beyond.
        deep = in_the_window(frame) if rule == "center_crop" and interpolation == "bilinear" else np.ones(target, bool)
        np.testing.assert_allclose(result[0][deep], expected[0][deep], atol=255e-4)

    def test_a_whole_pixel_shift_is_a_roll(self) -> None:
        source = images()
        result = moved(source, taker(), Augmentation(shift=2.0))
        for got, image in zip(result[..., 0], source, strict=True):
            assert np.array_equal(got[:-2, :-2], np.roll(image, (-2, -2), (0, 1))[:-2, :-2])
            # What comes in repeats the edge.
            assert np.array_equal(got[-2:, :-2], np.repeat(image[-1:, 2:], 2, axis=0))

    def test_a_shift_brings_padding_in_where_images_are_padded(self) -> None:
        result = moved(images(), taker(resize="letterbox", pad_value=9), Augmentation(shift=2.0))
        assert (result[:, -2:] == 9).all()
        assert (result[:, :, -2:] == 9).all()

    def test_a_flip_turns_columns_around(self) -> None:
        source = images()
        result = moved(source, taker(), Augmentation(flip=True), Fixed(flips=True))
        assert np.array_equal(result[..., 0], np.stack(source)[:, :, ::-1])

    def test_a_rotation_agrees_with_scipy(self) -> None:
        source = images()
        result = moved(source, taker(), Augmentation(rotation=20.0))
        options = {"axes": (1, 2), "reshape": False, "order": 1, "mode": "nearest"}
        turned = ndimage.rotate(np.stack(source).astype(np.float64), -20.0, **options)
        np.testing.assert_allclose(result[..., 0], turned, atol=255e-4)

    @settings(max_examples=25, deadline=None)
    @given(
        st.builds(
            Augmentation, shift=st.floats(0, 4), rotation=st.floats(0, 90), zoom=st.floats(0, 0.5),
            shear=st.floats(0, 0.5), flip=st.booleans(),
        ),
        st.integers(0, 1000),
    )  # fmt: skip
    def test_any_move_agrees_with_scipy_stays_in_range_and_follows_the_seed(self, how, seed) -> None:
        source, only = images(), taker()
        frames = placed(source, only, how, np.random.default_rng(seed))
        result = moved_batch(source, only, frames)
        assert np.array_equal(result, moved(source, only, how, np.random.default_rng(seed)))
        assert result.min() >= np.min(source) - 1e-3
        assert result.max() <= np.max(source) + 1e-3
        for got, image, frame in zip(result[..., 0], source, frames, strict=True):
            back = np.linalg.inv(np.vstack([frame.matrix, [0, 0, 1]]))
            # scipy's coordinates are (row, column), and a pixel's centre is at a whole number.
            linear = back[:2, :2][::-1, ::-1]
            offset = back[:2, 2][::-1] + linear @ (0.5, 0.5) - 0.5
            options = {"order": 1, "mode": "nearest"}
            expected = ndimage.affine_transform(image.astype(np.float64), linear, offset, **options)
            np.testing.assert_allclose(got, expected, atol=255e-4)

    def test_several_sizes_in_one_batch(self) -> None:
        source = [images(1, 9)[0], images(1, 20)[0]]
        result = moved(source, taker(), Augmentation(), np.random.default_rng(0))
        np.testing.assert_allclose(result, preprocess_batch(source, taker()), atol=255e-4)


def in_the_window(frame: Frame) -> np.ndarray:
    """Return which pixels of the input lie half a pixel of the image within the part that a crop keeps."""
    height, width = frame.input_size
    grid = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    (first, last), points = frame.to_image(np.array([(0, 0), (width, height)])), frame.to_image(grid)
    return ((points >= first + 0.5) & (points <= last - 0.5)).all(axis=-1)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["stretch", "letterbox", "center_crop"]),
    st.builds(
        Augmentation, shift=st.floats(0, 4), rotation=st.floats(0, 45), zoom=st.floats(0, 0.3),
        shear=st.floats(0, 0.3), flip=st.booleans(),
    ),
    st.integers(0, 1000),
)  # fmt: skip
def test_image_mask_and_box_move_together(rule: str, how: Augmentation, seed: int) -> None:
    """A bright rectangle in the image, its pixels in the mask, and its box stay one thing."""
    only = taker((48, 40), resize=rule)
    image, mask = np.zeros((60, 72), np.uint8), np.zeros((60, 72), np.uint8)
    image[20:44, 24:52], mask[20:44, 24:52] = 255, 1
    (frame,) = placed([image], only, how, np.random.default_rng(seed))
    pixels = moved_batch([image], only, [frame])[0, ..., 0] / 255
    segmentation = Head("mask", "segmentation", "logits", ("ground", "thing"))
    (labels,) = task_of(segmentation).training(segmentation).encode(mask, frame)
    box = boxes.warp(Objects(np.array([[24, 20, 52, 44]], np.float32), np.array([0])), frame).xyxy[0]

    # The nearest pixel's label, beside a mean of four pixels: a share of 3/4 needs the nearest one.
    inside = labels >= 0
    assert (labels[pixels > 0.75] == 1).all()
    assert (labels[inside & (pixels < 0.25)] == 0).all()
    rows, columns = np.nonzero(labels == 1)
    extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.array(extent) - box).max() <= 1.5
