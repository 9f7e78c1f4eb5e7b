"""The cases of `layer_cases.py` through the import; benchmarks/layer_conformance.py makes every file of them."""

import numpy as np
import pytest

from edgecv.modelio import env, load_keras

tf_keras = env.keras()
keras = env.keras3()

from tests.conformance.layer_cases import CASES  # noqa: E402 - after keras is told to compute with tensorflow

NAMES = tuple(CASES)
CARRIED = frozenset({"LSTM(mish)"})
"""They convert, and cannot be saved."""
QUICK = frozenset(NAMES[::18])


def imported(case, path):
    original = case.model()
    original.save(path)
    return original, load_keras(path).model


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name not in CARRIED],
)
def test_what_keras_3_computes_is_imported_and_saved(name, tmp_path):
    case = CASES[name]
    original, loaded = imported(case, tmp_path / "m.keras")
    inputs = case.values(case.pixels(3, seed=4))
    expected = np.asarray(original(inputs, training=False))
    assert np.ptp(expected, axis=0).max() > 1e-3  # the case says something
    assert np.asarray(loaded(inputs, training=False)) == pytest.approx(
        expected, rel=1e-4, abs=1e-4 * float(np.abs(expected).max())
    )
    loaded.save(tmp_path / "again.keras", save_format="keras")
    again = load_keras(tmp_path / "again.keras").model
    assert np.array_equal(again(inputs, training=False), loaded(inputs, training=False))


def test_what_can_be_neither_rebuilt_nor_traced_is_carried_whole(tmp_path):
    _, loaded = imported(CASES["LSTM(mish)"], tmp_path / "m.keras")
    (whole,) = [layer for layer in loaded.layers if getattr(layer, "holds_whole", False)]
    assert whole.name.startswith("lstm")


def kinds(name, tmp_path):
    _, loaded = imported(CASES[name], tmp_path / "m.keras")
    return [type(layer).__name__ for layer in loaded.layers if layer.name not in ("lead", "image", "answer")]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("ops: matmul(constant)", ["Dense", "Flatten"]),
        ("ops: conv", ["Conv2D", "Flatten"]),
        ("ops: BlurPool", ["DepthwiseConv2D", "Flatten"]),
        ("ops: clip(0, 6)", ["Rescaling", "ReLU", "Flatten"]),
        ("ops: maximum(0)", ["ReLU", "Flatten"]),
        ("ops: image.resize(x2)", ["UpSampling2D", "Flatten"]),
        ("ops: mean(H, W)", ["GlobalAveragePooling2D", "Flatten"]),
        ("ops: max(H, W)", ["GlobalMaxPooling2D", "Flatten"]),
        ("ops: expand_dims", ["Reshape", "Flatten"]),
        ("ops: einsum(constant)", ["Dense", "Flatten"]),
        ("Activation(leaky_relu)", ["LeakyReLU", "Activation", "Flatten"]),
        ("ops: abs", ["TensorFunction", "Flatten"]),
    ],
)
def test_what_a_standard_layer_does_becomes_that_layer(name, layers, tmp_path):
    assert kinds(name, tmp_path) == layers


def test_attention_is_opened_to_dense_layers_and_functions(tmp_path):
    _, loaded = imported(CASES["MultiHeadAttention"], tmp_path / "m.keras")
    dense = [layer.name for layer in loaded.layers if type(layer).__name__ == "Dense"]
    assert len(dense) == 5  # query, key, value, output, and the classifier
    functions = {layer.function for layer in loaded.layers if type(layer).__name__ == "TensorFunction"}
    assert functions == {"add", "dot_product_attention"}
