"""Drawn signs: the same ones each time, others in each split, alike within an identity and unlike between them."""

import numpy as np
import pytest

from edgecv.data import open_dataset
from edgecv.data.characters import HANDS, SIGNS, drawn, random_of, sign, spline


@pytest.fixture(scope="module")
def characters():
    return open_dataset("characters")


def test_sizes(characters):
    assert {name: len(split) for name, split in characters.splits.items()} == {
        "train": 48_000, "validation": 600, "test": 1200,
    }  # fmt: skip
    seen = [set(split.targets[0]) for split in characters.splits.values()]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2], "no sign is in two splits"
    assert len(characters.labels) == sum(SIGNS.values()) == 1 + max(map(max, seen))


def test_an_image_fits_its_frame(characters):
    split = characters.split("test")
    for index in range(0, 120, 7):
        image = split.image(index)
        assert (image.shape, image.dtype) == ((28, 28), np.uint8)
        rows, columns = np.nonzero(image > 127)
        assert 14 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 26
        assert image[1:-1, 1:-1].astype(int).sum() > 0.95 * image.astype(int).sum(), "the ink is inside"


def test_the_same_seed_draws_the_same(characters):
    again, other = open_dataset("characters"), open_dataset("characters", seed=1)
    index = [5, 700, 1199]
    split = again.split("test").take(np.array(index))
    for place, one in enumerate(index):
        np.testing.assert_array_equal(split.image(place), characters.split("test").image(one))
    assert not np.array_equal(other.split("test").image(5), split.image(0))
    assert again.split("validation").sha256 == characters.split("validation").sha256
    assert other.split("validation").sha256 != characters.split("validation").sha256


def test_known_pixels():
    """A change of the drawing needs a new version of the data set: `VERSION`."""
    rng = random_of(0, 6000)
    made = drawn(sign(rng), 2, rng)
    assert [int(image.astype(np.int64).sum()) for image in made] == KNOWN


KNOWN = [29932, 26156]


def test_hands_of_one_sign_are_more_alike_than_signs(characters):
    split = characters.split("validation")
    pixels = np.stack([split.image(index) for index in range(len(split))]).reshape(len(split), -1).astype(np.float64)
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)
    alike, owner = pixels @ pixels.T, split.targets[0]
    same = owner[:, None] == owner[None]
    np.fill_diagonal(same, False)
    strangers = owner[:, None] != owner[None]
    assert alike[same].mean() > alike[strangers].mean() + 0.08
    assert len(split) == HANDS["validation"] * SIGNS["validation"]


def test_a_spline_goes_through_its_points_and_keeps_lines_straight():
    points = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0], [4.0, 4.0]])
    line = spline(points, 31)
    np.testing.assert_allclose(line[::10], points, atol=1e-4)
    straight = spline(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), 9)
    np.testing.assert_allclose(straight[:, 0], straight[:, 1], atol=1e-9)
    np.testing.assert_allclose(straight[:, 0], np.linspace(0, 2, 9), atol=1e-5)
