import numpy as np
import pytest

from edgecv.compress.unrolled import STEPS, unrolled
from edgecv.convert import quantize
from edgecv.graphs import read_tflite
from edgecv.modelio import env
from edgecv.runtime import load
from tests.convert.conftest import loaded

keras = env.keras()
L = keras.layers


def reader(cell, steps=8):
    keras.utils.set_random_seed(3)
    image = keras.Input((steps, 6, 1), name="image")
    x = L.Reshape((steps, 6))(image)
    return keras.Model(image, L.Dense(3, name="answer")(cell(x)))


CELLS = {
    "LSTM": lambda: L.LSTM(5, name="cell"),
    "LSTM of sequences": lambda: L.LSTM(5, return_sequences=True, go_backwards=True, name="cell"),
    "GRU": lambda: L.GRU(5, name="cell"),
    "GRU, reset before": lambda: L.GRU(5, reset_after=False, name="cell"),
    "SimpleRNN": lambda: L.SimpleRNN(5, name="cell"),
    "both ways": lambda: L.Bidirectional(L.LSTM(5, return_sequences=True), name="cell"),
    "both ways, unequal": lambda: L.Bidirectional(
        L.GRU(5), backward_layer=L.GRU(5, go_backwards=True, activation="relu"), merge_mode="sum", name="cell"
    ),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_loop_and_its_steps_answer_alike(cell):
    model = reader(cell())
    twin = unrolled(model)
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    images = np.random.default_rng(0).normal(0, 1, (4, 8, 6, 1)).astype(np.float32)
    assert twin.predict(images, verbose=0) == pytest.approx(model.predict(images, verbose=0), abs=1e-5)
    assert unrolled(twin) is twin


def test_long_sequences_stay_loops():
    model = reader(L.LSTM(2, name="cell"), steps=STEPS + 1)
    assert not unrolled(model).get_layer("cell").unroll
    assert unrolled(reader(L.LSTM(2, name="cell"), steps=STEPS)).get_layer("cell").unroll


@pytest.mark.parametrize("cell", [CELLS["LSTM"], CELLS["both ways"], CELLS["GRU"]], ids=["LSTM", "both ways", "GRU"])
def test_an_int8_file_of_a_loop_is_integers_throughout(cell, dataset, spec, minmax, tmp_path):
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 1), name="image")
    x = L.Flatten()(cell()(L.Reshape((12, 12))(image)))
    model = keras.Model(image, L.Dense(3, activation="softmax", name="side")(x))
    quantize(loaded(model), out=tmp_path / "m.tflite", dataset=dataset, calibration=minmax, spec=spec)
    graph = read_tflite((tmp_path / "m.tflite").read_bytes())
    assert {tensor.dtype for tensor in graph.tensors} <= {"int8", "int32"}
    assert "WHILE" not in {op.op for op in graph.ops}
    pixels = np.stack(list(dataset.split("test").images)).astype(np.float32)[..., None] / 255
    with load(tmp_path / "m.tflite") as predictor:
        answers = np.concatenate([predictor.run([one[None]])[0] for one in pixels])
    assert answers == pytest.approx(model.predict(pixels, verbose=0), abs=0.03)
