"""Models with channels first are turned into channels last: the answers are the same, transposed."""

import numpy as np
import pytest

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env, load_keras
from edgecv.modelio.opening import Opening

tf_keras = env.keras()
keras3 = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")
BOTH = pytest.mark.parametrize("keras", [tf_keras, keras3], ids=["tf_keras", "keras3"])
FIRST = {"data_format": "channels_first"}


def randomised(model):
    rng = np.random.default_rng(0)
    model.set_weights([np.asarray(w + 0.1 * rng.random(w.shape), w.dtype) for w in model.get_weights()])
    return model


def answers(model, *images):
    """Compiled: without oneDNN, TensorFlow's own convolutions with channels first do not run on processors."""
    tf = env.tensorflow()
    call = tf.function(lambda *t: model(list(t) if len(t) > 1 else t[0], training=False), jit_compile=True)
    return [np.asarray(value) for value in tf.nest.flatten(call(*images))]


def check(original, path, shapes, opening=None):
    original.save(path)
    model = load_keras(path, opening=opening).model
    assert not any(getattr(layer, "data_format", "channels_last") == "channels_first" for layer in model.layers)
    rng = np.random.default_rng(1)
    images = [rng.standard_normal((2, *shape)).astype(np.float32) for shape in shapes]
    turned = [np.moveaxis(image, 1, -1) for image in images]
    got = [np.asarray(v) for v in env.tensorflow().nest.flatten(model(turned if len(turned) > 1 else turned[0]))]
    for own, wanted in zip(got, answers(original, *images), strict=True):
        wanted = np.moveaxis(wanted, 1, -1) if wanted.ndim > 2 else wanted
        assert own.shape == wanted.shape
        assert own == pytest.approx(wanted, abs=1e-5)
    return model


def body(keras):
    """Layers whose order of axes hides in a setting: normalisation, concatenation, slopes, softmax over channels."""
    layers = keras.layers
    image = keras.Input((3, 10, 8), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv", **FIRST)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization(axis=1)(x))
    y = layers.PReLU(shared_axes=[2, 3])(layers.DepthwiseConv2D(3, padding="same", **FIRST)(x))
    y = layers.SeparableConv2D(4, 3, padding="same", activation="relu", **FIRST)(layers.PReLU()(y))
    x = layers.Concatenate(axis=1)([layers.Add()([x, y]), layers.Rescaling(0.5, 1.0)(y)])
    x = layers.ZeroPadding2D(((1, 0), (0, 2)), **FIRST)(layers.LayerNormalization(axis=1)(x))
    x = layers.UpSampling2D(2, **FIRST)(layers.MaxPooling2D(2, **FIRST)(x))
    x = layers.Conv2DTranspose(5, 3, strides=2, **FIRST)(layers.Cropping2D(1, **FIRST)(x))
    return image, layers.Softmax(axis=1)(x), layers.GlobalAveragePooling2D(**FIRST)(x)


@BOTH
def test_axes_and_weights_are_turned(keras, tmp_path):
    image, maps, pooled = body(keras)
    original = randomised(keras.Model(image, [maps, keras.layers.Dense(3)(pooled)]))
    model = check(original, tmp_path / "m.keras", [(3, 10, 8)])
    assert not any(type(layer).__name__ == "Permute" for layer in model.layers)
    assert model.count_params() == original.count_params()


@BOTH
@pytest.mark.parametrize("flatten", ["channels_first", "channels_last"])
def test_a_dense_layer_behind_maps_gets_its_rows_in_order(keras, flatten, tmp_path):
    layers = keras.layers
    image = keras.Input((2, 6, 4))
    x = layers.Conv2D(3, 3, **FIRST)(image)
    x = layers.Dropout(0.2)(layers.Flatten(data_format=flatten)(x))
    original = randomised(keras.Model(image, layers.Dense(4, activation="softmax")(x)))
    model = check(original, tmp_path / "m.keras", [(2, 6, 4)])
    assert not any(type(layer).__name__ == "Permute" for layer in model.layers)


def test_what_hangs_on_the_order_gets_the_old_one(tmp_path):
    keras, layers = keras3, keras3.layers
    image = keras.Input((2, 6, 4))
    x = layers.Conv2D(3, 3, padding="same", **FIRST)(image)
    columns = layers.Activation("softmax")(x)
    rows = layers.Permute((2, 1))(layers.Reshape((9, 8))(x))
    vector = layers.UnitNormalization()(layers.Flatten(data_format="channels_last")(x))
    back = layers.MaxPooling2D(2, **FIRST)(layers.Reshape((3, 4, 6))(x))
    outputs = [layers.Flatten()(columns), layers.Flatten()(rows), vector, back]
    check(randomised(keras.Model(image, outputs)), tmp_path / "m.keras", [(2, 6, 4)])


def test_models_inside_and_shared_layers(tmp_path):
    keras, layers = keras3, keras3.layers
    inside = keras.Input((2, 5, 5))
    inner = keras.Model(inside, layers.Conv2D(2, 3, padding="same", name="conv", **FIRST)(inside), name="inner")
    shared = layers.Conv2D(2, 1, name="conv", **FIRST)
    image, vector = keras.Input((2, 5, 5), name="image"), keras.Input((4,), name="numbers")
    x = inner(shared(inner(shared(image))))
    x = layers.Concatenate()([layers.GlobalMaxPooling2D(**FIRST)(x), vector])
    original = randomised(keras.Model([image, vector], layers.Dense(2)(x)))
    original.save(tmp_path / "m.keras")
    model = load_keras(tmp_path / "m.keras").model
    assert model.count_params() == original.count_params()
    rng = np.random.default_rng(1)
    picture, numbers = (rng.standard_normal((2, *s)).astype(np.float32) for s in ((2, 5, 5), (4,)))
    (wanted,) = answers(original, picture, numbers)
    assert np.asarray(model([np.moveaxis(picture, 1, -1), numbers])) == pytest.approx(wanted, abs=1e-5)


def test_one_dimension_and_open_sizes(tmp_path):
    keras, layers = keras3, keras3.layers
    series = keras.Input((2, 12))
    x = layers.MaxPooling1D(2, **FIRST)(layers.Conv1D(3, 3, **FIRST)(series))
    check(randomised(keras.Model(series, layers.Flatten()(x))), tmp_path / "series.keras", [(2, 12)])
    image = keras.Input((3, None, None))
    original = randomised(keras.Model(image, layers.Conv2D(2, 3, **FIRST)(image)))
    check(original, tmp_path / "open.keras", [(3, 6, 8)], Opening(input_size=(6, 8)))


def test_what_cannot_be_turned_is_refused_by_name(tmp_path):
    frames = tf_keras.Input((4, 2, 6, 6))
    x = tf_keras.layers.ConvLSTM2D(2, 3, name="memory", **FIRST)(frames)
    tf_keras.Model(frames, x).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match=r"layer 'memory' \(ConvLSTM2D\) has channels first"):
        load_keras(tmp_path / "m.keras")


def test_a_layer_called_in_both_orders_is_refused_by_name(tmp_path):
    layers = tf_keras.layers
    image = tf_keras.Input((4, 4, 4))
    norm = layers.BatchNormalization(axis=1, name="norm")
    x = norm(layers.Conv2D(4, 1, **FIRST)(image))
    y = norm(layers.Reshape((4, 4, 4))(x))
    tf_keras.Model(image, [x, y]).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="layer 'norm' is called on tensors with channels first and on"):
        load_keras(tmp_path / "m.keras")
