"""Files of weights: the zoo or a function of the user's gives the layers, and what does not fit is named."""

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.jobs import models
from edgecv.jobs.architectures import builder
from edgecv.modelio import env, load_keras
from edgecv.modelio.opening import Opening

tf_keras = env.keras()
keras3 = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")
BOTH = pytest.mark.parametrize("keras", [tf_keras, keras3], ids=["tf_keras", "keras3"])


def network(keras, *, width=4, last=3):
    """Normalisation, a model inside, layers with two kernels, dropout, and two layers of a class."""
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    x = layers.BatchNormalization()(layers.Conv2D(width, 3, name="stem")(image))
    inside = keras.Input((6, 6, width))
    inner = keras.Model(inside, layers.SeparableConv2D(width, 3, name="deep")(inside), name="inner")
    x = layers.Dropout(0.1)(layers.Conv2D(2, 1, name="narrow")(inner(x)))
    return keras.Model(image, layers.Dense(last, name="out")(layers.Flatten()(x)), name="net")


def randomised(model):
    rng = np.random.default_rng(0)
    model.set_weights([np.asarray(w + 0.1 * rng.random(w.shape), w.dtype) for w in model.get_weights()])
    return model


def agree(original, loaded):
    image = np.random.default_rng(1).random((2, *original.input_shape[1:]), dtype=np.float32)
    return np.asarray(loaded(image)) == pytest.approx(np.asarray(original(image)), abs=1e-5)


@pytest.mark.parametrize("builds", [tf_keras, keras3], ids=["builds-tf_keras", "builds-keras3"])
@pytest.mark.parametrize(
    ("writes", "name"), [(tf_keras, "w.h5"), (tf_keras, "w.weights.h5"), (keras3, "w.weights.h5")],
    ids=["old", "tf_keras", "keras3"],
)  # fmt: skip
def test_weights_of_either_package_fill_networks_of_either(writes, name, builds, tmp_path):
    original = randomised(network(writes))
    original.save_weights(tmp_path / name)
    loaded = load_keras(tmp_path / name, opening=Opening(architecture=lambda: network(builds))).model
    assert agree(original, loaded)


def test_layers_with_parts_are_read_by_the_package_that_wrote_them(tmp_path):
    def recurrent():
        series = tf_keras.Input((4, 3))
        return tf_keras.Model(series, tf_keras.layers.Bidirectional(tf_keras.layers.GRU(2))(series))

    original = randomised(recurrent())
    original.save_weights(tmp_path / "w.weights.h5")
    assert agree(original, load_keras(tmp_path / "w.weights.h5", opening=Opening(architecture=recurrent)).model)


def test_a_file_without_a_network_names_the_option(tmp_path):
    network(tf_keras).save_weights(tmp_path / "w.h5")
    with pytest.raises(UnsupportedModelError, match="holds weights only") as caught:
        load_keras(tmp_path / "w.h5")
    assert "--architecture NAME" in caught.value.hint
    assert "FILE.py:FUNCTION" in caught.value.hint


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"width": 5}, "layer 'stem' 3x3x3x5, 5 meets '.*' 3x3x3x4, 4 in the file"),
        ({"last": 9}, "layer 'out' 32x9, 9 meets '.*' 32x3, 3 in the file"),
    ],
)
def test_the_first_layer_that_differs_is_named(name, other, message, tmp_path):
    network(tf_keras).save_weights(tmp_path / name)
    with pytest.raises(UnsupportedModelError, match=message):
        load_keras(tmp_path / name, opening=Opening(architecture=lambda: network(tf_keras, **other)))


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_weights_left_over_are_a_refusal(name, tmp_path):
    network(tf_keras).save_weights(tmp_path / name)

    def shorter():
        model = network(tf_keras)
        return tf_keras.Model(model.inputs, model.get_layer("narrow").output)

    with pytest.raises(UnsupportedModelError, match=r"has nothing for '.*' 32x3, 3 of the file"):
        load_keras(tmp_path / name, opening=Opening(architecture=shorter))


def test_networks_of_the_zoo_bring_their_contract(tmp_path):
    model, spec = zoo.build("lenet5", labels=("a", "b", "c"), seed=5)
    model.save_weights(tmp_path / "w.weights.h5")
    source = models.Source(path=tmp_path / "w.weights.h5", architecture="lenet5:classes=3")
    loaded = models.load(source)
    assert agree(model, loaded.model)
    assert loaded.require_spec() == spec.with_labels(("0", "1", "2"))
    with pytest.raises(UnsupportedModelError, match="holds the weights of another network than 'lenet5'"):
        models.load(models.Source(path=tmp_path / "w.weights.h5", architecture="lenet5"))


def test_functions_of_the_users_file(tmp_path):
    original = randomised(network(tf_keras))
    original.save_weights(tmp_path / "w.h5")
    (tmp_path / "nets.py").write_text(
        "from tests.modelio.test_weight_files import network, tf_keras\n"
        "def build():\n    return network(tf_keras)\ndef fails():\n    return 1 / 0\ndef nothing():\n    return None\n"
    )
    source = models.Source(path=tmp_path / "w.h5", architecture=f"{tmp_path}/nets.py:build")
    assert agree(original, models.load(source).model)
    for name, message in (
        ("fails", "fails: ZeroDivisionError"),
        ("nothing", "gives NoneType"),
        ("x", "no function 'x'"),
    ):
        with pytest.raises(ConfigError, match=message):
            models.load(models.Source(path=tmp_path / "w.h5", architecture=f"{tmp_path}/nets.py:{name}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lenet", "unknown architecture 'lenet'"),
        ("lenet5:clases=3", "unknown option of --architecture 'clases'"),
        ("lenet5:classes=few", "'classes=few' has no value"),
        ("nets.py", "names no function"),
        ("nowhere.py:build", "nowhere.py does not exist"),
    ],
)
def test_architectures_that_do_not_exist(text, message):
    with pytest.raises(ConfigError, match=message):
        builder(text, spec=None, input_size=None)
