"""Shared zero points get copies, with which ONNX Runtime sums exactly; without them it still opens the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.convert.onnx.own_zero_points import with_own_zero_points
from edgecv.runtime.engines.onnx import CPU, open_inference

onnx = pytest.importorskip("onnx")
WIDTH = 64


def two_products() -> Any:
    """x times a matrix, times another one; both weights of int8 read one tensor of zero points."""
    helper, of = onnx.helper, onnx.numpy_helper.from_array
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["d"]),
    ]
    constants = [of(np.float32(1), "s"), of(np.uint8(0), "zero"), of(np.zeros(WIDTH, np.int8), "shared")]
    constants += [of(np.ones(WIDTH, np.float32), "scales")]
    previous, step = "d", 1.0
    for name in ("a", "b"):
        step *= 10000.0 if name == "a" else 8000.0
        constants += [of(np.full((WIDTH, WIDTH), 127, np.int8), name), of(np.float32(step), f"{name}_step")]
        nodes += [
            helper.make_node("DequantizeLinear", [name, "scales", "shared"], [f"{name}_weights"], axis=1),
            helper.make_node("MatMul", [previous, f"{name}_weights"], [f"{name}_sum"]),
            helper.make_node("QuantizeLinear", [f"{name}_sum", f"{name}_step", "zero"], [f"{name}_q"]),
            helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_step", "zero"], [f"{name}_y"]),
        ]
        previous = f"{name}_y"
    float32 = onnx.TensorProto.FLOAT
    given, found = (helper.make_tensor_value_info(n, float32, [1, WIDTH]) for n in ("x", "b_y"))
    graph = helper.make_graph(nodes, "products", [given], [found], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(proto: Any, folder: Path) -> np.ndarray:
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    session = open_inference(str(path), 1, [CPU])
    (found,) = session.run(None, {"x": np.full((1, WIDTH), 255, np.float32)})
    return np.asarray(found)


def test_sums_are_exact_with_zero_points_of_their_own(tmp_path: Path) -> None:
    proto = two_products()
    with_own_zero_points(proto)
    onnx.checker.check_model(proto)
    read = {node.input[2] for node in proto.graph.node if node.output[0].endswith("_weights")}
    assert len(read) == 2
    first = round(WIDTH * 255 * 127 / 1e4) * 1e4
    assert answer(proto, tmp_path).tolist() == [[round(WIDTH * first * 127 / 8e7) * 8e7] * WIDTH]


def test_what_shares_nothing_stays_as_it_is() -> None:
    proto = two_products()
    with_own_zero_points(proto)
    once = proto.SerializeToString()
    with_own_zero_points(proto)
    assert proto.SerializeToString() == once


def test_a_file_of_another_tool_that_shares_them_is_opened_all_the_same(tmp_path: Path) -> None:
    assert answer(two_products(), tmp_path).shape == (1, WIDTH)
