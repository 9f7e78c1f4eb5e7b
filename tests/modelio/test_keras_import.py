import numpy as np
import pytest

from edgecv.errors import UnsupportedModelError
from edgecv.modelio import env, keras_import, load_keras

tf_keras = env.keras()
keras = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")
L = keras.layers


def randomise(model):
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.random(w.shape) for w in model.get_weights()])
    return model


def outputs(model, image):
    values = model(image, training=False)
    return [np.asarray(v) for v in (values if isinstance(values, (list, tuple)) else [values])]


def branching():
    image = keras.Input((16, 16, 3), name="image")
    x = L.BatchNormalization()(L.Conv2D(8, 3, padding="same", use_bias=False)(L.Rescaling(1 / 127.5, -1.0)(image)))
    x = L.LeakyReLU(0.2)(L.ReLU(6.0)(x))
    y = L.SeparableConv2D(8, 3, padding="same", activation="swish")(L.DepthwiseConv2D(3, padding="same")(x))
    x = L.MaxPooling2D()(L.Concatenate()([L.Add()([x, y]), y]))
    x = L.PReLU(shared_axes=[1, 2])(L.Conv2DTranspose(4, 2, strides=2)(x))
    inner = [L.Input((16, 16, 4)), L.Conv2D(4, 3, strides=2, activation="gelu"), L.GlobalAveragePooling2D()]
    x = L.Dense(5)(L.Dropout(0.3)(keras.Sequential(inner, name="inner")(x)))
    return keras.Model(image, [L.Softmax()(x), L.Activation("tanh")(x)], name="branching")


def sequential():
    return keras.Sequential([L.Input((8, 8, 1)), L.Conv2D(2, 3), L.Flatten(), L.Dense(2, kernel_regularizer="l2")])


@pytest.mark.parametrize("make", [branching, sequential])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_standard_models_are_rebuilt_with_the_same_outputs(tmp_path, make, suffix):
    original = randomise(make())
    original.save(tmp_path / f"m{suffix}")
    loaded = load_keras(tmp_path / f"m{suffix}").model
    assert isinstance(loaded, tf_keras.Model)
    assert loaded.count_params() == original.count_params()
    image = np.random.default_rng(1).random((3, *original.input_shape[1:]), dtype=np.float32)
    for got, expected in zip(outputs(loaded, image), outputs(original, image), strict=True):
        assert got == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_imported_is_listed_by_layer_and_class(tmp_path):
    image = keras.Input((8, 8, 1))
    x = keras.ops.abs(L.GroupNormalization(1, name="norm")(image))
    keras.Model(image, L.Dense(2, activation="hard_sigmoid", name="fc")(L.Flatten()(x))).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError) as caught:
        load_keras(tmp_path / "m.keras")
    assert "layer 'norm' (GroupNormalization) has no counterpart here" in caught.value.message
    assert "layer 'fc' (Dense) has the activation 'hard_sigmoid'" in caught.value.message
    assert "(Absolute) is not a layer" in caught.value.message


def test_a_setting_that_tf_keras_lacks_is_refused(tmp_path):
    image = keras.Input((8,))
    keras.Model(image, L.LayerNormalization(rms_scaling=True, name="n")(image)).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="rms_scaling=True, which tf_keras lacks"):
        load_keras(tmp_path / "m.keras")


def test_lambda_and_dynamic_inputs_are_refused(tmp_path):
    image = keras.Input((8,))
    keras.Model(image, L.Lambda(lambda x: x + 1)(image)).save(tmp_path / "lambda.keras")
    with pytest.raises(UnsupportedModelError, match="can run code"):
        load_keras(tmp_path / "lambda.keras")
    photo = keras.Input((None, None, 1), name="photo")
    keras.Model(photo, L.Conv2D(2, 3)(photo)).save(tmp_path / "dynamic.keras")
    with pytest.raises(UnsupportedModelError, match="input 'photo' has the dynamic shape"):
        load_keras(tmp_path / "dynamic.keras")


def test_a_model_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    randomise(sequential()).save(tmp_path / "m.keras")
    rebuild = keras_import._rebuild

    def wrongly(original):
        model = rebuild(original)
        model.set_weights([w * 1.01 for w in model.get_weights()])
        return model

    monkeypatch.setattr(keras_import, "_rebuild", wrongly)
    with pytest.raises(UnsupportedModelError, match="differs from Keras 3 by"):
        load_keras(tmp_path / "m.keras")
