from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.graphs import constant, read_tflite
from tests.graphs.tiny import N, Net, T, build, lenet, options

LENET = build(lenet())


def test_reads_operators_options_and_quantisation() -> None:
    graph = read_tflite(LENET)
    assert [op.op for op in graph.ops][:3] == ["CONV_2D", "TANH", "AVERAGE_POOL_2D"]
    pool = graph.ops[2]
    assert pool.version == 2
    assert (pool.options["padding"], pool.options["stride_w"]) == ("VALID", 2)
    assert graph.ops[6].options["fused_activation_function"] == "RELU"
    assert graph.ops[7].inputs[2] == -1
    weights = graph.tensors[graph.ops[0].inputs[1]]
    assert len(weights.scales) == len(weights.zero_points) == 6
    image = graph.tensors[graph.inputs[0]]
    assert (image.shape, image.shape_signature, image.is_static) == ((1, 28, 28, 1), (-1, 28, 28, 1), False)


def test_agrees_with_the_interpreter_on_every_tensor(tmp_path) -> None:
    module = pytest.importorskip("ai_edge_litert.interpreter")
    path = tmp_path / "m.tflite"
    path.write_bytes(LENET)
    plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(str(path), experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    theirs = {d["index"]: d for d in interpreter.get_tensor_details()}
    for tensor in read_tflite(path).tensors:
        found = theirs[tensor.index]
        assert (tensor.name, tensor.shape) == (found["name"], tuple(found["shape"]))
        assert tensor.dtype == np.dtype(found["dtype"]).name
        assert tensor.scales == pytest.approx(found["quantization_parameters"]["scales"])


def test_constant_is_a_view_of_the_stored_values() -> None:
    net = Net(
        {"x": T((1, 2)), "w": T((2, 2), data=np.array([[1, -2], [3, 4]], np.int8)), "y": T((1, 2))},
        [N("FULLY_CONNECTED", ["x", "w", ""], ["y"], options("FullyConnectedOptions"))],
    )
    graph = read_tflite(build(net))
    values = constant(graph, 1)
    assert values.tolist() == [[1, -2], [3, 4]]
    assert not values.flags.owndata
    assert not values.flags.writeable
    with pytest.raises(UnsupportedModelError, match="not a constant"):
        constant(graph, 0)


def test_unpacks_four_bit_values_low_half_first() -> None:
    net = Net(
        {"x": T((1, 3)), "w": T((1, 3), "int4", data=np.array([0x8F, 0x07], np.uint8)), "y": T((1, 1))},
        [N("FULLY_CONNECTED", ["x", "w", ""], ["y"], options("FullyConnectedOptions"))],
    )
    assert constant(read_tflite(build(net)), 1).tolist() == [[-1, -8, 7]]


def test_operator_code_is_the_larger_of_both_fields() -> None:
    old = Net({"x": T((1, 4)), "y": T((1, 4))}, [N("TANH", ["x"], ["y"])], deprecated_codes_only=True)
    new = Net({"x": T((1, 4)), "y": T((1, 4))}, [N("GELU", ["x"], ["y"])])  # builtin 150: the old field holds 127
    assert read_tflite(build(old)).ops[0].op == "TANH"
    assert read_tflite(build(new)).ops[0].op == "GELU"


def test_custom_operator_goes_by_its_code() -> None:
    graph = read_tflite(build(Net({"x": T((1,)), "y": T((1,))}, [N("FlexErf", ["x"], ["y"])])))
    assert (graph.ops[0].op, graph.ops[0].is_custom) == ("FlexErf", True)


@pytest.mark.parametrize("content", [b"", b"hello", b"model = 3\n" * 50, b"\x00\x00\x00\x00TFL3", b"\xff" * 64])
def test_foreign_content_is_one_clear_error(tmp_path, content) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=r"m\.tflite"):
        read_tflite(path)


def test_missing_file_is_a_config_error(tmp_path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_tflite(tmp_path / "none.tflite")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(LENET) - 5))
def test_truncation_is_refused(length: int) -> None:
    # The builder writes weights last but for a few bytes of padding, so every real cut loses something.
    with pytest.raises(UnsupportedModelError):
        read_tflite(LENET[:length])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(8, len(LENET) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_corruption_never_escapes_as_another_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(LENET)
    for position, value in changes:
        data[position % 4000 + 8] = value  # structure sits in front of the weights
    try:
        graph = read_tflite(bytes(data))
    except UnsupportedModelError:
        return
    for op in graph.ops:
        assert all(-1 <= t < len(graph.tensors) for t in (*op.inputs, *op.outputs))
