"""Channels that give their bias and next to nothing else, as trained MobileNets have: every path quantises them."""

from dataclasses import replace

import numpy as np
import pytest

from edgecv.compress import PtqRecipe, prepare
from edgecv.compress.qat import QatRecipe, quantize_aware
from edgecv.convert import Preparation, convert
from edgecv.convert.check.integers import stored_weights
from edgecv.modelio import env, manifest_for
from edgecv.values import profiles
from tests.convert.conftest import loaded

LEARNED = {"adaround": True, "iterations": 20}
PATHS = {
    "plain": ("int8", {}),
    "per tensor": ("int8", {"per_channel": False}),
    "int16x8": ("int16x8", {}),
    "equalised": ("int8", {"equalise": True}),
    "biases corrected": ("int8", {"correct_bias": True}),
    "learned": ("int8", LEARNED),
    "learned, per tensor": ("int8", {**LEARNED, "per_channel": False}),
    "equalised, learned": ("int8", {**LEARNED, "equalise": True}),
    "learned, int16x8": ("int16x8", LEARNED),
    "int4": ("int4", {**LEARNED, "bits": 4}),
}


def network(scale):
    """A channel in each kind of layer whose weights are `scale` times what they were, beside a bias that matters."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = layers.Input((12, 12, 1), name="image")
    x = layers.Conv2D(6, 3, use_bias=False, name="stem")(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="stem_norm")(x))
    x = layers.DepthwiseConv2D(3, use_bias=False, name="wise")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="wise_norm")(x))
    x = layers.Conv2D(16, 1, activation="relu", name="point")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(80, activation="relu", name="hidden")(x)
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="side")(x), name="tiny")
    rng = np.random.default_rng(0)
    for name in ("stem_norm", "wise_norm"):
        ones = np.ones(6, np.float32)
        gamma, beta = np.float32([1, scale, 1, 1, scale, 1]), rng.normal(0.3, 0.3, 6).astype(np.float32)
        beta[[1, 4]] = 0.8, 5.0
        model.get_layer(name).set_weights([gamma, beta, 0 * ones, ones])
    for name, bias in (("point", 4.0), ("hidden", -3.0), ("side", -2.0)):
        kernel, biases = model.get_layer(name).get_weights()
        kernel[..., 2], biases[2] = kernel[..., 2] * scale, bias
        model.get_layer(name).set_weights([kernel, biases])
    return model


@pytest.fixture(
    scope="module", params=[0.0, 1e-5, *(pytest.param(x, marks=pytest.mark.slow) for x in (1e-3, 1e-8, 1e-11))]
)
def dead(request):
    return network(request.param)


def convert_(model, spec, dataset, out, **options):
    manifest = manifest_for(spec, recipe={"step": "test"})
    calibration = replace(profiles.calibration("minmax"), granularity=options.pop("granularity", "per_channel"))
    return convert(loaded(model, manifest), calibration=calibration, dataset=dataset, out=out, **options)


def pixels(dataset):
    return np.stack(list(dataset.split("train").images))[..., None].astype(np.float32) / 255


@pytest.mark.parametrize("path", PATHS)
def test_the_file_answers_like_the_float_model(dead, dataset, spec, path, tmp_path):
    scheme, settings = PATHS[path]
    recipe = PtqRecipe(**settings)
    options = {"granularity": "per_channel" if recipe.per_channel else "per_tensor"}
    model = dead
    if recipe.steps:
        done = prepare(dead, pixels(dataset), recipe)
        model = done.model
        options["preparation"] = Preparation(reference=dead, integers=done.integers, facts={})
    made = convert_(
        model, spec, dataset, tmp_path / "m.tflite", format="tflite", scheme=scheme, method="ptq", **options
    )
    assert made.check.sqnr_db > {"int4": 12, "int8": 25, "int16x8": 30}[scheme]


@pytest.mark.parametrize(("format", "scheme"), [("onnx", "int8"), ("onnx", "dynamic"), ("tflite", "dynamic")])
def test_other_formats_and_schemes(dead, dataset, spec, format, scheme, tmp_path):
    method = "ptq" if scheme == "int8" else "none"
    made = convert_(dead, spec, dataset, tmp_path / f"m.{format}", format=format, scheme=scheme, method=method)
    assert made.check.sqnr_db > 25


def test_training_with_quantisation(dead, dataset, spec, tmp_path):
    recipe = QatRecipe(epochs=1, learning_rate=1e-6, batch_size=45)
    aware = quantize_aware(dead, spec, dataset, recipe).model
    assert np.abs(aware.predict(pixels(dataset)) - dead.predict(pixels(dataset))).max() < 0.05
    made = convert_(aware, spec, dataset, tmp_path / "m.tflite", format="tflite", scheme="int8", method="qat")
    assert made.check.sqnr_db is None or made.check.sqnr_db > 25  # None: equal


def test_the_integers_are_those_on_the_scale_of_the_file(dataset, spec, tmp_path):
    """A channel that was dead has zeros, all others reach the end of the grid."""
    done = prepare(network(1e-8), pixels(dataset), PtqRecipe(**LEARNED))
    preparation = Preparation(reference=network(1e-8), integers=done.integers, facts={})
    out = tmp_path / "m.tflite"
    convert_(done.model, spec, dataset, out, format="tflite", scheme="int8", method="ptq", preparation=preparation)
    for layer, dead_channels in (("stem", {1, 4}), ("point", {2}), ("hidden", {2}), ("side", {2})):
        integers = done.integers[layer]
        peaks = np.abs(integers.astype(int)).reshape(-1, integers.shape[-1]).max(axis=0)
        assert {int(c) for c in np.flatnonzero(peaks == 0)} == dead_channels
        assert set(np.unique(peaks)) == {0, 127}
    stored = stored_weights(out.read_bytes(), done.model)
    assert {"stem", "wise", "point", "hidden"} <= stored.keys()
