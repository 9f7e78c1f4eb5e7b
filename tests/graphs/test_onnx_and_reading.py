from __future__ import annotations

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.graphs import constant, read_graph, read_onnx
from tests.graphs.tiny import build, lenet

onnx = pytest.importorskip("onnx")


def model(batch: int | str = 1) -> bytes:
    h = onnx.helper
    weights = onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "w")
    nodes = [
        h.make_node("Gemm", ["x", "w", ""], ["z"], transB=1),
        h.make_node("Relu", ["z"], ["y"]),
        h.make_node("Odd", ["y"], ["o"], domain="own", text="abc", numbers=[1, 2]),
    ]
    value = h.make_tensor_value_info
    graph = h.make_graph(
        nodes, "g", [value("x", 1, [batch, 2])], [value("o", 1, [batch, 3])], [weights],
        value_info=[value("z", 1, [batch, 3]), value("y", 1, [batch, 3])],
    )  # fmt: skip
    opsets = [h.make_opsetid("", 13), h.make_opsetid("own", 2)]
    return h.make_model(graph, opset_imports=opsets).SerializeToString()


def test_reads_nodes_attributes_and_initializers(tmp_path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model())
    graph = read_onnx(path)
    assert [(op.op, op.version, op.is_custom) for op in graph.ops] == [
        ("Gemm", 13, False), ("Relu", 13, False), ("Odd", 2, True),
    ]  # fmt: skip
    assert graph.ops[0].inputs[2] == -1
    assert graph.ops[2].options == {"text": "abc", "numbers": (1, 2)}
    weights = graph.tensors[graph.ops[0].inputs[1]]
    assert (weights.dtype, weights.shape, weights.size_bytes) == ("float32", (3, 2), 24)
    assert constant(graph, weights.index)[2].tolist() == [4, 5]
    assert [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)] == ["x", "o"]


def test_open_dimension_is_minus_one(tmp_path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model("batch"))
    graph = read_onnx(path)
    assert graph.tensors[graph.inputs[0]].shape == (-1, 2)
    assert not graph.tensors[graph.inputs[0]].is_static


@pytest.mark.parametrize("content", [b"", b"this is text, not a model\n", model()[:40]])
def test_foreign_or_truncated_onnx_is_one_clear_error(tmp_path, content) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=r"m\.onnx"):
        read_graph(path)


def test_read_graph_goes_by_suffix(tmp_path) -> None:
    (tmp_path / "m.tflite").write_bytes(build(lenet()))
    (tmp_path / "m.onnx").write_bytes(model())
    (tmp_path / "m.txt").write_bytes(b"x")
    assert read_graph(tmp_path / "m.tflite").format == "tflite"
    assert read_graph(tmp_path / "m.onnx").format == "onnx"
    with pytest.raises(UnsupportedModelError, match="neither"):
        read_graph(tmp_path / "m.txt")
    with pytest.raises(ConfigError, match="does not exist"):
        read_graph(tmp_path / "none.onnx")
