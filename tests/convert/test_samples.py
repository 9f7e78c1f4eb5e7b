import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.convert.samples import calibration_inputs, check_images, golden_images, input_range
from edgecv.specs import Head, ModelSpec, Preprocessing

HEAD = Head(name="h", task="classification", activation="logits")


def image_spec(**settings):
    return ModelSpec(
        name="m", input_shape=(4, 4, 3), heads=(HEAD,), preprocessing=Preprocessing(color="rgb", **settings)
    )


def test_input_range_by_hand():
    assert input_range(image_spec(mean=(0.0,) * 3, std=(255.0,) * 3)) == (0.0, 1.0)
    assert input_range(image_spec(mean=(127.5,) * 3, std=(127.5,) * 3)) == (-1.0, 1.0)
    low, high = input_range(image_spec(mean=(100.0, 0.0, 50.0), std=(50.0, 100.0, 50.0)))
    assert (low, high) == (-2.0, pytest.approx(4.1))
    assert input_range(ModelSpec(name="v", input_shape=(7,), heads=(HEAD,))) is None


def test_golden_images_keep_small_ones_whole():
    images = [np.full((8, 8), i, np.uint8) for i in range(6)]
    kept = golden_images(images, 70_000)
    assert [int(i[0, 0]) for i in kept] == [0, 1, 2, 3]
    assert kept[0].shape == (8, 8)


def test_shrinking_averages_blocks():
    image = np.zeros((112, 112), np.uint8)
    image[:2, :2] = [[0, 100], [100, 200]]
    (small, *_) = golden_images([image], 10_000_000)
    assert small.shape == (56, 56)
    assert small[0, 0] == 100


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([(), (3,)]), st.integers(0, 3_000_000))
def test_golden_images_fit_their_budget(height, width, channels, size):
    images = [np.zeros((height, width, *channels), np.uint8)] * 5
    kept = golden_images(images, size)
    assert 1 <= len(kept) <= 4
    assert max(kept[0].shape[:2]) <= 56
    assert sum(i.nbytes for i in kept) <= max(size // 64, 1024)


def test_noise_checks_without_data():
    images = check_images(None, image_spec(mean=(0.0,) * 3, std=(1.0,) * 3), seed=3)
    assert len(images) == 16
    assert images[0].shape == (4, 4, 3)
    assert images[0].dtype == np.uint8
    vectors = check_images(None, ModelSpec(name="v", input_shape=(7,), heads=(HEAD,)), seed=3)
    assert vectors[0].shape == (7,)


def test_calibration_takes_training_images_only(dataset, spec, minmax):
    inputs, count = calibration_inputs(dataset, minmax, spec, seed=0)
    seen = list(inputs)
    assert count == len(seen) == 90, "the recipe asks for 100, the split has 90"
    assert seen[0].shape == (1, 12, 12, 1)
    assert 0 <= min(s.min() for s in seen) <= max(s.max() for s in seen) <= 1
