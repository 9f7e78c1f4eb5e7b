from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import DataError
from edgecv.runtime.image import preprocess, preprocess_batch
from edgecv.runtime.resizing import resize
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input

HEAD = (Head(name="class", task="classification", activation="probabilities"),)


def make_spec(shape: tuple[int, ...], **options: object) -> ModelSpec:
    color = {1: "gray", 3: "rgb"}[shape[2]]
    defaults = {"color": color, "mean": (0.0,) * shape[2], "std": (1.0,) * shape[2]}
    return one_input(name="m", input_shape=shape, heads=HEAD, preprocessing=Preprocessing(**{**defaults, **options}))


def naive_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """One pixel at a time, written from the definition: half-pixel centres, edges repeated."""
    rows, columns = image.shape[:2]
    out = np.zeros((height, width, image.shape[2]))
    for y in range(height):
        for x in range(width):
            sy = min(max((y + 0.5) * rows / height - 0.5, 0), rows - 1)
            sx = min(max((x + 0.5) * columns / width - 0.5, 0), columns - 1)
            y0, x0 = int(sy), int(sx)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            fy, fx = sy - y0, sx - x0
            top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
            bottom = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
            out[y, x] = top * (1 - fy) + bottom * fy
    return out


class TestResize:
    def test_bilinear_by_hand(self):
        row = np.array([[[0], [100]]], np.uint8)[None]
        # Centres of 4 pixels over 2: -0.25, 0.25, 0.75, 1.25; the ends repeat the edge.
        assert resize(row, 1, 4, "bilinear").ravel().tolist() == [0.0, 25.0, 75.0, 100.0]

    def test_nearest_by_hand(self):
        row = np.arange(5, dtype=np.uint8)[None, None, :, None]
        assert resize(row, 1, 3, "nearest").ravel().tolist() == [0, 2, 4]
        assert resize(row, 1, 2, "nearest").ravel().tolist() == [1, 3]

    @settings(max_examples=40, deadline=None)
    @given(st.tuples(*[st.integers(1, 12)] * 4), st.integers(0, 2**32 - 1))
    def test_bilinear_matches_the_definition(self, sizes, seed):
        image = np.random.default_rng(seed).integers(0, 256, (*sizes[:2], 3), dtype=np.uint8)
        found = resize(image[None], sizes[2], sizes[3], "bilinear")[0]
        np.testing.assert_allclose(found, naive_bilinear(image, sizes[2], sizes[3]), atol=1e-3)

    @pytest.mark.parametrize("method", ["bilinear", "nearest"])
    def test_matches_tensorflow(self, method):
        from edgecv.modelio import env

        tf = env.tensorflow()
        image = np.random.default_rng(0).integers(0, 256, (1, 47, 61, 3), dtype=np.uint8)
        for height, width in ((32, 32), (96, 200), (47, 13)):
            expected = tf.image.resize(image, (height, width), method=method).numpy()
            # tensorflow computes the positions in float32, so its weights are a little off.
            np.testing.assert_allclose(resize(image, height, width, method), expected, atol=5e-3)

    @settings(deadline=None)
    @given(st.integers(0, 255), st.integers(1, 9), st.integers(1, 9))
    def test_a_flat_image_stays_flat(self, value, height, width):
        flat = np.full((1, 5, 7, 1), value, np.uint8)
        assert (resize(flat, height, width, "bilinear") == value).all()


class TestColour:
    def test_luma_by_hand(self):
        image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 10, 10]]], np.uint8)
        found = preprocess(image, make_spec((1, 4, 1))).ravel()
        np.testing.assert_allclose(found, [76.245, 149.685, 29.07, 10.0], rtol=1e-6)

    def test_gray_is_replicated(self):
        image = np.arange(4, dtype=np.uint8).reshape(2, 2)
        assert (preprocess(image, make_spec((2, 2, 3))) == image[None, :, :, None]).all()

    def test_bgr_reverses(self):
        image = np.array([[[1, 2, 3]]], np.uint8)
        assert preprocess(image, make_spec((1, 1, 3), color="bgr")).ravel().tolist() == [3, 2, 1]

    def test_mean_and_std_are_in_the_models_channel_order(self):
        image = np.array([[[10, 20, 30]]], np.uint8)
        spec = make_spec((1, 1, 3), color="bgr", mean=(30.0, 0.0, 0.0), std=(1.0, 2.0, 5.0))
        assert preprocess(image, spec).ravel().tolist() == [0.0, 10.0, 2.0]


class TestPlacement:
    def test_letterbox_keeps_the_aspect_and_centres(self):
        image = np.full((2, 4), 9, np.uint8)
        out = preprocess(image, make_spec((4, 4, 1), resize="letterbox", pad_value=5))[0, :, :, 0]
        assert out.tolist() == [[5] * 4, [9] * 4, [9] * 4, [5] * 4]

    def test_center_crop_takes_the_largest_window(self):
        image = np.arange(8, dtype=np.uint8).reshape(2, 4)
        out = preprocess(image, make_spec((2, 2, 1), resize="center_crop"))[0, :, :, 0]
        assert out.tolist() == [[1, 2], [5, 6]]

    def test_center_crop_matches_keras(self):
        from edgecv.modelio import env

        smart_resize = env.keras().preprocessing.image.smart_resize
        image = np.random.default_rng(0).integers(0, 256, (50, 81, 3), dtype=np.uint8)
        found = preprocess(image, make_spec((24, 32, 3), resize="center_crop"))[0]
        np.testing.assert_allclose(found, np.asarray(smart_resize(image, (24, 32))), atol=5e-3)

    def test_pad_centres_and_never_scales(self):
        out = preprocess(np.full((1, 2), 7, np.uint8), make_spec((3, 4, 1), resize="pad", pad_value=1))[0, :, :, 0]
        assert out.tolist() == [[1] * 4, [1, 7, 7, 1], [1] * 4]
        with pytest.raises(DataError, match="does not fit"):
            preprocess(np.zeros((4, 4), np.uint8), make_spec((3, 4, 1), resize="pad"))

    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["stretch", "letterbox", "center_crop"]))
    def test_any_size_gives_the_models_shape_and_range(self, height, width, rule):
        image = np.full((height, width, 3), 200, np.uint8)
        out = preprocess(image, make_spec((16, 24, 3), resize=rule, pad_value=200))
        assert out.shape == (1, 16, 24, 3)
        assert out.dtype == np.float32
        assert (out == 200).all()


class TestBatch:
    def test_equals_one_by_one_for_mixed_sizes(self):
        random = np.random.default_rng(0)
        spec = make_spec((16, 16, 3), resize="letterbox")
        for shapes in ([(20, 30, 3)] * 3, [(20, 30, 3), (9, 9), (5, 40, 3)]):
            images = [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
            one_by_one = np.concatenate([preprocess(image, spec) for image in images])
            assert np.array_equal(preprocess_batch(images, spec), one_by_one)

    def test_none_is_empty(self):
        assert preprocess_batch([], make_spec((4, 4, 1))).shape == (0, 4, 4, 1)


class TestRefused:
    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (np.zeros((4, 4, 4), np.uint8), "1 or 3 channels, got 4"),
            (np.zeros((4, 4, 2), np.uint8), "1 or 3 channels, got 2"),
            (np.zeros((0, 4, 3), np.uint8), "empty"),
            (np.zeros(4, np.uint8), "shape"),
            (np.zeros((1, 4, 4, 3), np.uint8), "shape"),
            (np.zeros((4, 4), np.float32), "uint8, got float32"),
            (np.zeros((4, 4), np.int64), "uint8, got int64"),
            (np.full((4, 4), np.nan), "NaN"),
            (np.full((4, 4), "a"), "uint8"),
            ([[1, 2], [3]], "rectangular"),
        ],
    )
    def test_bad_images(self, image, message):
        with pytest.raises(DataError, match=message):
            preprocess(image, make_spec((4, 4, 1)))


class TestFeatures:
    SPEC = one_input(name="f", input_shape=(3,), heads=HEAD)

    def test_are_only_cast(self):
        out = preprocess([1, 2.5, -3], self.SPEC)
        assert out.dtype == np.float32
        assert out.tolist() == [[1.0, 2.5, -3.0]]

    @pytest.mark.parametrize("values", [[1, 2], [1, 2, float("nan")], ["a", "b", "c"]])
    def test_bad_values(self, values):
        with pytest.raises(DataError, match="input 'features'"):
            preprocess(values, self.SPEC)
