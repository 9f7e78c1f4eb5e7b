import numpy as np
import pytest

from edgecv import data
from edgecv.core.errors import ConfigError
from edgecv.jobs import contract, describe, models, sense
from edgecv.modelio import env, load_keras
from edgecv.values.presets import preset
from edgecv.values.spec_file import read_spec
from tests.reporters import Told

keras = env.keras()
L = keras.layers
CLASSES = ("daisy", "rose", "tulip")


def pictures(count, seed):
    """uint8 images whose brightness is the class, so that another scaling is another answer."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    shades = (60 + 68 * labels + rng.uniform(-25, 25, count))[:, None, None, None]
    return np.clip(shades + rng.normal(0, 25, (count, 16, 16, 3)), 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("flowers")
    images, labels = pictures(120, 0)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / CLASSES[label] / f"{index}.png")
    return folder


def trained(path, scale, last="softmax", inside=False):
    """A classifier of the pictures under a scaling, which it does itself or not."""
    keras.utils.set_random_seed(0)
    images, labels = pictures(240, 1)
    x = image = keras.Input((16, 16, 3), name="photo")
    if inside:
        x = L.Rescaling(1 / 127.5, -1)(x)
    x = L.Dense(16, activation="relu")(L.GlobalAveragePooling2D()(L.Conv2D(6, 3, activation="tanh")(x)))
    model = keras.Model(image, L.Dense(3, activation=last, name="flower")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=last is None)
    model.compile(keras.optimizers.legacy.Adam(0.02), loss)
    inputs = images.astype(np.float32) if inside else scale(images.astype(np.float32))
    model.fit(inputs, labels, epochs=30, batch_size=24, verbose=0)
    model.save(path, save_format="keras")
    return path


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("signed") / "m.keras", lambda x: x / 127.5 - 1, last=None)


def test_labelled_images_decide_how_a_model_wants_its_pixels(signed, flowers):
    found = describe.describe(models.Source(path=signed), uri=f"folder:{flowers}")
    assert found.open == ()
    assert found.spec.inputs[0].preprocessing == preset("imagenet-tf")
    assert found.spec.heads[0].labels == CLASSES
    assert found.spec.heads[0].activation == "logits"
    best = max(found.trials, key=lambda trial: trial.accuracy)
    assert best.n == 120
    assert best.accuracy > 0.9
    assert best.preset == "imagenet-tf"
    assert any("images are right under it" in one for one in found.known)


def test_without_labels_the_scaling_stays_open(signed, flowers, tmp_path):
    found = describe.describe(models.Source(path=signed))
    assert set(found.open) == {"raw", "unit", "imagenet-tf", "imagenet-torch", "imagenet-caffe"}
    loaded = load_keras(signed)
    with pytest.raises(ConfigError, match="does not say how it wants its pixels"):
        contract.described(loaded)
    assert contract.described(loaded, needed=False).require_spec().inputs[0].preprocessing == preset("unit")


def test_a_preset_says_it(signed, flowers):
    loaded = contract.described(load_keras(signed), preset_name="imagenet-tf")
    assert loaded.require_spec().inputs[0].preprocessing == preset("imagenet-tf")
    with pytest.raises(ConfigError, match="unknown preset 'imagenet'"):
        contract.described(load_keras(signed), preset_name="imagenet")
    with pytest.raises(ConfigError, match="--preset has nothing to say"):
        contract.described(loaded, preset_name="unit")


def test_what_is_written_is_read_again_and_the_picture_is_what_the_model_sees(signed, flowers, tmp_path):
    from PIL import Image

    out, sheet = tmp_path / "flowers.toml", tmp_path / "seen.png"
    found = describe.describe(models.Source(path=signed), uri=f"folder:{flowers}", out=out, sheet=sheet)
    assert read_spec(out) == found.spec
    assert Image.open(sheet).size[0] > 400
    with pytest.raises(ConfigError, match="exists"):
        describe.describe(models.Source(path=signed), out=out)


def test_chance_is_seen():
    labels = np.arange(300) % 3
    assert sense.chance_of(labels) == pytest.approx(1 / 3 + 3 * (2 / 9 / 300) ** 0.5)
    trial = sense.Trial(preset="raw", accuracy=0.41, loss=1.0, n=300, chance=sense.chance_of(labels))
    assert sense.best_of([trial]) is None


def test_a_wrong_scaling_is_an_error_that_names_the_right_one(signed, flowers):
    loaded, images = load_keras(signed), data.open_dataset(f"folder:{flowers}")
    sense.check_sense(contract.described(loaded, preset_name="imagenet-tf"), images)
    with pytest.raises(ConfigError, match="no better than guessing: its pixels are scaled otherwise") as caught:
        sense.check_sense(contract.described(loaded, preset_name="raw"), images)
    assert "--preset imagenet-tf" in caught.value.hint


def test_labels_in_another_order_are_seen(signed, flowers):
    loaded, images = load_keras(signed), data.open_dataset(f"folder:{flowers}")
    kernel, bias = loaded.model.get_layer("flower").get_weights()
    loaded.model.get_layer("flower").set_weights([kernel[:, [1, 2, 0]], bias[[1, 2, 0]]])
    with pytest.raises(ConfigError, match="labels are in another order than the data's") as caught:
        sense.check_sense(contract.described(loaded, preset_name="imagenet-tf"), images)
    assert "0: rose, 1: tulip, 2: daisy" in caught.value.hint


def test_a_model_that_knows_nothing_is_only_warned_of(flowers, tmp_path):
    images, listener = data.open_dataset(f"folder:{flowers}"), Told()
    model = keras.Sequential([L.Input((16, 16, 3)), L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")])
    model.layers[-1].set_weights([np.zeros((3, 3)), np.array([1.0, 0.0, 0.0])])
    model.save(tmp_path / "m.keras", save_format="keras")
    sense.check_sense(
        contract.described(load_keras(tmp_path / "m.keras"), preset_name="unit"), images, reporter=listener
    )
    assert "figures about its files will prove nothing" in listener.warnings[0]
