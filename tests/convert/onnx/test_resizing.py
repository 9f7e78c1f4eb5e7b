"""Resizing between any two sizes, and clipped activations that are fused into other operators, as ONNX files."""

import numpy as np
import pytest

from edgecv.convert import convert
from edgecv.modelio import env
from edgecv.runtime import load
from tests.convert.conftest import loaded

keras = env.keras()
L = keras.layers


@pytest.mark.parametrize("size", [(7, 9), (5, 11), (17, 13), (24, 6)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_sizes_that_are_no_multiples(size, interpolation, spec, tmp_path):
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1), name="image")
    x = L.Resizing(*size, interpolation=interpolation)(L.Conv2D(2, 3, padding="same")(image))
    model = keras.Model(image, L.Dense(3, activation="softmax", name="side")(L.Flatten()(x)))
    convert(loaded(model), format="onnx", scheme="float32", out=tmp_path / "m.onnx", spec=spec)
    pixels = np.random.default_rng(0).random((1, 12, 12, 1)).astype(np.float32)
    with load(tmp_path / "m.onnx") as predictor:
        assert predictor.run([pixels])[0] == pytest.approx(model.predict(pixels, verbose=0), abs=1e-5)


def test_a_clip_that_is_fused_into_a_layer(spec, tmp_path):
    tf = env.tensorflow()
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1), name="image")
    x = tf.clip_by_value(L.Conv2D(4, 3)(image * 6.0), -1.0, 1.0)
    x = tf.clip_by_value(L.Dense(5)(L.Flatten()(x)), -1.0, 1.0)
    model = keras.Model(image, L.Dense(3, activation="softmax", name="side")(x))
    convert(loaded(model), format="onnx", scheme="float32", out=tmp_path / "m.onnx", spec=spec)
    pixels = np.random.default_rng(0).random((1, 12, 12, 1)).astype(np.float32)
    with load(tmp_path / "m.onnx") as predictor:
        assert predictor.run([pixels])[0] == pytest.approx(model.predict(pixels, verbose=0), abs=1e-5)
