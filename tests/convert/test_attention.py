"""Attention: products of two activations, in every kind of file."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.graphs import read_graph
from edgecv.modelio import env
from edgecv.runtime.host import host_facts
from tests.convert.test_stays_float import made, moved, noise_of, noise_of_stock

FLOAT = {"method": "none", "calibration": None}


def transformer() -> Any:
    """Patches, one block of attention and a perceptron with GELU, as in ViT."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((12, 12, 1), name="image")
    x = layers.Reshape((9, 32), name="tokens")(layers.Conv2D(32, 4, strides=4, name="patch")(image))
    y = layers.LayerNormalization(name="norm")(x)
    x = layers.Add(name="add")([x, layers.MultiHeadAttention(2, 16, name="attention")(y, y)])
    y = layers.LayerNormalization(name="norm_2")(x)
    y = layers.Dense(32, name="narrow")(layers.Dense(64, activation="gelu", name="wide")(y))
    x = layers.GlobalAveragePooling1D(name="mean")(layers.Add(name="add_2")([x, y]))
    return moved(keras.Model(image, layers.Dense(3, name="side")(x), name="net"), 0.05)


def contraction() -> Any:
    """An einsum of two activations whose axes both have to be moved, and one with weights."""
    keras, tf = env.keras(), env.tensorflow()
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 1), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="first")(image)
    y = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="tanh", name="second")(image)
    x = keras.layers.Lambda(lambda pair: tf.einsum("bhwc,bhwd->bcd", *pair) / 36.0, name="gram")([x, y])
    x = keras.layers.Flatten(name="flat")(keras.layers.EinsumDense("bcd,de->bce", (4, 5), name="dense")(x))
    return moved(keras.Model(image, keras.layers.Dense(3, name="side")(x), name="net"), 0.1)


@pytest.fixture(scope="module", params=[transformer, contraction], ids=["transformer", "contraction"])
def model(request) -> Any:
    return request.param()


def test_int8_files_of_both_formats_are_as_good_as_stock(model, dataset, tmp_path):
    stock = noise_of_stock(model, dataset)
    for format in ("tflite", "onnx"):
        artifact = made(model, dataset, tmp_path, format=format, strict_int8=True)
        least = max(20, stock - 1.5)
        if format == "onnx" and host_facts().get("isa") != "x86-vnni":
            least = 15  # ONNX Runtime's sums of a file that shares zero points may overflow there
        assert noise_of(artifact.path, model, dataset) > least, format


def test_both_sides_of_a_product_come_from_integers(model, dataset, tmp_path):
    graph = read_graph(made(model, dataset, tmp_path, format="onnx").path)
    made_by = {index: op for op in graph.ops for index in op.outputs}
    products = [op for op in graph.ops if op.op in ("MatMul", "Gemm")]
    assert products
    assert {made_by[index].op for op in products for index in op.inputs[:2]} == {"DequantizeLinear"}
    both = [op for op in products if not graph.tensors[made_by[op.inputs[1]].inputs[0]].is_constant]
    assert both, "a product has no weights"


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"scheme": "float32", **FLOAT}, 100),
        ({"scheme": "float32", "format": "onnx", **FLOAT}, 100),
        ({"scheme": "float16", **FLOAT}, 50),
        ({"scheme": "float16", "format": "onnx", **FLOAT}, 50),
        ({"scheme": "dynamic", "method": "ptq", "calibration": None}, 25),
        ({"scheme": "dynamic", "format": "onnx", "method": "ptq", "calibration": None}, 20),
        ({"scheme": "int16x8"}, 30),
    ],
)
def test_other_schemes_of_a_transformer(options, least, dataset, tmp_path):
    model = transformer()
    assert noise_of(made(model, dataset, tmp_path, **options).path, model, dataset) > least
