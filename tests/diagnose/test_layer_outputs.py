"""What layers answer is the same whichever format they are in."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv import zoo
from edgecv.convert import convert
from edgecv.core.errors import CrashError, EdgecvError, UnsupportedModelError
from edgecv.data.synthetic import synthetic
from edgecv.diagnose import views
from edgecv.diagnose.layer_outputs import KerasLayers, TfliteLayers
from edgecv.diagnose.onnx_layers import OnnxLayers
from edgecv.modelio import LoadedModel, env
from edgecv.runtime import preprocess
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input

SHAPE = (20, 24, 3)


def network():
    layers, keras = env.keras().layers, env.keras()
    keras.utils.set_random_seed(2)
    given = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="stem")(given)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="dw")(x)
    y = layers.BatchNormalization(name="bn")(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(5, 3, name="late")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    model = keras.Model(given, layers.Dense(4, activation="softmax", name="output")(x), name="net")
    head = Head("output", "classification", "probabilities", ("a", "b", "c", "d"))
    return model, one_input("net", SHAPE, (head,), Preprocessing("rgb", mean=(127.5,) * 3, std=(127.5,) * 3))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    model, spec = network()
    source = LoadedModel(model=model, manifest=None, path=folder / "m.keras", sha256="0" * 64)
    ways = {"f.tflite": ("float32", "tflite", {}), "f.onnx": ("float32", "onnx", {}),
            "i.tflite": ("int8", "tflite", {}), "i.onnx": ("int8", "onnx", {}),
            "b.onnx": ("int8", "onnx", {"io_dtype": "int8"})}  # fmt: skip
    for name, (scheme, format_, more) in ways.items():
        int8 = {"method": "ptq", "calibration": profiles.calibration("minmax"), "dataset": synthetic(spec)}
        more = {**more, **(int8 if scheme == "int8" else {})}
        convert(source, format=format_, scheme=scheme, out=folder / name, spec=spec, **more)
    return model, spec, folder


def sample(spec):
    return preprocess(synthetic(spec).split("test").image(0), spec)


def answers(look, tensor):
    with look as opened:
        return dict(zip([layer.name for layer in opened.layers], opened.run([tensor]), strict=True)), opened.layers


def test_keras_layers_are_those_of_the_model(made):
    model, spec, _ = made
    tensor = sample(spec)
    found, layers = answers(KerasLayers(model), tensor)
    assert list(found) == ["stem", "dw", "bn", "sum", "pool", "late", "gap", "output"]
    for name, value in found.items():
        expected = env.keras().Model(model.inputs, model.get_layer(name).output)(tensor).numpy()[0]
        assert value == pytest.approx(expected, abs=1e-6)
    known = {layer.name: layer for layer in layers}
    assert known["stem"].kernel.shape == (3, 3, 3, 6)
    assert known["dw"].kernel.shape == (3, 3, 1, 6)
    assert (known["pool"].pools, known["pool"].source, known["sum"].source) == (True, "sum", None)


@pytest.mark.parametrize(("name", "look"), [("f.tflite", TfliteLayers), ("f.onnx", OnnxLayers)])
def test_float_files_answer_as_the_model(made, name, look):
    model, spec, folder = made
    expected, _ = answers(KerasLayers(model), sample(spec))
    found, layers = answers(look(folder / name), sample(spec))
    shared = {"stem", "sum", "pool", "late", "output"}
    assert shared <= set(found)
    for layer in shared:
        assert found[layer].shape == expected[layer].shape
        assert found[layer] == pytest.approx(expected[layer], abs=1e-4)
    kernels = {layer.name: layer.kernel for layer in layers}
    assert kernels["stem"] == pytest.approx(model.get_layer("stem").get_weights()[0], abs=1e-6)
    assert {layer.name: layer.source for layer in layers}["pool"] == "sum"


@pytest.mark.parametrize(("name", "look"), [("i.tflite", TfliteLayers), ("i.onnx", OnnxLayers), ("b.onnx", OnnxLayers)])
def test_int8_files_are_near_and_on_their_grid(made, name, look):
    model, spec, folder = made
    expected, _ = answers(KerasLayers(model), sample(spec))
    found, layers = answers(look(folder / name), sample(spec))
    for layer in ("stem", "sum", "pool", "late", "gap"):
        noise = np.abs(found[layer] - expected[layer]).max() / np.ptp(expected[layer])
        assert 0 < noise < 0.05, layer
        assert len(np.unique(found[layer])) <= 256
    stem = next(layer.kernel for layer in layers if layer.name == "stem")
    original = model.get_layer("stem").get_weights()[0]
    steps = np.abs(original).max(axis=(0, 1, 2)) / 127
    assert (np.abs(stem - original) <= 0.51 * steps).all()


def test_two_formats_of_one_file_are_equal(made):
    _, spec, folder = made
    tensors = [preprocess(synthetic(spec).split("test").image(i), spec) for i in range(3)]
    with TfliteLayers(folder / "i.tflite") as one, OnnxLayers(folder / "i.onnx") as other:
        sights = views.look([one, other], ([t] for t in tensors), spec, total=3)
    shown = {sight.figures.layer: sight.figures for sight in sights}
    assert shown["stem"].compared
    assert shown["stem"].sqnr_db is None or shown["stem"].sqnr_db > 35
    assert shown["stem"].shape == (10, 12, 6)


def test_signal_to_noise_by_hand(made):
    _, spec, folder = made
    tensors = [preprocess(synthetic(spec).split("test").image(i), spec) for i in range(3)]
    with TfliteLayers(folder / "f.tflite") as one, TfliteLayers(folder / "i.tflite") as other:
        sights = views.look([one, other], ([t] for t in tensors), spec, total=3)
        place = [layer.name for layer in one.layers].index("late")
        pairs = [(one.run([t])[place], other.run([t])[place]) for t in tensors]
    expected, got = (np.stack(side) for side in zip(*pairs, strict=True))
    decibels = 10 * np.log10(((expected - expected.mean()) ** 2).sum() / ((expected - got) ** 2).sum())
    assert sights[place].figures.sqnr_db == pytest.approx(decibels, abs=1e-6)
    assert sights[place].figures.range == pytest.approx((expected.min(), expected.max()))


def test_the_same_model_is_equal_and_another_has_nothing_in_common(made):
    model, spec, folder = made
    with TfliteLayers(folder / "f.tflite") as one, TfliteLayers(folder / "f.tflite") as other:
        sights = views.look([one, other], [[sample(spec)]], spec, total=1)
    assert all(sight.figures.compared and sight.figures.sqnr_db is None for sight in sights)
    keras = env.keras()
    given = keras.Input(SHAPE, name="image")
    stranger = keras.Model(given, keras.layers.Conv2D(2, 3, name="strange")(given))
    with pytest.raises(UnsupportedModelError, match="in common"):
        views.look([KerasLayers(model), KerasLayers(stranger)], [[sample(spec)]], spec, total=1)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("cnn_mnist_b4", [(26, 26, 32), (24, 24, 64)]),
        ("cnn_mnist_5x5", [(24, 24, 32), (12, 12, 32)]),
    ],
)
def test_the_sizes_of_the_maps_that_books_show(name, shapes):
    model, spec = zoo.build(name)
    look = KerasLayers(model)
    found = look.run([np.zeros((1, *spec.input_shape), np.float32)])
    assert [value.shape for value in found if value.ndim == 3][:2] == shapes


@pytest.mark.parametrize("look", [TfliteLayers, OnnxLayers])
def test_damaged_files_are_refused(made, tmp_path, look):
    _, _, folder = made
    name = "f.tflite" if look is TfliteLayers else "f.onnx"
    content = bytearray((folder / name).read_bytes())
    (tmp_path / name).write_bytes(bytes(content[: len(content) // 2]))
    with pytest.raises((EdgecvError, CrashError)):
        look(tmp_path / name)
