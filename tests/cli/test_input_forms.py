"""Every form that a model comes in, through the commands: a float and an int8 file that answer as the model does."""

import keras as keras3
import numpy as np
import pytest

from edgecv import runtime
from edgecv.modelio import env
from tests.cli.conftest import edgecv

tf, tf_keras = env.tensorflow(), env.keras()
SPEC = """name = "m"
input_shape = [16, 16, 3]
[preprocessing]
color = "rgb"
mean = [0.0, 0.0, 0.0]
std = [{std}, {std}, {std}]
[[heads]]
name = "class"
task = "classification"
activation = "logits"
labels = ["a", "b", "c"]
"""
NETS = "import keras\nfrom tests.cli.test_input_forms import network\ndef build():\n    return network(keras)\n"


def network(keras, shape=(16, 16, 3), *, dtype="float32", first=False):
    keras.utils.set_random_seed(0)
    layers, formatted = keras.layers, {"data_format": "channels_first"} if first else {}
    image = keras.Input(shape, dtype=dtype, name="image")
    x = layers.Rescaling(1 / 255.0)(image) if dtype == "uint8" else image
    x = layers.Conv2D(8, 3, activation="relu", **formatted)(x)
    x = layers.BatchNormalization(axis=1 if first else -1)(x)
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D(**formatted)(x)), name="net")
    rng = np.random.default_rng(0)
    model.set_weights([np.asarray(w + 0.2 * rng.standard_normal(w.shape), w.dtype) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8), np.arange(40) % 3
    np.savez(folder / "d.npz", x=x, y=y, class_names=list("abc"))
    for name, std in (("scaled", 255.0), ("pixels", 1.0)):
        (folder / f"{name}.toml").write_text(SPEC.format(std=std))
    (folder / "nets.py").write_text(NETS)
    return folder


def open_size(folder):
    model = network(tf_keras, (None, None, 3))
    model.save(folder / "open.keras")
    return "open.keras", model, ["--input-size", "16"]


def pixels(folder):
    model = network(keras3, dtype="uint8")
    model.save(folder / "pixels.keras")
    return "pixels.keras", model, []


def exported(folder):
    model = network(keras3, (None, None, 3), dtype="uint8")
    model.export(str(folder / "exported"), verbose=False)
    return "exported", model, []


def weights(folder):
    model = network(keras3)
    model.save_weights(folder / "w.weights.h5")
    return "w.weights.h5", model, ["--architecture", f"{folder}/nets.py:build"]


def channels_first(folder):
    model = network(keras3, (3, 16, 16), first=True)
    model.save(folder / "first.h5")
    return "first.h5", lambda x: env.infer(model, np.moveaxis(x, -1, 1)), []


@pytest.mark.parametrize(
    "form",
    [open_size, exported, *(pytest.param(form, marks=pytest.mark.slow) for form in (pixels, weights, channels_first))],
)
def test_float_and_int8_files_answer_as_the_model(form, folder):
    name, model, options = form(folder)
    raw = form in (pixels, exported)
    spec = folder / ("pixels.toml" if raw else "scaled.toml")
    images = np.load(folder / "d.npz")["x"][:8]
    wanted = np.asarray(model(images if raw else images.astype(np.float32) / 255))
    outs = {"float.tflite": 1e-4, "int8.tflite": 0.05, "int8.onnx": 0.05}
    for out, tolerance in outs.items():
        command = ["convert"] if out.startswith("float") else ["quantize", "--data", f"npz:{folder}/d.npz"]
        result = edgecv(*command, folder / name, "--spec", spec, *options, "--out", folder / f"{form.__name__}-{out}")
        assert result.code == 0, result.err
        with runtime.load(folder / f"{form.__name__}-{out}") as file:
            got = np.concatenate([file.predict(image).outputs for image in images])
        assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max()


@pytest.mark.parametrize(
    "command", [("prune", "--sparsity", "0.5"), ("quantize", "--method", "qat"), ("split", "--at", "served")]
)
def test_a_saved_model_is_not_trained_and_says_what_is(command, folder):
    name, _, _ = exported(folder)
    data = () if command[0] == "split" else ("--data", f"npz:{folder}/d.npz")
    out = folder / ("o.tflite" if command[0] == "quantize" else "o.keras")
    result = edgecv(command[0], folder / name, "--spec", folder / "pixels.toml", *command[1:], *data, "--out", out)
    assert result.code == 2
    assert "cannot be changed or trained layer by layer" in result.err
    assert "save the model as .keras" in result.err
