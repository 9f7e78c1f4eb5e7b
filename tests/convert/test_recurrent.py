import numpy as np
import pytest

from edgecv.convert import quantize, unroll
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite.converter import convert_float
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


def operators(model):
    graph = read_tflite(convert_float(freeze(model), "float32"))
    return [op.op for op in graph.ops]


def test_long_sequences_stay_loops(monkeypatch):
    monkeypatch.setattr(unroll, "STEPS", 8)
    assert "WHILE" in operators(reader(L.LSTM(2, name="cell"), steps=9))
    assert "WHILE" not in operators(reader(L.LSTM(2, name="cell"), steps=8))


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(CELLS["both ways"], id="both ways"),
        *(pytest.param(CELLS[n], id=n, marks=pytest.mark.slow) for n in ("LSTM", "GRU")),
    ],
)
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
