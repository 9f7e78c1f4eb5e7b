import numpy as np
import pytest

from edgecv.convert.debug_pair import draft
from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.data import open_dataset
from edgecv.jobs import convert as artifacts
from edgecv.jobs.debug import debug
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.modelio.keras_files import load_keras
from edgecv.runtime import load, preprocess
from edgecv.runtime.container import read_manifest
from edgecv.values.profiles import calibration
from edgecv.values.specs import Head, Preprocessing, one_input

LABELS = tuple(str(i) for i in range(10))
SPEC = one_input(
    name="small",
    input_shape=(8, 8, 1),
    heads=(Head(name="digit", task="classification", activation="probabilities", labels=LABELS),),
    preprocessing=Preprocessing(color="gray"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that tells the brightest of ten places: good enough to lose something."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    x = image = keras.Input(SPEC.input_shape, name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    x = keras.layers.Flatten(name="flat")(x)
    built = keras.Model(image, keras.layers.Dense(10, activation="softmax", name="digit")(x))
    path = tmp_path_factory.mktemp("debug") / "small.keras"
    return save_keras(built, path, manifest_for(SPEC, recipe={"step": "test"}))


@pytest.fixture(scope="module")
def pair(model):
    return draft(load_keras(model), model.parent, calibration=calibration("minmax"), dataset=open_dataset("digits"))


def test_noise_alone_is_the_default(pair):
    found = debug(*pair, data="digits", samples=20)
    assert found.ranking is None
    assert found.html is None
    assert {layer.layer for layer in found.layers} == {"conv", "flat", "digit"}
    assert found.samples == 20


def test_a_keras_model_is_drafted_and_ranked(model, tmp_path):
    page = tmp_path / "page.html"
    found = debug(model, data="digits", samples=20, top=1, html=page)
    assert {cost.layer for cost in found.ranking.layers} == {"input", "conv", "digit"}
    assert sum(cost.regained is not None for cost in found.ranking.layers) == 1
    assert found.ranking.n == 20
    assert page.read_text().startswith("<!DOCTYPE html>")
    encoded = codec.encode(found)
    assert encoded["ranking"]["kind"] == "simulated"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html"]
    with pytest.raises(ConfigError, match="exists"):
        debug(model, data="digits", html=page)


def test_drafts_answer_like_the_model_and_know_their_layers(pair, model):
    manifests = [read_manifest(path) for path in pair]
    assert [m.scheme for m in manifests] == ["float32", "int8"]
    assert all({"conv", "digit"} <= set(m.layer_map) for m in manifests)
    found = debug(*pair, data="digits", samples=30, rank=True)
    assert found.ranking.value == pytest.approx(found.ranking.int8_value, abs=0.1)
    images = [preprocess(open_dataset("digits").split("validation").image(i), SPEC) for i in range(8)]
    with load(pair[1]) as predictor:
        answers = np.concatenate([predictor.run([image])[0] for image in images])
    np.testing.assert_allclose(answers, load_keras(model).model(np.concatenate(images)), atol=0.03)


def test_samples_are_taken_from_every_class(model):
    from edgecv.jobs.debug import labelled

    chosen = labelled(open_dataset("digits"), SPEC, 20, inputs=["image"])
    assert np.bincount(chosen.split.targets[0], minlength=10).tolist() == [2] * 10
    assert [tensor.shape for tensor in chosen.inputs[0]] == [(1, 8, 8, 1)]


def test_a_keras_model_stands_alone(model, pair):
    with pytest.raises(ConfigError, match="stands alone"):
        debug(model, pair[1], data="digits")


def test_a_float_file_may_stand_alone(pair):
    """It is imported, and both files are made of that."""
    found = debug(pair[0], data="digits", samples=8)
    assert found.int8_file == f"int8 of {pair[0]}"
    assert "digit" in {layer.layer for layer in found.layers}
    assert all(layer.sqnr_db is None or layer.sqnr_db > 0 for layer in found.layers)


def test_the_range_of_an_int16_layer_is_that_of_its_type(model, pair, tmp_path):
    plan = artifacts.Plan(scheme="int8", data="digits", int16=("conv",))
    made = artifacts.built(load_keras(model), plan, open_dataset("digits"), out=tmp_path / "wide.tflite")
    found = {layer.layer: layer for layer in debug(pair[0], made.path, data="digits", samples=20).layers}
    low, high = found["conv"].range
    assert low <= found["conv"].seen[0]
    assert high >= 0.8 * found["conv"].seen[1]
    assert high < 1.5 * found["conv"].seen[1]
