import numpy as np
import pytest

from edgecv.tasks.detection import roi

RNG = np.random.default_rng(0)


def plane(height, width):
    """Two channels, x and y at the centre of each cell."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    return np.stack([x, y], axis=-1).astype(np.float32)


def test_by_hand():
    features = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    # One point in the middle of each quarter: cells of the region are 1.5 wide, points at 0.75 and 2.25.
    found = roi.align(features, np.array([[0, 0, 3, 3]]), size=(2, 2), samples=1)
    assert found[0, :, :, 0] == pytest.approx(np.array([[0.25 + 1.0, 1.75 + 1.0], [1.75 * 4 + 0.25, 1.75 * 4 + 1.75]]))


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_a_plane_is_sampled_exactly(samples):
    boxes = np.array([[16.0, 32.0, 100.0, 60.0], [20.0, 20.0, 21.0, 90.0]], np.float32)
    found = roi.align(plane(8, 8), boxes, stride=16, size=(3, 7), samples=samples)
    for box, values in zip(boxes / 16, found, strict=True):
        x = box[0] + (np.arange(7) + 0.5) / 7 * (box[2] - box[0])
        y = box[1] + (np.arange(3) + 0.5) / 3 * (box[3] - box[1])
        np.testing.assert_allclose(values, np.stack(np.meshgrid(x, y), axis=-1), rtol=1e-5)


def brute_force(features, box, size, samples):
    height, width = features.shape[:2]
    out = np.zeros((*size, features.shape[2]))
    for i in range(size[0]):
        for j in range(size[1]):
            for a in range(samples):
                for b in range(samples):
                    y = box[1] + (i + (a + 0.5) / samples) * (box[3] - box[1]) / size[0] - 0.5
                    x = box[0] + (j + (b + 0.5) / samples) * (box[2] - box[0]) / size[1] - 0.5
                    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
                    top, left = int(y), int(x)
                    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                    v, u = y - top, x - left
                    upper = (1 - u) * features[top, left] + u * features[top, right]
                    lower = (1 - u) * features[bottom, left] + u * features[bottom, right]
                    out[i, j] += ((1 - v) * upper + v * lower) / samples**2
    return out


def test_as_point_by_point():
    features = RNG.normal(size=(9, 12, 3)).astype(np.float32)
    boxes = np.concatenate([RNG.uniform(-2, 6, (20, 2)), RNG.uniform(6, 14, (20, 2))], axis=1)
    found = roi.align(features, boxes, size=(4, 5), samples=2)
    expected = [brute_force(features, box, (4, 5), 2) for box in boxes]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_as_tensorflow_crops_and_resizes():
    tf = pytest.importorskip("tensorflow")
    features = RNG.normal(size=(10, 10, 4)).astype(np.float32)
    boxes = np.array([[1.0, 2.0, 8.0, 6.0], [3.0, 3.0, 7.0, 9.0]])
    found = roi.align(features, boxes, size=(4, 4), samples=1)
    # TensorFlow's first and last points lie on the borders of its box, which counts between centres of cells.
    inset = (boxes[:, 2:] - boxes[:, :2]) / 8
    corners = np.concatenate([boxes[:, :2] + inset, boxes[:, 2:] - inset], axis=1) - 0.5
    theirs = tf.image.crop_and_resize(features[None], corners[:, [1, 0, 3, 2]] / 9, [0, 0], (4, 4))
    np.testing.assert_allclose(found, theirs, atol=1e-5)


def test_many_regions_at_a_time_are_as_one_by_one(monkeypatch):
    features = RNG.normal(size=(6, 6, 2)).astype(np.float32)
    boxes = np.tile(np.array([[0.0, 1.0, 5.0, 4.0]]), (7, 1)) + np.arange(7)[:, None] / 8
    whole = roi.align(features, boxes)
    monkeypatch.setattr(roi, "AT_ONCE", 1)
    np.testing.assert_array_equal(whole, roi.align(features, boxes))


def test_maxima_by_hand():
    features = np.arange(36, dtype=np.float32).reshape(6, 6, 1)
    found = roi.maxima(features, np.array([[0, 0, 64, 96], [17, 17, 18, 18]]), stride=16, size=(2, 2))
    assert found[0, :, :, 0].tolist() == [[13, 15], [31, 33]]
    # A region inside one cell is that cell everywhere.
    assert found[1, :, :, 0].tolist() == [[7, 7], [7, 7]]


def test_maxima_of_parts_that_overlap():
    features = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    # Five cells in three parts: 0-1, 1-3, 3-4, each widened to whole cells.
    assert roi.maxima(features, np.array([[0, 0, 5, 1]]), size=(1, 3))[0, 0, :, 0].tolist() == [1, 3, 4]


def test_the_largest_of_all_parts_is_that_of_the_region():
    features = RNG.normal(size=(8, 8, 3)).astype(np.float32)
    boxes = np.concatenate([RNG.uniform(0, 3, (10, 2)), RNG.uniform(4, 8, (10, 2))], axis=1)
    for box, found in zip(boxes, roi.maxima(features, boxes, size=(3, 3)), strict=True):
        (left, top), (right, bottom) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
        np.testing.assert_array_equal(found.max(axis=(0, 1)), features[top:bottom, left:right].max(axis=(0, 1)))


def test_regions_stand_below_each_other():
    pooled = np.arange(2 * 3 * 2 * 1, dtype=np.float32).reshape(2, 3, 2, 1)
    found = roi.stacked(pooled, 4)
    assert found.shape == (12, 2, 1)
    np.testing.assert_array_equal(found[:6].reshape(2, 3, 2, 1), pooled)
    assert not found[6:].any()
    assert roi.stacked(pooled, 1).shape == (3, 2, 1)
