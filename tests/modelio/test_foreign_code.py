"""Layers of the user's own, Lambdas, SavedModels without layers: what is trusted, and what it answers."""

import textwrap

import numpy as np
import pytest

from edgecv.compress.cloning import copy
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env, load_keras
from edgecv.modelio.opening import Opening

tf = env.tensorflow()
tf_keras = env.keras()
keras3 = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")
BOTH = pytest.mark.parametrize("keras", [tf_keras, keras3], ids=["tf_keras", "keras3"])

MODULE = """
import {package} as keras
{imports}

{decorator}
class Gate(keras.layers.Layer):
    def __init__(self, power=1.0, **options):
        super().__init__(**options)
        self.power = power

    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(shape[-1],), initializer="ones")

    def call(self, inputs):
        {body}

    def get_config(self):
        return {{**super().get_config(), "power": self.power}}

{decorator}
def bent(x):
    return x * {sigmoid}(x)
"""


def module(tmp_path, keras, body, *, imports="", registered=True, name="mine"):
    """Write a file of the user's and return it with its namespace, as it ran where the model was made."""
    package = keras.__name__
    decorator = f"@keras.saving.register_keras_serializable(package='{name}')" if registered else ""
    sigmoid = "keras.ops.sigmoid" if keras is keras3 else "keras.activations.sigmoid"
    text = MODULE.format(package=package, imports=imports, decorator=decorator, body=body, sigmoid=sigmoid)
    path = tmp_path / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    space = {"__name__": name}
    # Where the model is made, tensorflow.keras is the package that it is made with.
    made = path.read_text().replace("from tensorflow import keras", "import keras").replace("tensorflow.keras", "keras")
    exec(made if keras is keras3 else path.read_text(), space)
    return path, space


def gated(keras, space, activation=None):
    layers = keras.layers
    image = keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(3, 3, activation=activation or space["bent"], name="conv")(image)
    x = layers.Flatten()(space["Gate"](2.0, name="gate")(x))
    model = keras.Model(image, layers.Dense(2)(x))
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.random(w.shape) for w in model.get_weights()])
    return model


def agree(original, loaded):
    image = np.random.default_rng(1).standard_normal((2, *original.input_shape[1:])).astype(np.float32)
    return np.asarray(loaded(image)) == pytest.approx(np.asarray(original(image)), abs=1e-5)


TF = "import tensorflow as tf"
FROM_TENSORFLOW = "from tensorflow import keras\nfrom tensorflow.keras.layers import LeakyReLU"
BODIES = [
    (tf_keras, "return inputs ** self.power * self.gain", ""),
    (tf_keras, "return tf.nn.relu(inputs) * self.gain", TF),
    (keras3, "return keras.ops.relu(inputs) * self.gain", ""),
    (keras3, "return keras.ops.cumsum(keras.ops.abs(inputs), axis=1) * self.gain", ""),
    (keras3, "return tf.nn.relu(inputs) * tf.convert_to_tensor(self.gain)", TF),
    (keras3, "return LeakyReLU(0.2)(inputs) * self.gain", FROM_TENSORFLOW),
]


@pytest.mark.parametrize(("keras", "body", "imports"), BODIES)
def test_layers_of_the_users_file(keras, body, imports, tmp_path):
    path, space = module(tmp_path, keras, body, imports=imports, name=f"m{abs(hash(body))}")
    original = gated(keras, space)
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras", opening=Opening(custom_objects=path)).model
    assert agree(original, loaded)


def test_unregistered_classes_are_found_by_their_name(tmp_path):
    path, space = module(tmp_path, tf_keras, "return inputs * self.gain", registered=False)
    original = gated(tf_keras, space, "relu")
    original.save(tmp_path / "m.h5")
    assert agree(original, load_keras(tmp_path / "m.h5", opening=Opening(custom_objects=path)).model)


@BOTH
def test_without_the_file_the_way_is_told(keras, tmp_path):
    _, space = module(tmp_path, keras, "return inputs * self.gain", name=f"alone{keras.__name__}")
    gated(keras, space).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError) as caught:
        load_keras(tmp_path / "m.keras")
    assert "Gate" in caught.value.message
    assert "--custom-objects" in caught.value.hint


def test_a_file_trusts_its_own_classes_only(tmp_path):
    path, space = module(tmp_path, tf_keras, "return inputs * self.gain", name="trusted")
    image = tf_keras.Input((6, 6, 2))
    x = space["Gate"]()(image)
    tf_keras.Model(image, tf_keras.layers.Lambda(lambda t: t + 1, name="evil")(x)).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="a Lambda layer in 'evil'"):
        load_keras(tmp_path / "m.keras", opening=Opening(custom_objects=path))


@pytest.mark.parametrize(("text", "message"), [("1 / 0", "cannot be run: ZeroDivisionError"), (None, "does not exist")])
def test_files_that_do_not_run(text, message, tmp_path):
    path = tmp_path / "wrong.py"
    if text:
        path.write_text(text)
    image = tf_keras.Input((4,))
    tf_keras.Model(image, tf_keras.layers.Dense(1)(image)).save(tmp_path / "m.keras")
    with pytest.raises(ConfigError, match=message):
        load_keras(tmp_path / "m.keras", opening=Opening(custom_objects=path))


@BOTH
def test_a_model_class_in_the_users_file_is_its_graph_too(keras, tmp_path):
    name = f"trained{keras.__name__}"
    path, space = module(tmp_path, keras, "return inputs * self.gain", name=name)
    extra = (
        f"@keras.saving.register_keras_serializable(package='{name}')\nclass Distilled(keras.Model):\n"
        "    def train_step(self, data):\n        return {}\n"
    )
    path.write_text(path.read_text() + extra)
    exec(extra, space)
    plain = gated(keras, space)
    original = space["Distilled"](plain.inputs, plain.outputs, name="distilled")
    original.save(tmp_path / "m.keras")
    assert agree(original, load_keras(tmp_path / "m.keras", opening=Opening(custom_objects=path)).model)


def test_activations_that_are_layers(tmp_path):
    layers = keras3.layers
    image = keras3.Input((6, 6, 2))
    shared = layers.Conv2D(2, 1, activation=layers.LeakyReLU(0.3), name="shared")
    x = layers.Dense(3, activation=layers.ReLU(6.0))(layers.Flatten()(shared(shared(image))))
    original = keras3.Model(image, x)
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras").model
    assert agree(original, loaded)
    assert loaded.count_params() == original.count_params()


def test_lambdas_of_keras_3_need_trust(tmp_path):
    image = keras3.Input((6, 6, 2))
    x = keras3.layers.Lambda(lambda t: t * 2.0 + 1.0, name="mine")(keras3.layers.ReLU()(image))
    original = keras3.Model(image, keras3.layers.Dense(2)(x))
    original.save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="a Lambda layer in 'mine'") as caught:
        load_keras(tmp_path / "m.keras")
    assert "--unsafe" in caught.value.hint
    loaded = load_keras(tmp_path / "m.keras", unsafe=True).model
    assert agree(original, loaded)
    assert "mine" not in [layer.name for layer in loaded.layers]  # opened: what it computes can be trained and pruned


class Scaled(tf.Module):
    """A network of plain tensorflow, with a variable."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(np.random.default_rng(0).random((3, 3, 3, 2), dtype=np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="picture")])
    def __call__(self, picture):
        maps = tf.nn.relu(tf.nn.conv2d(picture, self.kernel, 2, "SAME"))
        return {"maps": maps, "mean": tf.reduce_mean(maps, (1, 2))}


def test_a_function_of_plain_tensorflow(tmp_path):
    function = Scaled()
    tf.saved_model.save(function, str(tmp_path / "m"), signatures=function.__call__)
    with pytest.raises(UnsupportedModelError, match="input 'picture' has the dynamic shape"):
        load_keras(tmp_path / "m")
    loaded = load_keras(tmp_path / "m", opening=Opening(input_size=(8, 6))).model
    assert loaded.input_names == ["picture"]
    assert {n: tuple(t.shape) for n, t in zip(loaded.output_names, loaded.outputs, strict=True)} == {
        "maps": (None, 4, 3, 2), "mean": (None, 2)
    }  # fmt: skip
    image = np.random.default_rng(1).random((2, 8, 6, 3), dtype=np.float32)
    wanted = function(image)
    for name, got in zip(loaded.output_names, loaded(image), strict=True):
        assert np.asarray(got) == pytest.approx(np.asarray(wanted[name]), abs=1e-5)


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_exported_models_are_their_function(keras, dtype, tmp_path):
    layers = keras.layers
    image = keras.Input((8, 8, 3), dtype=dtype, name="image")
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    original = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)), name="net")
    original.export(str(tmp_path / "m"))
    loaded = load_keras(tmp_path / "m").model
    assert loaded.inputs[0].dtype == "float32"
    picture = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3))
    got = np.asarray(loaded(picture.astype(np.float32)))
    assert got == pytest.approx(np.asarray(original(picture.astype(dtype))), abs=1e-5)
    with pytest.raises(UnsupportedModelError, match="cannot be changed or trained layer by layer") as caught:
        copy(loaded)
    assert "save the model as .keras" in caught.value.hint


class Reading(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def __call__(self, x):
        text = tf.io.read_file("/etc/hostname")
        return x + tf.cast(tf.strings.length(text), tf.float32)


class Drawing(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    def __call__(self, x):
        return x + tf.random.normal((4,))


@pytest.mark.parametrize(("kind", "op"), [(Reading, "ReadFile"), (Drawing, "RandomStandardNormal")])
def test_functions_that_do_more_than_compute_are_refused(kind, op, tmp_path):
    function = kind()
    tf.saved_model.save(function, str(tmp_path / "m"), signatures=function.__call__)
    with pytest.raises(UnsupportedModelError, match=f"does more than compute: {op}"):
        load_keras(tmp_path / "m")


def test_folders_that_serve_nothing(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    with pytest.raises(UnsupportedModelError, match="has no signature 'serving_default': it has none"):
        load_keras(tmp_path / "m")
