"""Quantisation-aware training of layers that TFLite has no integer kernel for."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.compress import QatRecipe, quantize_aware
from edgecv.core.errors import ConversionError
from edgecv.data.synthetic import synthetic
from edgecv.modelio import env
from tests.convert.test_stays_float import SPEC, floats, made, moved, noise_of


def aware(middle, dataset):
    keras = env.keras()
    keras.utils.set_random_seed(1)
    image = keras.Input((12, 12, 1), name="image")
    x = middle(keras.layers.Conv2D(4, 3, strides=2, name="stem")(image))
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    model = moved(keras.Model(image, keras.layers.Dense(3, name="side")(x), name="net"))
    return quantize_aware(model, SPEC, dataset, QatRecipe(epochs=1, learning_rate=1e-4, batch_size=8, seed=0)).model


def test_what_has_no_kernel_stays_float(tmp_path):
    dataset = synthetic(SPEC)
    model = aware(env.keras().layers.ReLU(threshold=0.2, name="mid"), dataset)
    for format in ("tflite", "onnx"):
        artifact = made(model, dataset, tmp_path, method="qat", format=format)
        assert (artifact.manifest.method, floats(artifact)) == ("qat", ("CAST",))
        assert noise_of(artifact.path, model, dataset) > 20
    with pytest.raises(ConversionError, match=r"no int8 kernel for CAST \(mid\)"):
        made(model, dataset, tmp_path, method="qat", strict_int8=True)


def test_elu_is_int8_after_training_too(tmp_path):
    dataset = synthetic(SPEC)
    model = aware(env.keras().layers.ELU(name="mid"), dataset)
    artifact = made(model, dataset, tmp_path, method="qat", strict_int8=True)
    assert floats(artifact) == ()
    assert noise_of(artifact.path, model, dataset) > 20
