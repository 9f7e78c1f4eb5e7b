"""Maps from one grid to another: by hand, against tf.image, and separable against point by point."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.tasks import sampling
from edgecv.tasks.frame import Frame, frame_of
from edgecv.values.specs import Preprocessing

GRAY = Preprocessing(color="gray")


def full(grid):
    """The same points, one by one instead of by row and column."""
    y, x = np.broadcast_arrays(grid.y, grid.x)
    return sampling.Grid(y, x, grid.size)


def test_nearest_by_hand():
    frame = frame_of(GRAY, (2, 4), (4, 4))  # twice as high
    grid = sampling.image_in_output(frame, (2, 2))  # half the input
    np.testing.assert_array_equal(sampling.nearest(np.array([[1, 2], [3, 4]]), grid), [[1, 1, 2, 2], [3, 3, 4, 4]])


def test_bilinear_by_hand():
    scores = np.stack([np.array([[1.0, 0.0]]), np.array([[0.3, 0.5]])], axis=2).astype(np.float32)
    grid = sampling.image_in_output(frame_of(GRAY, (1, 8), (1, 2)), (1, 2))
    # Class 0 falls from 1 to 0 and class 1 rises from .3 to .5 between pixel centres at 2 and 6: they meet at 4.33.
    np.testing.assert_array_equal(sampling.best_class(scores, grid), [[0, 0, 0, 0, 1, 1, 1, 1]])


@pytest.mark.parametrize("size", [(13, 9), (40, 31), (8, 8)])
def test_stretch_agrees_with_tf_image(size):
    import tensorflow as tf

    scores = np.random.default_rng(0).normal(size=(8, 8, 5)).astype(np.float32)
    grid = sampling.image_in_output(frame_of(GRAY, size, (32, 32)), (8, 8))
    expected = tf.image.resize(scores, size, method="bilinear", antialias=False).numpy().argmax(axis=-1)
    assert (sampling.best_class(scores, grid) == expected).mean() > 0.999
    labels = scores.argmax(axis=-1)
    expected = tf.image.resize(labels[..., None], size, method="nearest").numpy()[..., 0]
    np.testing.assert_array_equal(sampling.nearest(labels, grid), expected)


@given(
    seed=st.integers(0, 1000),
    resize=st.sampled_from(["stretch", "letterbox", "center_crop"]),
    size=st.tuples(st.integers(3, 20), st.integers(3, 20)),
)
@settings(max_examples=20, deadline=None)
def test_separable_agrees_with_point_by_point(seed, resize, size):
    scores = np.random.default_rng(seed).normal(size=(6, 8, 3)).astype(np.float32)
    frame = frame_of(dataclasses.replace(GRAY, resize=resize), size, (12, 16))
    grid = sampling.image_in_output(frame, (6, 8))
    assert (sampling.best_class(scores, grid) == sampling.best_class(scores, full(grid))).mean() > 0.99
    labels = scores.argmax(axis=-1)
    np.testing.assert_array_equal(sampling.nearest(labels, grid), sampling.nearest(labels, full(grid)))


def test_letterbox_reads_only_the_image_and_not_the_padding():
    frame = frame_of(dataclasses.replace(GRAY, resize="letterbox"), (4, 8), (8, 8))
    labels = np.zeros((8, 8), int)
    labels[2:6] = np.arange(8) + 10
    np.testing.assert_array_equal(sampling.nearest(labels, sampling.image_in_output(frame, (8, 8))), labels[2:6])


def test_input_in_image_marks_what_lies_outside():
    frame = frame_of(dataclasses.replace(GRAY, resize="letterbox"), (4, 8), (8, 8))
    found = sampling.nearest(np.full((4, 8), 7), sampling.input_in_image(frame), outside=-1)
    np.testing.assert_array_equal(found[[0, 1, 6, 7]], -1)
    np.testing.assert_array_equal(found[2:6], 7)


def test_a_quarter_turn_moves_every_pixel():
    labels = np.arange(16).reshape(4, 4)
    frame = Frame((4, 4), (4, 4), ((0.0, -1.0, 4.0), (1.0, 0.0, 0.0)))  # (x, y) to (4 - y, x): clockwise
    turned = sampling.nearest(labels, sampling.input_in_image(frame), outside=-1)
    np.testing.assert_array_equal(turned, np.rot90(labels, -1))
    scores = np.eye(16, dtype=np.float32)[turned]
    np.testing.assert_array_equal(sampling.best_class(scores, sampling.image_in_output(frame, (4, 4))), labels)


def test_without_a_frame_the_output_is_the_image():
    scores = np.random.default_rng(1).random((3, 5, 2)).astype(np.float32)
    grid = sampling.image_in_output(None, (3, 5))
    np.testing.assert_array_equal(sampling.best_class(scores, grid), scores.argmax(axis=-1))


def test_an_output_that_covers_the_middle_lies_there():
    frame = frame_of(GRAY, (1, 8), (1, 8))
    grid = sampling.image_in_output(frame, (1, 2), (2.0, 0.0, 6.0, 1.0))
    np.testing.assert_array_equal(sampling.nearest(np.array([[1, 2]]), grid), [[1, 1, 1, 1, 2, 2, 2, 2]])
    np.testing.assert_allclose(grid.x[0], (np.arange(8) + 0.5 - 2.0) / 2.0)
    whole = sampling.image_in_output(frame, (1, 2), (0.0, 0.0, 8.0, 1.0))
    np.testing.assert_array_equal(whole.x, sampling.image_in_output(frame, (1, 2)).x)
