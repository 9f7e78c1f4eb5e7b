import numpy as np
import pytest

from edgecv.tasks.boxes import iou
from edgecv.tasks.detection.segments import segments, smoothed
from edgecv.tasks.detection.selective_search import hsv, lab, selective_search


def squares():
    """Two squares of one colour each on a third one, with noise."""
    image = np.full((60, 80, 3), (40, 90, 160), np.uint8)
    image[10:35, 8:30] = (220, 60, 30)
    image[25:55, 45:72] = (30, 200, 60)
    noise = np.random.default_rng(0).integers(0, 6, image.shape, dtype=np.uint8)
    return image + noise


BOXES = np.array([[8, 10, 30, 35], [45, 25, 72, 55]], np.float32)


def test_segments_of_plain_squares():
    image = squares().astype(float)
    found = segments(image, scale=300, least=50)
    assert found.shape == (60, 80)
    assert set(np.unique(found)) == set(range(found.max() + 1))
    assert np.bincount(found.ravel()).min() >= 50
    # Away from the borders, a square is one segment, and no other square's.
    inside = [np.unique(found[12:33, 10:28]), np.unique(found[27:53, 47:70])]
    assert [len(one) for one in inside] == [1, 1]
    assert inside[0][0] != inside[1][0]


def test_a_larger_scale_gives_fewer_segments():
    image = np.random.default_rng(0).uniform(0, 255, (40, 40, 3))
    counts = [segments(image, scale=scale, least=1).max() + 1 for scale in (10, 200, 4000)]
    assert counts[0] > counts[1] > counts[2]


def test_segments_as_scikit_image_finds_them():
    reference = pytest.importorskip("skimage.segmentation")
    image = squares()
    theirs = reference.felzenszwalb(image, scale=200, sigma=0.8, min_size=50)
    ours = segments(image.astype(float), scale=200, least=50)
    # Numbers differ: the same pairs of neighbours are together.
    for axis in (0, 1):
        together = [np.diff(labels, axis=axis) == 0 for labels in (theirs, ours)]
        assert (together[0] == together[1]).mean() > 0.97


def test_a_gaussian_keeps_means_and_is_symmetric():
    image = np.zeros((21, 21, 1))
    image[10, 10] = 1.0
    found = smoothed(image, 1.5)
    assert found.sum() == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(found, found[::-1, ::-1])
    np.testing.assert_allclose(found[..., 0], found[..., 0].T)
    assert smoothed(image, 0) is not None


@pytest.mark.parametrize(
    ("colour", "expected"),
    [((255, 0, 0), (0, 255, 255)), ((0, 255, 0), (85, 255, 255)), ((0, 0, 255), (170, 255, 255)),
     ((128, 128, 128), (0, 0, 128)), ((0, 0, 0), (0, 0, 0))],
)  # fmt: skip
def test_hue_saturation_value_by_hand(colour, expected):
    assert hsv(np.array([[colour]], np.uint8))[0, 0] == pytest.approx(expected)


def test_lab_by_hand():
    found = lab(np.array([[(255, 255, 255), (0, 0, 0), (255, 0, 0)]], np.uint8))[0]
    assert found[0] == pytest.approx((255, 128, 128), abs=0.1)
    assert found[1] == pytest.approx((0, 128, 128), abs=0.1)
    assert (found[2] - 128 * np.array([0, 1, 1])) / np.array([2.55, 1, 1]) == pytest.approx(
        (53.24, 80.09, 67.20), abs=0.1
    )


def test_colours_as_scikit_image_has_them():
    color = pytest.importorskip("skimage.color")
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    np.testing.assert_allclose(hsv(image) / 255, color.rgb2hsv(image), atol=1e-9)
    ours = (lab(image) - 128 * np.array([0, 1, 1])) / np.array([2.55, 1, 1])
    np.testing.assert_allclose(ours, color.rgb2lab(image), atol=1e-2)


def test_objects_are_among_the_regions():
    found = selective_search(squares())
    assert found.dtype == np.float32
    assert (found[:, 2:] > found[:, :2]).all()
    assert found.min() >= 0
    assert (found <= [80, 60, 80, 60]).all()
    assert len(np.unique(found, axis=0)) == len(found)
    assert iou(BOXES, found).max(axis=1).min() > 0.8


def test_the_same_image_gives_the_same_regions():
    first, again = selective_search(squares()), selective_search(squares())
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(selective_search(squares(), most=5), first[:5])


def test_gray_images():
    gray = squares()[..., 0]
    np.testing.assert_array_equal(selective_search(gray), selective_search(np.repeat(gray[..., None], 3, axis=2)))
