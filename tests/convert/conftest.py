import hashlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.data import Dataset, Target
from edgecv.data.dataset import Split
from edgecv.modelio import LoadedModel, env
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input

LABELS = ("left", "right", "both")


class Stored(list):
    """Images in memory, as a split wants them."""

    def digest(self, index):
        return hashlib.sha256(self[index].tobytes()).digest()


def bars(count, seed):
    """uint8 12x12 images with a bright bar on the left, on the right, or on both sides."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 80, (count, 12, 12), dtype=np.uint8)
    images[labels != 1, :, 1:4] += 150
    images[labels != 0, :, 8:11] += 150
    return images, labels.astype(np.int64)


def split(name, count, seed):
    images, labels = bars(count, seed)
    return Split(name=name, images=Stored(images), targets=(labels,))


@pytest.fixture(scope="session")
def dataset():
    splits = {"train": split("train", 90, 0), "validation": split("validation", 30, 1), "test": split("test", 30, 2)}
    target = Target(name="output", task="classification", labels=LABELS)
    return Dataset(name="bars", uri="test:bars", targets=(target,), splits=splits)


@pytest.fixture(scope="session")
def spec():
    head = Head(name="side", task="classification", activation="probabilities", labels=LABELS)
    return one_input(name="tiny", input_shape=(12, 12, 1), heads=(head,), preprocessing=Preprocessing(color="gray"))


def tiny_model():
    keras = env.keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = layers.Input((12, 12, 1), name="image")
    x = layers.Conv2D(4, 3, use_bias=False, name="stem")(image)
    x = layers.ReLU(name="clip")(layers.BatchNormalization(name="norm")(x))
    skip = layers.Conv2D(4, 3, padding="same", activation="tanh", name="inner")(x)
    x = layers.Add(name="join")([x, skip])
    x = layers.AveragePooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(3, activation="softmax", name="side")(x), name="tiny")


def trained(model, dataset):
    data = dataset.split("train")
    x = np.stack(list(data.images))[..., None].astype(np.float32) / 255
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, data.labels, epochs=60, batch_size=15, verbose=0, shuffle=False)
    return model


def loaded(model, manifest=None):
    return LoadedModel(model=model, manifest=manifest, path=Path("tiny.keras"), sha256="ab" * 32)


@pytest.fixture(scope="session")
def source(dataset):
    return loaded(trained(tiny_model(), dataset))


@pytest.fixture(scope="session")
def qat_source(dataset, source):
    tfmot = env.tfmot()
    model = tfmot.quantization.keras.quantize_model(env.keras().models.clone_model(source.model))
    return loaded(trained(model, dataset))


@pytest.fixture(scope="session")
def minmax():
    return profiles.calibration("minmax")
