"""Real model files for the runtime's tests: one tiny net in every form, converted once per session."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgecv.values.manifest import Golden, Manifest, Provenance, pack_array, pack_output
from edgecv.values.specs import Head, Preprocessing, one_input

LABELS = ("ant", "bee", "cat", "dog", "elk")
SPEC = one_input(
    name="tiny",
    input_shape=(8, 8, 1),
    heads=(Head(name="class", task="classification", activation="probabilities", labels=LABELS),),
    preprocessing=Preprocessing(color="gray"),
)


def manifest(format: str, scheme: str, **changes: object) -> Manifest:
    base = Manifest(
        spec=SPEC, format=format, scheme=scheme, provenance=Provenance(recipe={}, tools={}), golden_tolerance=1e-6
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (8, 8), dtype=np.uint8)


@pytest.fixture(scope="session")
def net() -> object:
    """A tiny tf_keras classifier."""
    from edgecv.modelio import env

    keras = env.keras()
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.MaxPool2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(5, activation="softmax"),
    ]
    return keras.Sequential([keras.layers.Input((8, 8, 1)), *layers])


@pytest.fixture(scope="session")
def files(net: object, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Paths: `bare` has no manifest; `float32`, `int8`, `uint8`, `int8_float_io` and `onnx` have one."""
    from edgecv.convert.embed import embed_tflite

    folder = tmp_path_factory.mktemp("models")
    plain = {
        "float32": convert(net),
        "int8": convert(net, "int8"),
        "uint8": convert(net, "uint8"),
        "int8_float_io": convert(net, "float32"),
    }
    made = {"bare": _write(folder / "bare.tflite", plain["float32"])}
    for name, data in plain.items():
        scheme = "float32" if name == "float32" else "int8"
        made[name] = _write(folder / f"{name}.tflite", embed_tflite(data, manifest("tflite", scheme)))
    made["onnx"] = _write(folder / "model.onnx", onnx_model(manifest("onnx", "float32")))
    return SimpleNamespace(**made)


@pytest.fixture
def golden(files: SimpleNamespace, image: np.ndarray, tmp_path: Path) -> Path:
    """The float32 file with one golden vector: what it answers to `image`."""
    from edgecv import runtime
    from edgecv.convert.embed import embed_tflite

    with runtime.load(files.float32) as model:
        answers = zip(model.outputs, model.predict(image).outputs, strict=True)
        outputs = tuple(pack_output(info.name, output) for info, output in answers)
        vector = Golden(inputs=(pack_array(image),), outputs=outputs)
    changed = manifest("tflite", "float32", golden=(vector,))
    return _write(tmp_path / "golden.tflite", embed_tflite(files.float32.read_bytes(), changed))


def convert(model: object, io_dtype: str | None = None) -> bytes:
    """Convert with the stock converter; with `io_dtype`, to static int8 with inputs and outputs of that dtype."""
    from edgecv.modelio import env

    tf = env.tensorflow()
    function = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec((1, 8, 8, 1))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
    if io_dtype:
        random = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([random.random((1, 8, 8, 1), np.float32)] for _ in range(20))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io_dtype)
    return converter.convert()


def onnx_model(
    content: Manifest | None, input_shape: tuple[object, ...] = (1, 8, 8, 1), op: str = "Flatten", io_type: int = 1
) -> bytes:
    """Return an ONNX classifier: Flatten, Gemm, Softmax with fixed random weights."""
    import onnx
    from onnx import helper, numpy_helper

    weights = np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["real"], to=1),
        helper.make_node(op, ["real"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"]),
    ]
    ends = ("x", io_type, input_shape), ("y", 1, (input_shape[0], 5))
    values = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in ends]
    graph = helper.make_graph(nodes, "tiny", values[:1], values[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if content is not None:
        from edgecv.convert.embed import embed_onnx

        return embed_onnx(model.SerializeToString(), content)
    assert isinstance(model, onnx.ModelProto)
    return model.SerializeToString()


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
