"""HARD_SWISH of int8 files as products and an addition: how far that is from the function, and where it is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecv.convert import convert
from edgecv.convert.tflite.hard_swish import without_hard_swish
from edgecv.graphs import read_graph, read_tflite
from tests.graphs.tiny import N, Net, T, build

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")


def one(scale: float, zero: int, step: float, *, dtype: str = "int8") -> bytes:
    """Return a file of one HARD_SWISH over 256 values: its input's quantisation, its output's step."""
    lowest = -0.375  # of the function
    tensors = {
        "x": T((1, 256), dtype, scale, zero_point=zero),
        "y": T((1, 256), dtype, step, zero_point=-128 - round(lowest / step)),
    }
    return build(Net(tensors, [N("HARD_SWISH", ["x"], ["y"])]))


def answers(data: bytes, values: np.ndarray) -> np.ndarray:
    interpreter = litert.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], values[None])
    interpreter.invoke()
    step, zero = made["quantization"]
    return (interpreter.get_tensor(made["index"])[0].astype(np.float64) - zero) * step


@pytest.mark.parametrize(
    ("scale", "zero"), [(12 / 255, 0), (8 / 255, -60), (40 / 255, 3), (2 / 255, 100), (0.7 / 255, -128)]
)
def test_every_input_value_comes_within_the_rounding_of_both_forms(scale: float, zero: int) -> None:
    integers = np.arange(-128, 128, dtype=np.int8)
    x = (integers.astype(np.float64) - zero) * scale
    truth = x * np.clip(x + 3, 0, 6) / 6
    step = max(truth.max() + 0.375, 0.375) / 255
    plain = one(scale, zero, step)
    made = without_hard_swish(plain)
    assert [op.op for op in read_tflite(made).ops] == ["ADD", "MUL", "MUL"]
    # Half a step of the result, and of the gate's 255 steps, which x / 6 multiplies; fixed-point scales add a little.
    allowed = 0.55 * step + 0.55 * np.abs(x) / 255 + 1e-3
    inside = truth <= truth.min() + 255 * step
    assert np.all(np.abs(answers(made, integers) - truth)[inside] <= allowed[inside])
    assert np.abs(answers(plain, integers) - truth)[inside].max() <= 2 * step


def test_two_of_them_share_their_constants() -> None:
    tensors = {name: T((1, 8), scale=0.05) for name in ("x", "a", "y")}
    made = read_tflite(
        without_hard_swish(build(Net(tensors, [N("HARD_SWISH", ["x"], ["a"]), N("HARD_SWISH", ["a"], ["y"])])))
    )
    assert [op.op for op in made.ops] == ["ADD", "MUL", "MUL"] * 2
    assert sum(tensor.is_constant for tensor in made.tensors) == 2


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_other_types_stay_as_they_are(dtype: str) -> None:
    tensors = {name: T((1, 8), dtype, None if dtype == "float32" else 0.05) for name in ("x", "y")}
    plain = build(Net(tensors, [N("HARD_SWISH", ["x"], ["y"])]))
    assert without_hard_swish(plain) is plain


@pytest.fixture
def swish(source):
    """The source with a HardSwish in front of its output, under the same names."""
    from edgecv.modelio import env
    from edgecv.modelio.layers import HardSwish

    keras = env.keras()
    layers = [layer for layer in source.model.layers if layer.name == "hidden"]
    hidden = HardSwish(name="gate")(layers[0].output)
    last = source.model.layers[-1]
    fresh = type(last).from_config(last.get_config())
    model = keras.Model(source.model.input, fresh(hidden), name=source.model.name)
    fresh.set_weights(last.get_weights())
    return replace(source, model=model)


@pytest.mark.parametrize(("target", "kept"), [("cpu", 0), ("edgetpu", 0), ("ethos-u65-256", 1)])
def test_targets_that_have_it_keep_it(swish, dataset, spec, minmax, tmp_path, target, kept) -> None:
    made = convert(
        swish, format="tflite", scheme="int8", method="ptq", out=tmp_path / "m.tflite", calibration=minmax,
        dataset=dataset, spec=spec, target=target,
    )  # fmt: skip
    ops = [op.op for op in read_graph(made.path).ops]
    assert ops.count("HARD_SWISH") == kept
    assert made.manifest.layer_map.count("gate") == (1 if kept else 3)
    assert made.check.sqnr_db > 20
