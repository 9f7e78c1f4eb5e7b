import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.convert import artifact, convert
from edgecv.convert.check.structure import check_answers, check_structure, golden_tolerance, sqnr_db
from edgecv.core.errors import ConversionError
from edgecv.graphs import Graph, Op, Tensor


def tensor(index, name, dtype="int8", shape=(1, 4), constant=False):
    return Tensor(
        index=index, name=name, shape=shape, shape_signature=shape, dtype=dtype, is_constant=constant, size_bytes=4
    )


def graph(tensors, op="RELU", custom=False):
    operator = Op(index=0, op=op, version=1, inputs=(0,), outputs=(1,), is_custom=custom)
    return Graph(format="tflite", ops=(operator,), tensors=tensors, inputs=(0,), outputs=(1,))


def test_a_whole_int8_graph_passes():
    check_structure(graph((tensor(0, "in"), tensor(1, "out"))), scheme="int8", io_dtype="int8")


def test_an_empty_constant_is_no_dynamic_shape():
    """ONNX's Resize has an empty region among its inputs."""
    tensors = (tensor(0, "in"), tensor(1, "out"), tensor(2, "roi", "float32", (0,), True))
    op = Op(index=0, op="Resize", version=1, inputs=(0, 2), outputs=(1,))
    check_structure(
        Graph(format="tflite", ops=(op,), tensors=tensors, inputs=(0,), outputs=(1,)),
        scheme="float32",
        io_dtype="float32",
    )


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (graph((tensor(0, "in"), tensor(1, "out")), op="Flexible", custom=True), "custom operators .Flexible."),
        (graph((tensor(0, "in"), tensor(1, "out", dtype="float32"))), "'out' is float32, expected int8"),
        (graph((tensor(0, "in"), tensor(1, "out", shape=(1, -1)))), "dynamic shape"),
        (graph((tensor(0, "in", shape=(2, 4)), tensor(1, "out"))), "expected batch 1"),
    ],
)
def test_broken_promises_are_named(broken, message):
    with pytest.raises(ConversionError, match=message):
        check_structure(broken, scheme="int8", io_dtype="int8")


def test_an_int8_graph_of_conversions_alone_fails():
    tensors = (tensor(0, "in"), tensor(1, "out"), tensor(2, "hidden", dtype="float32"))
    ops = (
        Op(index=0, op="DEQUANTIZE", version=1, inputs=(0,), outputs=(2,)),
        Op(index=1, op="QUANTIZE", version=1, inputs=(2,), outputs=(1,)),
    )
    inside = Graph(format="tflite", ops=ops, tensors=tensors, inputs=(0,), outputs=(1,))
    with pytest.raises(ConversionError, match="no operator became integer"):
        check_structure(inside, scheme="int8", io_dtype="int8")


def test_a_float_kernel_in_a_qdq_graph_fails():
    tensors = (
        tensor(0, "in", dtype="float32"), tensor(1, "out", dtype="float32"),
        tensor(2, "weights", dtype="float32", constant=True),
    )  # fmt: skip
    conv = Op(index=0, op="Conv", version=17, inputs=(0, 2), outputs=(1,))
    qdq = Graph(format="onnx", ops=(conv,), tensors=tensors, inputs=(0,), outputs=(1,))
    with pytest.raises(ConversionError, match="1 kernels stayed float in an int8 file, expected 0: out"):
        check_structure(qdq, scheme="int8", io_dtype="float32")
    check_structure(qdq, scheme="int8", io_dtype="float32", float_kernels=1)


@pytest.mark.parametrize(("other", "fails"), [("DequantizeLinear", False), ("Relu", True)])
def test_a_product_of_two_activations_takes_both_from_integers(other, fails):
    """MatMul of attention has no weights: each side comes from DequantizeLinear, moved or not."""
    names = ("query", "key", "deq_query", "deq_key", "turned", "product")
    tensors = tuple(tensor(place, name, dtype="float32") for place, name in enumerate(names))
    ops = (
        Op(index=0, op="DequantizeLinear", version=17, inputs=(0,), outputs=(2,)),
        Op(index=1, op=other, version=17, inputs=(1,), outputs=(3,)),
        Op(index=2, op="Transpose", version=17, inputs=(3,), outputs=(4,)),
        Op(index=3, op="MatMul", version=17, inputs=(2, 4), outputs=(5,)),
    )
    graph = Graph(format="onnx", ops=ops, tensors=tensors, inputs=(0, 1), outputs=(5,))
    if not fails:
        return check_structure(graph, scheme="int8", io_dtype="float32")
    with pytest.raises(ConversionError, match="stayed float in an int8 file, expected 0: product"):
        check_structure(graph, scheme="int8", io_dtype="float32")


def test_sqnr_by_hand():
    # Signal around its mean: 1 + 1; noise: 0.1 ** 2 twice: 20 dB.
    assert sqnr_db(np.array([1.0, 3.0]), np.array([1.1, 2.9])) == pytest.approx(20.0)
    assert sqnr_db(np.array([1.0, 3.0]), np.array([1.0, 3.0])) == math.inf
    assert sqnr_db(np.array([2.0, 2.0]), np.array([1.0, 3.0])) == -math.inf


@given(st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_sqnr_does_not_depend_on_scale_or_offset(scale, offset):
    reference, answers = np.array([0.0, 1.0, 4.0]), np.array([0.5, 1.0, 3.0])
    moved = sqnr_db(reference * scale + offset, answers * scale + offset)
    assert moved == pytest.approx(sqnr_db(reference, answers), abs=1e-3)


def answers_of(values):
    return [np.array(values, np.float32)]


def judge(reference, got, scheme="int8", method="ptq", step=None):
    return check_answers(
        answers_of(reference), answers_of(got), names=("out",), scheme=scheme, method=method, steps=(step,)
    )


def test_int8_thresholds():
    reference = [[0.0, 1.0], [1.0, 0.0]]
    assert judge(reference, [[0.1, 0.9], [0.9, 0.1]]).max_abs_diff == pytest.approx(0.1)
    with pytest.raises(ConversionError, match=r"(?s)output 'out' has a signal .* sample, 1, differs by 0\.9"):
        judge(reference, [[0.1, 0.9], [0.1, 0.9]])


def test_a_few_output_steps_are_always_allowed():
    reference, coarse = [[0.10, 0.11], [0.11, 0.10]], [[0.12, 0.09], [0.09, 0.12]]
    judge(reference, coarse, step=0.01)
    with pytest.raises(ConversionError, match="signal to quantisation noise"):
        judge(reference, coarse, step=0.001)


def test_float_thresholds():
    judge([[100.0, 0.0]], [[100.005, 0.0]], scheme="float32", method="none")
    with pytest.raises(ConversionError, match=r"differs from the source by 0\.0[0-9]+ on sample 0, allowed 0\.01"):
        judge([[100.0, 0.0]], [[100.05, 0.0]], scheme="float32", method="none")


def test_answers_that_are_not_finite_fail():
    with pytest.raises(ConversionError, match="not finite"):
        judge([[1.0]], [[math.nan]], scheme="float32", method="none")


def test_golden_tolerances():
    outputs = answers_of([0.5, 20.0])
    assert golden_tolerance("int8", outputs, 0.25) == 0.5
    assert golden_tolerance("float32", outputs, None) == pytest.approx(2e-3)


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_a_file_of_another_model_fails_and_leaves_nothing(tmp_path, monkeypatch, source, dataset, spec, minmax, scheme):
    # The reference is shifted by one class, as that of a model with other weights would be.
    honest = artifact._keras_answers
    monkeypatch.setattr(artifact, "_keras_answers", lambda *a: [np.roll(x, 1, axis=1) for x in honest(*a)])
    with pytest.raises(ConversionError, match="output 'side'"):
        convert(
            source, format="tflite", scheme=scheme, method="ptq", out=tmp_path / "m.tflite",
            calibration=minmax, dataset=dataset, spec=spec,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
