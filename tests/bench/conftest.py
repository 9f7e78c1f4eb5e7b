from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.bench import BenchCase


@pytest.fixture
def case_of(tmp_path: Path):
    """Return a function from a name to a case whose file holds that name: what a FakeDevice needs."""

    def make(name: str, **fields: object) -> BenchCase:
        path = tmp_path / name
        path.write_text(name)
        return BenchCase(name=name, path=str(path), **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one Gemm, float32 (1, 4) -> (1, 3), for ONNX Runtime."""
    onnx = pytest.importorskip("onnx", reason="onnx writes the model")
    pytest.importorskip("onnxruntime", reason="onnxruntime runs it")
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"])],
        "gemm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path_factory.mktemp("models") / "gemm.onnx"
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def tflite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one dense layer, float32 (1, 4) -> (1, 3), from the stock converter."""
    pytest.importorskip("tensorflow", reason="tensorflow writes the model")
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert runs it")
    from edgecv.modelio.env import tensorflow

    tf = tensorflow()

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    def dense(x):
        return tf.matmul(x, tf.ones((4, 3)))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([dense.get_concrete_function()])
    path = tmp_path_factory.mktemp("models") / "dense.tflite"
    path.write_bytes(converter.convert())
    return path
