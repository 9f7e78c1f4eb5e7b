import numpy as np
import pytest

from edgecv.convert import convert
from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.data.synthetic import synthetic
from edgecv.diagnose.layer_noise import Sums, layer_noise
from edgecv.modelio import LoadedModel, env, manifest_for, save_keras
from edgecv.modelio.keras_files import load_keras
from edgecv.runtime.image import preprocess
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input

SPEC = one_input(
    name="noisy",
    input_shape=(8, 8, 1),
    heads=(Head(name="out", task="classification", activation="probabilities", labels=("a", "b", "c")),),
    preprocessing=Preprocessing(color="gray"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A float file and its int8 twin; layer "wide" has one channel 40 times as large as the others."""
    folder = tmp_path_factory.mktemp("noise")
    keras = env.keras()
    keras.utils.set_random_seed(0)
    x = image = keras.Input(SPEC.input_shape, name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="plain")(x)
    x = keras.layers.Conv2D(4, 3, name="wide")(x)
    x = keras.layers.Flatten(name="flat")(x)
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="out")(x))
    kernel, bias = model.get_layer("wide").get_weights()
    kernel[..., 0] *= 40
    model.get_layer("wide").set_weights([kernel, bias])
    head, bias = model.get_layer("out").get_weights()
    head *= 8
    head[0::4] = 0
    model.get_layer("out").set_weights([head, bias])
    path = save_keras(model, folder / "m.keras", manifest_for(SPEC, recipe={"step": "test"}))
    loaded: LoadedModel = load_keras(path)
    data = synthetic(SPEC)
    convert(loaded, format="tflite", scheme="float32", out=folder / "float32.tflite", dataset=data)
    convert(
        loaded, format="tflite", scheme="int8", method="ptq", out=folder / "int8.tflite", dataset=data,
        calibration=profiles.calibration("minmax"),
    )  # fmt: skip
    return folder / "float32.tflite", folder / "int8.tflite", data


def inputs(data):
    return [[preprocess(image, SPEC)] for image, _ in data.split("validation")]


def test_the_layer_that_ruins_its_channels_is_found(files):
    found = layer_noise(files[0], files[1], inputs(files[2]), total=12)
    assert {"plain", "wide", "out"} <= {record.layer for record in found}
    by_layer = {record.layer: record for record in found}
    assert by_layer["plain"].sqnr_db > 30
    assert by_layer["out"].lost_db == max(record.lost_db or 0 for record in found)
    assert by_layer["out"].lost_db > 10


def test_a_file_is_equal_to_itself(files):
    found = layer_noise(files[0], files[0], inputs(files[2]), total=12)
    assert all(record.sqnr_db is None and record.lost_db is None for record in found)


def test_the_range_holds_what_calibration_saw(files):
    plain = layer_noise(files[0], files[1], inputs(files[2]), total=12)[0]
    step = (plain.range[1] - plain.range[0]) / 255
    assert plain.range[0] <= plain.seen[0] + step
    assert plain.range[1] >= plain.seen[1] - 0.2 * abs(plain.seen[1])


def test_sums_by_hand():
    tally = Sums()
    tally.add(np.array([0.0, 2.0]), np.array([0.0, 2.5]))
    tally.add(np.array([4.0]), np.array([4.0]))
    # values 0, 2, 4: squares about the mean 8; noise 0.25
    assert tally.sqnr_db() == pytest.approx(10 * np.log10(8 / 0.25))
    assert (tally.low, tally.high) == (0, 4)


def test_without_samples(files):
    with pytest.raises(DataError, match="nothing to compare"):
        layer_noise(files[0], files[1], [], total=0)


def test_a_foreign_file_says_nothing_of_layers(files, tmp_path):
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(_without_manifest(files[0]))
    with pytest.raises(UnsupportedModelError, match="which layer each operator came from"):
        layer_noise(foreign, files[1], inputs(files[2]), total=12)


def _without_manifest(path):
    from edgecv.convert.tflite import flatbuffer

    model = flatbuffer.unpack(path.read_bytes())
    model.metadata = []
    return flatbuffer.pack(model)


@pytest.mark.parametrize("side", [0, 1])
def test_a_layer_that_gives_another_shape_than_its_file_promises_is_named(files, monkeypatch, side):
    """An interpreter computes shapes anew, and a damaged file may promise others."""
    from edgecv.diagnose import layer_noise as module

    class Resized(module.AllTensors):
        def __init__(self, path):
            super().__init__(path)
            self.cut = path == files[side]

        def value(self, index):
            return super().value(index)[..., :1] if self.cut else super().value(index)

    monkeypatch.setattr(module, "AllTensors", Resized)
    with pytest.raises(UnsupportedModelError, match=r"layer 'plain' gives \(1, 6, 6, .\) in the float file"):
        layer_noise(*files[:2], [[np.zeros((1, 8, 8, 1), np.float32)]], total=1)
