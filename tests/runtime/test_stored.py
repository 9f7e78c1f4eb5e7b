"""Pixels go straight to stored values, and these are those of the float path, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.runtime.image import preprocess
from edgecv.runtime.stored import stored_input
from edgecv.runtime.tensors import to_stored
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import InputSpec, Preprocessing

MEANS = {"gray": (33.3,), "rgb": (123.675, 116.28, 103.53), "bgr": (103.939, 116.779, 123.68)}
STDS = {"gray": (78.5,), "rgb": (58.395, 57.12, 57.375), "bgr": (1.0, 1.0, 1.0)}


@st.composite
def situations(draw):
    color = draw(st.sampled_from(sorted(MEANS)))
    alike = draw(st.booleans())
    mean = (127.5,) * len(MEANS[color]) if alike else MEANS[color]
    std = (127.5,) * len(MEANS[color]) if alike else STDS[color]
    preprocessing = Preprocessing(
        color, mean=mean, std=std, resize=draw(st.sampled_from(["stretch", "center_crop", "letterbox", "pad"])),
        interpolation=draw(st.sampled_from(["bilinear", "nearest"])),
    )  # fmt: skip
    channels = 1 if color == "gray" else 3
    size = draw(st.sampled_from([(6, 9), (7, 7), (9, 6), (5, 4)])) if draw(st.booleans()) else (6, 9)
    if preprocessing.resize == "pad":
        size = (min(size[0], 6), min(size[1], 9))
    shape = size + draw(st.sampled_from([(), (1,), (3,)]))
    image = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, shape, dtype=np.uint8)
    dtype = draw(st.sampled_from(["int8", "uint8", "int16", "float32", "int32"]))
    scale = draw(st.sampled_from([1 / 127.5, 0.0186584, 1.0, 0.0078431377, 3.7]))
    zero = draw(st.sampled_from([-128, -1, 0, 14])) if dtype != "uint8" else draw(st.sampled_from([0, 114, 128]))
    quantised = dtype != "float32" and draw(st.booleans())
    info = TensorInfo("image", (1, 6, 9, channels), dtype, scale if quantised else None, zero if quantised else None)
    return image, InputSpec(name="image", shape=(6, 9, channels), preprocessing=preprocessing), info


@given(situations())
@settings(max_examples=400, deadline=None)
def test_equal_to_the_float_path(situation):
    image, only, info = situation
    found, expected = stored_input(image, only, info), to_stored(preprocess(image, only), info)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("dtype", "mean", "std", "scale", "zero"),
    [("uint8", 0.0, 1.0, 1.0, 0), ("int8", 0.0, 1.0, 1.0, -128), ("int8", 127.5, 127.5, 1 / 127.5, -1)],
)
def test_every_pixel_value(dtype, mean, std, scale, zero):
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    only = InputSpec(name="x", shape=(16, 16, 1), preprocessing=Preprocessing("gray", mean=(mean,), std=(std,)))
    info = TensorInfo("x", (1, 16, 16, 1), dtype, scale, zero)
    assert np.array_equal(stored_input(image, only, info), to_stored(preprocess(image, only), info))


def test_the_callers_pixels_are_never_written_to():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    kept = image.copy()
    only = InputSpec(name="x", shape=(16, 16, 1), preprocessing=Preprocessing("gray"))
    stored_input(image, only, TensorInfo("x", (1, 16, 16, 1), "uint8", 1.0, 0))
    assert np.array_equal(image, kept)
