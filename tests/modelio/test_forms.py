"""Models in forms other than one float32 graph of fixed size: each answers as the original does, or is refused."""

import shutil

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env, load_keras
from edgecv.modelio.opening import Opening, input_size
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing

tf_keras = env.keras()
keras3 = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")
BOTH = pytest.mark.parametrize("keras", [tf_keras, keras3], ids=["tf_keras", "keras3"])
pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")


def randomised(model):
    rng = np.random.default_rng(0)
    model.set_weights([np.asarray(w + 0.1 * rng.random(w.shape), w.dtype) for w in model.get_weights()])
    return model


def network(keras, *, shape=(8, 8, 3), dtype="float32", scale=False, name="m"):
    layers = keras.layers
    image = keras.Input(shape, dtype=dtype, name="image")
    x = layers.Rescaling(1 / 127.5, -1.0)(image) if scale else image
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu", name="conv")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.MaxPooling2D()(x))
    return randomised(keras.Model(image, layers.Dense(3, name="out")(x), name=name))


def contract(shape=(8, 8, 3), mean=0.0, std=255.0):
    scaling = Preprocessing(color="rgb", mean=(mean,) * 3, std=(std,) * 3)
    head = Head(name="class", task="classification", activation="logits", labels=("a", "b", "c"))
    return ModelSpec(name="m", inputs=(InputSpec("image", shape, scaling),), heads=(head,))


def answer(model, image):
    value = model(image, training=False)
    return np.asarray(value if not hasattr(value, "numpy") else value.numpy(), np.float32)


def pixels(shape):
    return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


@BOTH
@pytest.mark.parametrize("given", ["spec", "rectangle"])
def test_open_sizes_are_given_by_the_spec_or_the_size(keras, given, tmp_path):
    original = network(keras, shape=(None, None, 3))
    original.save(tmp_path / "m.keras")
    size = (12, 10) if given == "rectangle" else (12, 12)
    opening = Opening(input_size=None if given == "spec" else size)
    loaded = load_keras(tmp_path / "m.keras", opening=opening, spec=contract((12, 12, 3)) if given == "spec" else None)
    assert loaded.model.input_shape == (None, *size, 3)
    image = np.random.default_rng(1).random((2, *size, 3), dtype=np.float32)
    assert answer(loaded.model, image) == pytest.approx(answer(original, image), abs=1e-5)


@BOTH
def test_an_input_that_stays_open_is_refused_with_both_ways(keras, tmp_path):
    network(keras, shape=(None, None, 3)).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="input 'image' has the dynamic shape") as caught:
        load_keras(tmp_path / "m.keras")
    assert "--input-size" in caught.value.hint
    assert "--spec" in caught.value.hint


@BOTH
def test_a_spec_of_another_size_than_a_fixed_model_is_refused(keras, tmp_path):
    network(keras).save(tmp_path / "m.keras")
    with pytest.raises(ConfigError, match=r"the spec's shape of input 'image' is \(12, 12, 3\)"):
        load_keras(tmp_path / "m.keras", spec=contract((12, 12, 3)))


@BOTH
def test_models_inside_an_open_model_get_the_size_too(keras, tmp_path):
    layers = keras.layers
    inner = network(keras, shape=(None, None, 3), name="inner")
    image = keras.Input((None, None, 3), name="photo")
    body = layers.UpSampling2D()(layers.Conv2D(3, 3, padding="same")(image))
    original = keras.Model(image, [inner(body), layers.Conv2D(1, 1, name="map")(body)], name="outer")
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras", opening=Opening(input_size=(6, 8))).model
    assert [tuple(t.shape)[1:] for t in loaded.outputs] == [(3,), (12, 16, 1)]
    picture = np.random.default_rng(1).random((1, 6, 8, 3), dtype=np.float32)
    for got, wanted in zip(loaded(picture), original(picture), strict=True):
        assert np.asarray(got) == pytest.approx(np.asarray(wanted), abs=1e-5)


def test_input_sizes_are_numbers():
    assert input_size("96") == (96, 96)
    assert input_size("96x128") == (96, 128)
    for wrong in ("0", "96x", "a", "1x2x3", "-3", "1.5"):
        with pytest.raises(ConfigError, match="is no input size"):
            input_size(wrong)


@BOTH
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_uint8_inputs_become_raw_pixels(keras, suffix, tmp_path):
    original = network(keras, dtype="uint8", scale=True)
    original.save(tmp_path / f"m{suffix}")
    loaded = load_keras(tmp_path / f"m{suffix}", spec=contract(std=1.0)).model
    assert loaded.inputs[0].dtype == "float32"
    image = pixels((2, 8, 8, 3))
    assert answer(loaded, image.astype(np.float32)) == pytest.approx(answer(original, image), abs=1e-5)


@BOTH
def test_a_contract_that_scales_what_the_model_scales_is_refused(keras, tmp_path):
    network(keras, dtype="uint8", scale=True).save(tmp_path / "m.keras")
    with pytest.raises(ConfigError, match=r"takes uint8 pixels, 0 to 255, and the spec scales them to 0 to 1") as found:
        load_keras(tmp_path / "m.keras", spec=contract())
    assert "std = [1, 1, 1]" in found.value.hint


TYPED = {
    "wrapping": lambda tf, image: tf.cast(image * 2, "float32"),
    "scaled": lambda tf, image: tf.image.convert_image_dtype(image, tf.float32),
}


@pytest.mark.parametrize("kind", TYPED)
def test_pixels_whose_type_has_a_meaning_are_refused(kind, tmp_path):
    """uint8 wraps around at 256, and the conversion of an image divides by 255 for integers only."""
    image = tf_keras.Input((8, 8, 3), dtype="uint8")
    tf_keras.Model(image, TYPED[kind](env.tensorflow(), image)).save(tmp_path / "m.h5")
    with pytest.raises(UnsupportedModelError, match="in float32 differs"):
        load_keras(tmp_path / "m.h5")


@BOTH
def test_inputs_of_other_types_are_refused_by_name(keras, tmp_path):
    dtype = "int32"
    image = keras.Input((8,), dtype=dtype, name="numbers")
    keras.Model(image, keras.layers.Embedding(4, 2)(image)).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match=f"input 'numbers' is {dtype}, expected float32, or uint8"):
        load_keras(tmp_path / "m.keras")


@BOTH
@pytest.mark.parametrize(("policy", "suffix"), [("mixed_float16", ".keras"), ("float16", ".h5"), ("float64", ".keras")])
def test_other_precisions_are_rebuilt_in_float32(keras, policy, suffix, tmp_path):
    old = keras.mixed_precision.global_policy() if keras is tf_keras else keras.mixed_precision.dtype_policy()
    setter = keras.mixed_precision.set_global_policy if keras is tf_keras else keras.mixed_precision.set_dtype_policy
    setter(policy)
    try:
        original = network(keras, dtype=None)
        original.save(tmp_path / f"m{suffix}")
    finally:
        setter(old)
    image = np.random.default_rng(1).random((2, 8, 8, 3))
    wanted = answer(original, image.astype(np.float64 if policy == "float64" else np.float32))
    loaded = load_keras(tmp_path / f"m{suffix}").model
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
    for kept, weight in zip(original.get_weights(), loaded.get_weights(), strict=True):
        assert np.array_equal(np.asarray(kept, np.float32), weight)
    assert answer(loaded, image.astype(np.float32)) == pytest.approx(wanted, abs=0.05 * float(np.abs(wanted).max()))


@BOTH
def test_a_policy_of_single_layers_and_of_models_inside(keras, tmp_path):
    layers = keras.layers
    inner = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(2, 3, dtype="mixed_float16")], name="inner")
    image = keras.Input((6, 6, 2))
    x = layers.Flatten()(layers.Activation("relu", dtype="float16")(inner(image)))
    original = randomised(keras.Model(image, layers.Dense(3, dtype="float32")(x)))
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras").model
    picture = np.random.default_rng(1).random((2, 6, 6, 2), dtype=np.float32)
    assert answer(loaded, picture) == pytest.approx(answer(original, picture), rel=0.01)


@BOTH
def test_content_decides_and_not_the_name(keras, tmp_path):
    original = network(keras)
    original.save(tmp_path / "archive.keras")
    original.save(tmp_path / "bytes.h5")
    shutil.move(tmp_path / "archive.keras", tmp_path / "wrong.h5")
    shutil.move(tmp_path / "bytes.h5", tmp_path / "wrong.keras")
    shutil.copy(tmp_path / "wrong.keras", tmp_path / "best_model")
    image = np.random.default_rng(1).random((2, 8, 8, 3), dtype=np.float32)
    for name in ("wrong.h5", "wrong.keras", "best_model"):
        assert answer(load_keras(tmp_path / name).model, image) == pytest.approx(answer(original, image), abs=1e-5)


@BOTH
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_class_with_its_own_training_is_its_graph(keras, suffix, tmp_path):
    plain = network(keras)

    class Distilled(keras.Model):
        def train_step(self, data):
            return {}

    original = Distilled(plain.inputs, plain.outputs, name="distilled")
    original.save(tmp_path / f"m{suffix}")
    loaded = load_keras(tmp_path / f"m{suffix}").model
    image = np.random.default_rng(1).random((2, 8, 8, 3), dtype=np.float32)
    assert answer(loaded, image) == pytest.approx(answer(plain, image), abs=1e-5)


@BOTH
def test_a_model_class_with_its_own_call_is_told_the_way_out(keras, tmp_path):
    class Subclassed(keras.Model):
        def __init__(self, width=2, **options):
            super().__init__(**options)
            self.width, self.out = width, keras.layers.Dense(width)

        def call(self, inputs):
            return self.out(inputs)

        def get_config(self):
            return {"width": self.width}

    model = Subclassed()
    model(np.zeros((1, 4), np.float32))
    model.save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError) as caught:
        load_keras(tmp_path / "m.keras")
    assert "model.export" in caught.value.hint


@BOTH
@pytest.mark.parametrize("name", ["deeplabv3+", "große/_ Bilder"])
def test_models_may_be_called_anything(keras, name, tmp_path):
    original = network(keras)
    original._name = name  # Keras refuses some of them when it builds, and reads them from files.
    original.save(tmp_path / "m.h5")
    loaded = load_keras(tmp_path / "m.h5").model
    image = np.random.default_rng(1).random((1, 8, 8, 3), dtype=np.float32)
    traced = env.tensorflow().function(lambda x: loaded(x, training=False))
    assert np.asarray(traced(image)) == pytest.approx(answer(original, image), abs=1e-5)
    assert "/" not in loaded.name
