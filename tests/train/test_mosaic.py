"""Samples of four images: windows are full, truths lie on what they are about, and all of it follows from the seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import Dataset, Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.data.truths import ObjectColumn
from edgecv.tasks.boxes import Objects, joined
from edgecv.tasks.frame import Piece, frame_of
from edgecv.tasks.registry import task_of
from edgecv.train import Augmentation, TrainRecipe, train
from edgecv.train.batches import Samples
from edgecv.train.mosaic import quarters
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input
from tests.train.small import RECIPE, SPEC, dataset, model

SIDE = 64
CLASSES = ("a", "b")
BOXES = Head(
    "objects", "detection", "logits", CLASSES, ("boxes", "scores"),
    {"decoder": "yolo_v2", "anchors": [[[20.0, 20.0]]], "strides": [16.0]},
)  # fmt: skip
MASK = Head("mask", "segmentation", "logits", ("ground", *CLASSES))
MOVES: dict[str, Any] = {"shift": 6.0, "zoom": 0.2, "flip": True}


def split(count: int = 12, sizes: tuple[tuple[int, int], ...] = ((SIDE, SIDE), (48, 80))) -> Split:
    """A bright rectangle an image, brighter for class 1, with its box and its mask; the rest is black."""
    rng, images, truths, masks = np.random.default_rng(0), [], [], []
    for index in range(count):
        height, width = sizes[index % len(sizes)]
        y, x = (int(rng.integers(4, side // 2)) for side in (height, width))
        h, w = (int(rng.integers(12, side // 2 - 4)) for side in (height, width))
        image, mask = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
        image[y : y + h, x : x + w] = 120 if index % 2 == 0 else 240
        mask[y : y + h, x : x + w] = 1 + index % 2
        images.append(image)
        masks.append(mask)
        truths.append(Objects(np.array([[x, y, x + w, y + h]], np.float32), np.array([index % 2])))
    source = images if len(sizes) > 1 else np.stack(images)
    return Split(
        name="train",
        images=Listed(source) if len(sizes) > 1 else ArrayImages(source, np.arange(count)),
        targets=(ObjectColumn(tuple(truths)), Listed(masks)),
    )


class Listed(list[Any]):
    """A column, or images, of a list."""


def spec(*heads: Head, resize: Any = "letterbox") -> ModelSpec:
    only = Preprocessing("gray", mean=(0.0,), std=(1.0,), resize=resize)
    return one_input(name="m", input_shape=(SIDE, SIDE, 1), heads=heads, preprocessing=only)


def drawn(how: Augmentation, seed: int = 0, count: int = 12, **options: Any) -> tuple[np.ndarray, ...]:
    samples = Samples(split(count), spec(BOXES, MASK, **options))
    (images,), targets = samples.moved(np.arange(count), how, np.random.default_rng(seed))
    return (images[..., 0], *targets)


@pytest.mark.parametrize("resize", ["letterbox", "stretch", "center_crop"])
@pytest.mark.parametrize("seed", range(3))
def test_boxes_and_masks_lie_on_their_objects(seed: int, resize: Any) -> None:
    images, _, listed, masks = drawn(Augmentation(mosaic=1.0, **MOVES), seed, resize=resize)
    objects = 0
    for image, rows, mask in zip(images, listed, masks, strict=True):
        covered = np.zeros(image.shape, bool)
        for x1, y1, x2, y2, label, _ in rows[rows[:, 4] >= 0]:
            tone = (120.0, 240.0)[int(label)]
            inner = image[int(np.ceil(y1 + 1)) : int(y2 - 1), int(np.ceil(x1 + 1)) : int(x2 - 1)]
            # A rectangle that is not turned fills its box.
            assert np.abs(inner - tone).max(initial=0.0) < 1e-3
            covered[max(0, int(y1 - 1)) : int(y2 + 2), max(0, int(x1 - 1)) : int(x2 + 2)] = True
            objects += 1
        assert (mask[image == 240] == 2).all()
        assert (mask[image == 120] == 1).all()
        assert (mask[image == 0] <= 0).all()
        # What no box covers is dark, or the rest of an object of which three quarters are cut off.
        assert np.count_nonzero(image[~covered]) < 0.1 * image.size
    assert objects > 2 * len(images)


def test_an_object_that_its_window_mostly_hides_is_dropped_and_others_are_cut() -> None:
    frame = frame_of(None, (40, 40), (40, 40))
    truth = Objects(np.array([[0, 0, 10, 10], [12, 0, 32, 10], [24, 20, 44, 30]], np.float32), np.array([0, 1, 2]))
    found = joined([Piece(truth, frame, (0, 0, 20, 40)), Piece(truth, frame, (20, 0, 40, 40))])
    # Of the second object 8 of 20 columns are in the first window and 12 in the second; of the third, none and 16.
    assert found.xyxy.tolist() == [[0, 0, 10, 10], [12, 0, 20, 10], [20, 0, 32, 10], [24, 20, 40, 30]]
    assert found.class_id.tolist() == [0, 1, 1, 2]
    narrow = joined([Piece(truth, frame, (0, 0, 2, 40)), Piece(truth, frame, (2, 0, 40, 40))])
    assert narrow.class_id.tolist() == [0, 1, 2]
    assert narrow.xyxy[0].tolist() == [2, 0, 10, 10]


@pytest.mark.parametrize("seed", range(5))
def test_windows_are_the_input_and_every_image_fills_its_own(seed: int) -> None:
    height, width = 48, 80
    shown = np.zeros((height, width), int)
    for (left, top, right, bottom), matrix in quarters((height, width), np.random.default_rng(seed)):
        shown[top:bottom, left:right] += 1
        assert 0 < matrix[0, 0] == matrix[1, 1] <= 1
        corners = matrix[:, :2] @ np.array([[0, width], [0, height]]) + matrix[:, 2:]
        assert (corners[:, 0] <= np.array([left, top]) + 1e-9).all()
        assert (corners[:, 1] >= np.array([right, bottom]) - 1e-9).all()
    assert (shown == 1).all()


def test_it_follows_from_the_seed_and_none_changes_nothing() -> None:
    how = Augmentation(mosaic=0.5, **MOVES)
    first, again, other = (drawn(how, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    samples = Samples(split(), spec(BOXES, MASK))
    before, after = np.random.default_rng(0), np.random.default_rng(0)
    samples.moved(np.arange(12), Augmentation(**MOVES), before)
    after.uniform(-1.0, 1.0, (5, 12))
    after.random(12)
    assert before.random() == after.random()


def test_its_share_is_what_is_asked_for() -> None:
    """Without moves a sample is its own image, or a mosaic."""
    count = 200
    plain = drawn(Augmentation(shift=1e-9), count=count)[0]
    mixed = drawn(Augmentation(mosaic=0.3), count=count)[0]
    changed = np.abs(plain - mixed).max(axis=(1, 2)) > 1
    assert 0.2 < changed.mean() < 0.4


def test_truths_about_a_whole_image_cannot_be_joined(tmp_path: Path) -> None:
    recipe = TrainRecipe(epochs=1, augmentation=Augmentation(mosaic=0.5))
    expected = "'digit' is for classification, .* as a whole\n.*joined for detection, segmentation"
    with pytest.raises(ConfigError, match=expected):
        train(model(), SPEC, dataset(tmp_path), recipe)
    with pytest.raises(ConfigError, match="cannot be joined"):
        task_of(SPEC.head).joined([], (8, 8))


def test_too_many_objects_in_four_images_are_an_error_that_says_so() -> None:
    many = Objects(np.tile(np.array([[10, 10, 40, 40]], np.float32), (90, 1)), np.zeros(90, np.int64))
    frame = frame_of(None, (SIDE, SIDE), (SIDE, SIDE))
    truth = task_of(BOXES).joined([Piece(many, frame, (0, 0, SIDE, SIDE))] * 4, (SIDE, SIDE))
    with pytest.raises(DataError, match=r"360 objects.*\n.*mosaic"):
        task_of(BOXES).training(BOXES).encode(truth, frame)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"mosaic must be in 0\.\.1"):
        Augmentation(mosaic=share)


def test_a_detector_trains_on_mosaics() -> None:
    from edgecv.modelio import env

    keras = env.keras()
    keras.utils.set_random_seed(0)
    x = image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Conv2D(8, 3, strides=16, padding="same", activation="relu", name="c")(x)
    outputs = [keras.layers.Conv2D(4, 1, name="boxes")(x), keras.layers.Conv2D(3, 1, name="scores")(x)]
    own = split(sizes=((SIDE, SIDE),))
    own = Split(name="train", images=own.images, targets=own.targets[:1])
    target = Target(name="objects", task="detection", labels=CLASSES)
    data = Dataset(name="d", uri="d", targets=(target,), splits={name: own for name in ("train", "validation", "test")})
    recipe = TrainRecipe(epochs=2, batch_size=4, augmentation=Augmentation(mosaic=1.0), seed=RECIPE.seed)
    done = train(keras.Model(image, outputs), spec(BOXES), data, recipe)
    assert np.isfinite([epoch.loss for epoch in done.history]).all()
