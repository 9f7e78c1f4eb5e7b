"""uint8 activations: the same answers, integer kernels on every processor, and what must stay signed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.convert.onnx.unsigned import with_unsigned_activations

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


helper, INT8, UINT8, FLOAT = onnx.helper, onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT


def constant(name: str, value: Any, dtype: Any) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(value, dtype), name)


def quantised(name: str, source: str, scale: str = "s", zero: str = "z") -> list[Any]:
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", scale, zero], [name]),
    ]


def graph(
    nodes: list[Any], *, shape: tuple[int, ...] = (1, 2, 4, 4), output_type: Any = FLOAT, more: tuple[Any, ...] = ()
) -> Any:
    """Return a model from x (1, 2, 4, 4) over `nodes`, with the weight DequantizeLinear "w" of a 1x1 convolution."""
    rng = np.random.default_rng(0)
    initializers = [
        constant("s", 0.05, np.float32), constant("z", -100, np.int8), constant("ws", 0.1, np.float32),
        constant("w_q", rng.integers(-90, 90, (2, 2, 1, 1)), np.int8), *more,
    ]  # fmt: skip
    weight = helper.make_node("DequantizeLinear", ["w_q", "ws", "z"], ["w"])
    made = helper.make_graph(
        [weight, *nodes],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, (1, 2, 4, 4))],
        [helper.make_tensor_value_info("y", output_type, shape)],
        initializers,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CONVOLVED = [
    *quantised("a", "x"),
    helper.make_node("Conv", ["a", "w"], ["c"]),
    *quantised("b", "c"),
]


def answers(proto: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, {"x": np.random.default_rng(1).normal(size=(1, 2, 4, 4)).astype(np.float32)})[0]


def types(proto: Any) -> dict[str, int]:
    """Return the type of each quantised tensor, by its zero point."""
    constants = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    return {
        node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]: constants[node.input[2]]
        for node in proto.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    }


def changed(proto: Any) -> Any:
    """Return the model after the change, having checked that it is valid and answers alike, to the last bit."""
    before = answers(proto)
    with_unsigned_activations(proto)
    onnx.checker.check_model(proto, full_check=True)
    np.testing.assert_array_equal(answers(proto), before)
    return proto


def test_activations_change_and_weights_that_share_their_zero_point_do_not() -> None:
    found = types(changed(graph([*CONVOLVED, helper.make_node("Relu", ["b"], ["y"])])))
    assert found == {"w_q": INT8, "a_q": UINT8, "b_q": UINT8}


def test_operators_that_hand_values_on_take_the_new_type() -> None:
    nodes = [
        *CONVOLVED[:-1],
        helper.make_node("Transpose", ["b_q"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "shape"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    found = types(changed(graph(nodes, shape=(1, 32), more=(constant("shape", [1, 32], np.int64),))))
    assert found == {"w_q": INT8, "a_q": UINT8, "b_q": UINT8, "r": UINT8}


def test_a_signed_output_stays_signed_with_all_that_is_handed_on_to_it() -> None:
    nodes = [*CONVOLVED[:-1], helper.make_node("Transpose", ["b_q"], ["y"], perm=[0, 2, 3, 1])]
    found = types(changed(graph(nodes, shape=(1, 4, 4, 2), output_type=INT8)))
    assert found == {"w_q": INT8, "a_q": UINT8, "b_q": INT8}


def test_an_operator_that_computes_on_integers_keeps_its_inputs_signed() -> None:
    nodes = [
        *CONVOLVED[:-1],
        helper.make_node("Clip", ["b_q", "low"], ["clipped"]),
        helper.make_node("DequantizeLinear", ["clipped", "s", "z"], ["y"]),
    ]
    found = types(changed(graph(nodes, more=(constant("low", -50, np.int8),))))
    assert found == {"w_q": INT8, "a_q": UINT8, "b_q": INT8, "clipped": INT8}


def test_the_zero_points_nobody_reads_go() -> None:
    nodes = [*CONVOLVED, helper.make_node("Relu", ["b"], ["y"])]
    proto = graph(nodes)
    proto.graph.node[0].input[2] = "wz"
    proto.graph.initializer.append(constant("wz", 0, np.int8))
    names = {tensor.name for tensor in changed(proto).graph.initializer}
    assert names == {"s", "ws", "w_q", "wz", "z_unsigned"}
