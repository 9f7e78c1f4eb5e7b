"""What is not imported: all at once, by node, with a reason and a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgecv.core.errors import ConfigError, EdgecvError, UnsupportedModelError
from edgecv.modelio.onnx import import_onnx
from tests.modelio.onnx.graphs_by_hand import Branches


def _refusal(path: Path, **options: object) -> EdgecvError:
    with pytest.raises(EdgecvError) as raised:
        import_onnx(path, **options)  # type: ignore[arg-type]
    return raised.value


def test_every_node_is_named(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 5, 6)})
    first = g.node("TopK", "x", g.hold([2]), outputs=2)
    second = g.node("RandomNormalLike", first[0])
    third = g.node("Conv", "x", g.node("Reshape", "x", g.hold((1, 4, 5, 6))))
    g.ends(second, third)
    found = _refusal(g.written(tmp_path / "net.onnx"))
    assert isinstance(found, UnsupportedModelError)
    for node in ("TopK 'topk0_0'", "RandomNormalLike", "Conv"):
        assert node in found.message
    assert "its kernel is computed in the graph" in found.message


def test_a_quantised_file_names_its_original(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4)})
    g.ends(g.node("Relu", "x"))
    g.written(tmp_path / "net.onnx")
    q = Branches({"x": (1, 4)})
    zero = q.hold(0, np.uint8)
    q.ends(q.node("DequantizeLinear", q.node("QuantizeLinear", "x", q.hold(0.1), zero), q.hold(0.1), zero))
    found = _refusal(q.written(tmp_path / "net_int8.onnx"))
    assert "QuantizeLinear" in found.message
    assert found.hint == f"give the float file that it was made from: {tmp_path / 'net.onnx'}"
    assert "made from" in _refusal(q.written(tmp_path / "other.onnx")).hint


def test_an_operator_that_onnx_runtime_lacks_is_told_with_a_way_out(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4)})
    g.ends(g.node("Frobnicate", "x"))
    found = _refusal(g.written(tmp_path / "net.onnx"))
    assert isinstance(found, UnsupportedModelError)
    assert "Frobnicate" in found.message
    assert "export it again" in found.hint


def test_open_sizes_are_asked_for(tmp_path: Path) -> None:
    g = Branches({"x": ("batch", 3, "h", "w")})
    g.ends(g.node("GlobalAveragePool", g.node("Conv", "x", g.random(2, 3, 3, 3))))
    path = g.written(tmp_path / "net.onnx")
    found = _refusal(path)
    assert isinstance(found, ConfigError)
    assert "--input-size" in found.hint
    assert tuple(import_onnx(path, input_size=(12, 16)).model.inputs[0].shape) == (None, 12, 16, 3)
    fixed = Branches({"x": (1, 3, 8, 8)})
    fixed.ends(fixed.node("Relu", "x"))
    assert "leave --input-size out" in _refusal(fixed.written(tmp_path / "fixed.onnx"), input_size=(9, 9)).hint


def test_another_answer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    g = Branches({"x": (1, 3, 8, 8)})
    g.ends(g.node("LeakyRelu", "x", alpha=0.1))
    path = g.written(tmp_path / "net.onnx")
    from edgecv.modelio.onnx import rules

    monkeypatch.setitem(rules.RULES, "LeakyRelu", rules.RULES["Relu"])  # type: ignore[arg-type]
    found = _refusal(path)
    assert "differs from ONNX Runtime by" in found.message
    assert "--allow-difference" in found.hint
    assert import_onnx(path, allow_difference=1.0).differences[0].relative > 1e-2


@pytest.mark.parametrize(
    "content", [b"", b"\x08", b"\x08\x08", b"not a model at all", b"\x08\x07" + bytes(200)], ids=lambda c: str(len(c))
)
def test_what_is_no_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert "cannot be read" in _refusal(path).message


def test_weights_that_lie_elsewhere(tmp_path: Path) -> None:
    g = Branches({"x": (1, 3, 8, 8)})
    g.ends(g.node("Conv", "x", g.random(40, 3, 3, 3)))
    onnx.save(g.model(), tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    assert import_onnx(tmp_path / "net.onnx").differences[0].relative < 1e-5
    (tmp_path / "net.data").unlink()
    assert "weights" in _refusal(tmp_path / "net.onnx").message


def test_a_branch_that_sizes_decide_is_opened(tmp_path: Path) -> None:
    g = Branches({"x": (1, 4, 1)})
    size = g.node("Gather", g.node("Shape", "x"), g.hold(2))
    one = g.node("Equal", size, g.hold(1))

    def branch(op: str, *inputs: str) -> onnx.GraphProto:
        node = helper.make_node(op, list(inputs), ["made"])
        return helper.make_graph([node], op, [], [helper.make_tensor_value_info("made", TensorProto.FLOAT, None)])

    squeezed = g.node("If", one, then_branch=branch("Squeeze", "x", g.hold([2])), else_branch=branch("Identity", "x"))
    g.ends(g.node("Relu", squeezed))
    assert tuple(import_onnx(g.written(tmp_path / "net.onnx")).model.outputs[0].shape) == (None, 4)
