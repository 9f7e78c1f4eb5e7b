"""int8 operators in the forms that XNNPACK takes: the same function; left alone where it would be another one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecv.convert import convert
from edgecv.convert.tflite.xnnpack_forms import in_forms_of_xnnpack
from edgecv.graphs import read_graph, read_tflite
from edgecv.targets import inspect
from tests.graphs.tiny import N, Net, T, build, options

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")


def one(op: str, scale: float, zero: int, step: float, *, lowest: int = -128, dtype: str = "int8") -> bytes:
    """Return a file of one operator over 256 values: its input's quantisation, its output's step and zero point."""
    tensors = {"x": T((1, 256), dtype, scale, zero_point=zero), "y": T((1, 256), dtype, step, zero_point=lowest)}
    return build(Net(tensors, [N(op, ["x"], ["y"])]))


def answers(data: bytes, *, own: bool = False) -> np.ndarray:
    """Return what a file answers to all integers, on the interpreter's own kernels where `own`."""
    kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if own else litert.OpResolverType.AUTO
    interpreter = litert.Interpreter(model_content=data, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], np.arange(-128, 128, dtype=np.int8)[None])
    interpreter.invoke()
    return interpreter.get_tensor(made["index"])[0].astype(np.int64)


@pytest.mark.parametrize("op", ["RELU", "RELU6"])
@pytest.mark.parametrize(
    ("scale", "zero", "step"),
    [(0.0203, -6, 0.0106), (0.05, 0, 6 / 255), (0.01, 40, 0.0234), (0.0235, -128, 0.0235), (0.3, 5, 0.02)],
)
def test_every_answer_is_within_a_step_of_the_function(op: str, scale: float, zero: int, step: float) -> None:
    plain = one(op, scale, zero, step)
    made = in_forms_of_xnnpack(plain)
    assert [op.op for op in read_tflite(made).ops] == ["QUANTIZE"]
    x = (np.arange(-128, 128) - zero) * scale
    truth = np.clip(np.clip(x, 0, 6 if op == "RELU6" else None) / step - 128, -128, 127)
    for found in (answers(plain), answers(made), answers(made, own=True)):
        # Kernels round the ratio of the scales too: the interpreter's own twice, XNNPACK's to 1/256.
        assert np.abs(found - truth).max() < 1


@pytest.mark.parametrize(
    "plain",
    [
        one("RELU6", 0.05, 0, 0.05),  # 255 steps reach 12.75
        one("RELU", 0.05, 0, 0.05, lowest=-100),  # 28 steps below zero
        one("RELU", 100.0, 0, 0.5),  # XNNPACK does not take a scale so large
        one("RELU", 0.05, 0, 0.05, dtype="int16"),
        one("TANH", 0.05, 0, 1 / 128),
    ],
    ids=["wider than 6", "another zero point", "scales too far apart", "int16", "another operator"],
)
def test_what_is_no_requantising_stays(plain: bytes) -> None:
    assert in_forms_of_xnnpack(plain) is plain


def pool(
    padding: int, size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], *, fused: int = 0
) -> bytes:
    """Return a file of one AVERAGE_POOL_2D over 5 channels; `padding` as the schema has it: 0 same, 1 valid."""
    made = tuple((s - w) // t + 1 if padding else -(-s // t) for s, w, t in zip(size, window, stride, strict=True))
    tensors = {
        "x": T((1, *size, 5), scale=0.03, zero_point=-7),
        "y": T((1, *made, 5), scale=0.03, zero_point=-7),
    }
    how = options(
        "Pool2DOptions", padding=padding, filterHeight=window[0], filterWidth=window[1], strideH=stride[0],
        strideW=stride[1], fusedActivationFunction=fused,
    )  # fmt: skip
    return build(Net(tensors, [N("AVERAGE_POOL_2D", ["x"], ["y"], how, 2)]))


@pytest.mark.parametrize(
    "given",
    [((8, 12), (2, 2), (2, 2)), ((9, 7), (3, 3), (1, 1)), ((7, 7), (7, 7), (1, 1)), ((10, 11), (2, 5), (3, 1))],
    ids=str,
)
def test_pools_inside_the_map_are_convolutions(given) -> None:
    plain = pool(1, *given)
    made = in_forms_of_xnnpack(plain)
    assert [op.op for op in read_tflite(made).ops] == ["DEPTHWISE_CONV_2D"]
    assert np.abs(pooled(made) - pooled(plain)).max() <= 1


def test_same_padding_that_pads_nothing_is_one_too() -> None:
    made = in_forms_of_xnnpack(pool(0, (8, 12), (2, 3), (2, 3)))
    assert [op.op for op in read_tflite(made).ops] == ["DEPTHWISE_CONV_2D"]


@pytest.mark.parametrize(
    "plain",
    [pool(0, (8, 8), (3, 3), (1, 1)), pool(0, (7, 8), (2, 2), (2, 2)), pool(1, (8, 8), (2, 2), (2, 2), fused=1)],
    ids=["padded", "padded at one end", "with a RELU"],
)
def test_other_pools_stay(plain: bytes) -> None:
    assert in_forms_of_xnnpack(plain) is plain


def pooled(data: bytes) -> np.ndarray:
    interpreter = litert.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    values = np.random.default_rng(0).integers(-128, 128, given["shape"]).astype(np.int8)
    interpreter.set_tensor(given["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(made["index"]).astype(np.int64)


@pytest.fixture
def before_activation(source):
    """The source with a residual unit in front of its output: a sum, a ReLU of it, and the sum again."""
    from edgecv.modelio import env

    keras = env.keras()
    (hidden,) = [layer.output for layer in source.model.layers if layer.name == "hidden"]
    width = hidden.shape[-1]
    total = keras.layers.Add(name="total")([hidden, keras.layers.Dense(width, name="first")(hidden)])
    cut = keras.layers.ReLU(name="cut")(total)
    unit = keras.layers.Add(name="unit")([total, keras.layers.Dense(width, name="second")(cut)])
    last = source.model.layers[-1]
    fresh = type(last).from_config(last.get_config())
    model = keras.Model(source.model.input, fresh(unit), name=source.model.name)
    fresh.set_weights(last.get_weights())
    return replace(source, model=model)


@pytest.mark.parametrize(("target", "op"), [("cpu", "QUANTIZE"), ("edgetpu", "RELU")])
def test_of_a_cpu_file_xnnpack_computes_all_but_the_softmax(
    before_activation, dataset, spec, minmax, tmp_path, target, op
) -> None:
    made = convert(
        before_activation, format="tflite", scheme="int8", method="ptq", out=tmp_path / "m.tflite",
        calibration=minmax, dataset=dataset, spec=spec, target=target,
    )  # fmt: skip
    ops = read_graph(made.path).ops
    (place,) = [i for i, layer in enumerate(made.manifest.layer_map) if layer == "cut"]
    assert ops[place].op == op
    assert made.check.sqnr_db > 20
    if target == "cpu":
        found = inspect(made.path, "cpu").ops
        assert [one.op for one in found if not one.status.startswith("Delegated")] == ["SOFTMAX"]
