from __future__ import annotations

import pytest

from edgecv.targets import inspect
from tests.graphs.tiny import N, Net, T, build, lenet, options

pytest.importorskip("ai_edge_litert")


def test_tells_xnnpack_from_builtin_kernels(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(lenet()))
    found = inspect(path, "cpu")
    status = {op.op: op.status for op in found.ops}
    assert found.n_mapped == found.n_ops
    assert {op.certainty for op in found.ops} == {"accelerator"}
    assert found.kind == "measured"
    assert status["CONV_2D"] == "Delegated to XNNPACK"
    assert status["SOFTMAX"] == "Builtin kernel"  # XNNPACK has no int8 softmax


def test_custom_operator_is_not_mapped(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    tensors = {n: T((1, 4), "float32", None) for n in "xay"}
    path.write_bytes(build(Net(tensors, [N("FlexErf", ["x"], ["a"]), N("TANH", ["a"], ["y"])])))
    found = inspect(path, "cpu")
    assert [op.mapped for op in found.ops] == [False, True]
    assert "TensorFlow (select)" in found.ops[0].reason
    assert any("FlexErf" in note for note in found.notes)


def test_file_that_the_interpreter_refuses_is_reported(tmp_path) -> None:
    path = tmp_path / "m.tflite"
    net = Net({"x": T((1, 4)), "y": T((1, 5))}, [N("SOFTMAX", ["x"], ["y"], options("SoftmaxOptions", beta=1.0), 2)])
    path.write_bytes(build(net))
    found = inspect(path, "cpu")
    assert found.kind == "predicted"
    assert any("refuses" in note for note in found.notes)
