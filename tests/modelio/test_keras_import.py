import numpy as np
import pytest

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env, keras_import, load_keras

tf_keras = env.keras()
keras = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")
L = keras.layers


def randomise(model):
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.random(w.shape) for w in model.get_weights()])
    return model


def outputs(model, image):
    return [np.asarray(value) for value in keras.tree.flatten(model(image, training=False))]


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


def operations():
    """Every function of keras.ops that has a layer, with constants on either side."""
    ops, image = keras.ops, keras.Input((8, 8, 4), name="image")
    gate = ops.relu6(image + 3.0) * (1 / 6)
    x = ops.maximum(image * gate, 2.0 - ops.sigmoid(image) / 4.0)
    x = x * np.arange(1, 5, dtype=np.float32) - 0.5
    x = ops.concatenate([x, ops.silu(x), ops.hard_sigmoid(x), ops.hard_silu(image), ops.tanh(x)], axis=-1)
    x = ops.pad(x, ((0, 0), (1, 1), (0, 2), (0, 0)))
    scaled = x * ops.mean(x, axis=(1, 2), keepdims=True)
    scaled = ops.gelu(scaled * 3.0) + ops.gelu(scaled, approximate=False)
    x = ops.transpose(ops.reshape(scaled, (-1, 100, 20)), (0, 2, 1))
    return keras.Model(image, [ops.softmax(x), ops.leaky_relu(scaled, 0.1)], name="operations")


def activations_of_keras_3():
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, activation="hard_swish")(image)
    x = L.Activation("hard_sigmoid")(L.Conv2D(6, 3, activation="hard_sigmoid")(x))
    x = L.GroupNormalization(2)(L.UnitNormalization()(x))
    return keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D(keepdims=True)(x)))


def shared_layers_and_models():
    """A layer called twice, a model called twice, and a model in a model in a model."""
    image = keras.Input((8, 8, 2))
    shared = L.Conv2D(2, 3, padding="same", name="conv")
    inner = keras.Sequential([L.Input((8, 8, 2)), L.Conv2D(2, 1, name="conv"), L.ReLU()], name="inner")
    middle_in = L.Input((8, 8, 2))
    middle = keras.Model(middle_in, L.Add()([inner(middle_in), L.Conv2D(2, 1, name="conv")(middle_in)]), name="middle")
    x = shared(shared(image))
    return keras.Model(image, [middle(x), L.Flatten()(middle(L.ReLU()(x)))])


def normalised():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (64, 8, 8, 3)))
    image = keras.Input((8, 8, 3))
    given = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.25])
    return keras.Model(image, L.Conv2D(2, 3)(given(layer(image))))


def named_and_structured():
    """Names that TensorFlow does not allow, augmentation, and several outputs by name."""
    image = keras.Input((8, 8, 3), name="_the image")
    x = L.RandomFlip(name="flip")(image)
    x = L.Conv2D(3, 3, name="conv one")(L.Identity()(L.RandomRotation(0.1)(x)))
    return keras.Model(image, {"b": L.Flatten(name="b out")(x), "a": L.GlobalMaxPooling2D()(x)})


ODD = [operations, activations_of_keras_3, shared_layers_and_models, normalised, named_and_structured]


@pytest.mark.parametrize("make", ODD)
def test_what_keras_2_lacks_is_rebuilt_from_what_it_has(tmp_path, make):
    original = make()
    if make is not normalised:
        randomise(original)
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras").model
    assert not any(isinstance(layer, tf_keras.Model) or type(layer).__name__ == "TFOpLambda" for layer in loaded.layers)
    names = [layer.name for layer in loaded.layers]
    assert len(set(names)) == len(names)
    image = np.random.default_rng(1).normal(0, 2, (3, *original.input_shape[1:])).astype(np.float32)
    for got, expected in zip(outputs(loaded, image), outputs(original, image), strict=True):
        assert got == pytest.approx(expected, abs=1e-5)
    loaded.save(tmp_path / "again.keras", save_format="keras")
    again = load_keras(tmp_path / "again.keras").model
    for got, expected in zip(outputs(again, image), outputs(loaded, image), strict=True):
        assert np.array_equal(got, expected)


def test_shared_layers_stay_shared(tmp_path):
    original = shared_layers_and_models()
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras").model
    assert loaded.count_params() == original.count_params()
    calls = {layer.name: len(layer.inbound_nodes) for layer in loaded.layers}
    assert calls["conv"] == 2
    assert calls["middle.conv"] == 2


def randomised_application(name, size):
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=4)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        kind = weight.path.split("/")[-1]
        if kind in ("gamma", "moving_variance", "variance"):
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
        elif kind in ("beta", "moving_mean", "bias", "mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


QUICK = [("MobileNetV3Small", 32)]
LONG = [
    ("MobileNetV2", 32), ("EfficientNetB0", 32), ("ConvNeXtTiny", 32), ("MobileNetV3Large", 32),
    ("EfficientNetV2B0", 32), ("DenseNet121", 32), ("ResNet50V2", 32), ("Xception", 71), ("InceptionV3", 75),
    ("NASNetMobile", 32),
]  # fmt: skip


@pytest.mark.parametrize(("name", "size"), [*QUICK, *(pytest.param(*item, marks=pytest.mark.slow) for item in LONG)])
def test_applications_of_keras_3_are_imported(name, size, tmp_path):
    original = randomised_application(name, size)
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras").model  # refuses a difference above 1e-4 itself
    image = np.random.default_rng(2).uniform(0, 1, (1, size, size, 3)).astype(np.float32)
    (got,), (expected,) = outputs(loaded, image), outputs(original, image)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


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


def test_what_cannot_be_imported_is_listed_by_operation_and_class(tmp_path):
    image = keras.Input((8, 8, 1))
    x = keras.ops.erfinv(L.LayerNormalization(name="norm")(image))
    x = keras.ops.i0(x)
    keras.Model(image, L.Dense(2, name="fc")(L.Flatten()(keras.ops.cast(x, "float32")))).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError) as caught:
        load_keras(tmp_path / "m.keras")
    assert "(Erfinv) is an operation that no layer stands for" in caught.value.message
    assert "(I0) is an operation that no layer stands for" in caught.value.message


def test_a_setting_that_tf_keras_lacks_is_traced(tmp_path):
    image = keras.Input((8,))
    original = keras.Model(image, L.LayerNormalization(rms_scaling=True, name="n")(image))
    original.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras").model
    values = np.random.default_rng(0).normal(0, 1, (3, 8)).astype(np.float32)
    assert outputs(loaded, values)[0] == pytest.approx(outputs(original, values)[0], abs=1e-5)


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

    def wrongly(original, planner):
        model = rebuild(original, planner)
        model.set_weights([w * 1.01 for w in model.get_weights()])
        return model

    monkeypatch.setattr(keras_import, "_rebuild", wrongly)
    with pytest.raises(UnsupportedModelError, match="differs from Keras 3 by"):
        load_keras(tmp_path / "m.keras")


def test_a_sequential_model_without_an_input_is_told_what_it_lacks(tmp_path):
    keras.Sequential([L.Dense(2)], name="open").save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="has no input shape: add Input"):
        load_keras(tmp_path / "m.keras")
