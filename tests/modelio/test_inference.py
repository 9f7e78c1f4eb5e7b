"""Layers that are called with training=True are refused by name, in both kinds of keras."""

import keras as keras3
import numpy as np
import pytest
import tf_keras

from edgecv.compress import layer_graph
from edgecv.convert.freeze import freeze
from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import load_keras

KINDS = {
    "dropout": lambda keras: keras.layers.Dropout(0.5, name="mc"),
    "spatial": lambda keras: keras.layers.SpatialDropout2D(0.5, name="mc"),
    "normalisation": lambda keras: keras.layers.BatchNormalization(name="mc"),
    "noise": lambda keras: keras.layers.GaussianNoise(0.1, name="mc"),
    "inside": lambda keras: keras.Sequential(
        [keras.Input((8, 8, 4)), keras.layers.Dropout(0.5), keras.layers.ReLU()], name="mc"
    ),
}


def built(keras, layer, training):
    image = keras.Input((8, 8, 3), name="image")
    x = layer(keras.layers.Conv2D(4, 3, padding="same")(image), training=training)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize("keras", [tf_keras, keras3], ids=["tf_keras", "keras3"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_such_a_call_is_refused_by_the_layers_name(keras, kind, tmp_path):
    built(keras, KINDS[kind](keras), True).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match="layer 'mc' is called with training=True") as caught:
        load_keras(tmp_path / "m.keras")
    assert "without training=True" in caught.value.hint


@pytest.mark.parametrize("keras", [tf_keras, keras3], ids=["tf_keras", "keras3"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_false_is_what_devices_do(keras, kind, tmp_path):
    """A frozen backbone is called so in transfer learning."""
    model = built(keras, KINDS[kind](keras), False)
    model.save(tmp_path / "m.keras")
    image = np.random.default_rng(0).uniform(0, 1, (1, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(load_keras(tmp_path / "m.keras").model(image), np.asarray(model(image)), atol=1e-6)


def test_a_dropout_of_nothing_is_no_matter(tmp_path):
    model = built(tf_keras, tf_keras.layers.Dropout(0.0), True)
    model.save(tmp_path / "m.keras")
    assert load_keras(tmp_path / "m.keras").model.name == model.name


@pytest.mark.parametrize("reader", [freeze, layer_graph.read])
def test_a_model_in_memory_is_refused_too(reader):
    with pytest.raises(UnsupportedModelError, match="layer 'mc' is called with training=True"):
        reader(built(tf_keras, KINDS["normalisation"](tf_keras), True))


@pytest.mark.parametrize("keras", [tf_keras, keras3], ids=["tf_keras", "keras3"])
def test_augmentation_has_that_as_its_default(keras, tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3)(keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip()(image)))
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(x)).save(tmp_path / "m.keras")
    assert load_keras(tmp_path / "m.keras").model.name
