import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.convert.freeze import freeze
from edgecv.convert.tflite.converter import convert_float
from edgecv.diagnose.rounding import Edit, Rounding, affine, rounded
from edgecv.graphs import read_tflite
from edgecv.modelio import env


def run(data, x):
    from ai_edge_litert import interpreter as litert

    interpreter = litert.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.asarray(x, np.float32).reshape(1, -1))
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"])[0].copy() for detail in interpreter.get_output_details()]


@pytest.fixture(scope="module")
def dense():
    """The outputs are the inputs, and twice the inputs."""
    keras = env.keras()
    image = keras.layers.Input((3,), name="image")
    one = keras.layers.Dense(3, use_bias=False, name="one")
    two = keras.layers.Dense(3, use_bias=False, name="two")
    x = one(image)
    model = keras.Model(image, [x, two(x)])
    one.set_weights([np.eye(3)])
    two.set_weights([2 * np.eye(3)])
    return convert_float(freeze(model), "float32")


def outputs(data):
    """Indices of the outputs, the one that holds the inputs first."""
    graph = read_tflite(data)
    values = run(data, [1, 1, 1])
    return [index for _, index in sorted(zip([float(v[0]) for v in values], graph.outputs, strict=True))]


def test_an_output_rounds_and_what_follows_sees_it(dense):
    first, _ = outputs(dense)
    made = rounded(dense, [Edit(outputs={first: affine(0.5, 0)})])
    plain, twice = sorted(run(made, [0.3, 0.2, 100.0]), key=lambda v: float(v[2]))
    assert plain.tolist() == [0.5, 0, 63.5], "127 * 0.5 is the largest"
    assert twice.tolist() == [1, 0, 127]


def test_the_zero_point_moves_the_limits(dense):
    first, _ = outputs(dense)
    made = rounded(dense, [Edit(outputs={first: affine(0.5, -128)})])
    plain = min(run(made, [-3.0, 1.0, 127.6]), key=lambda v: float(v[2]))
    assert plain.tolist() == [0, 1, 127.5]


def test_every_channel_may_have_its_scale(dense):
    first, _ = outputs(dense)
    rounding = Rounding(scale=np.array([1.0, 0.1, 10.0]), low=np.full(3, -128), high=np.full(3, 127))
    plain = min(run(rounded(dense, [Edit(outputs={first: rounding})]), [1.4, 1.44, 14.0]), key=lambda v: float(v[2]))
    assert plain == pytest.approx([1, 1.4, 10])


def test_the_input_rounds(dense):
    (index,) = read_tflite(dense).inputs
    plain = min(run(rounded(dense, [Edit(outputs={index: affine(1.0, 0)})]), [0.6, 1.2, 3]), key=lambda v: float(v[2]))
    assert plain.tolist() == [1, 1, 3]


def test_weights_are_replaced_for_one_operator_only(dense):
    graph = read_tflite(dense)
    at = next(op.index for op in graph.ops if op.outputs[0] == outputs(dense)[1])
    position = next(p for p, i in enumerate(graph.ops[at].inputs) if graph.tensors[i].is_constant)
    made = rounded(dense, [Edit(constants={(at, position): 5 * np.eye(3, dtype=np.float32)})])
    assert sorted(float(v[0]) for v in run(made, [1, 1, 1])) == [1, 5]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3),
    st.floats(0.0625, 2, width=32),
    st.integers(-128, 127),
)
def test_agrees_with_numpy(dense, x, scale, zero_point):
    first, _ = outputs(dense)
    made = run(rounded(dense, [Edit(outputs={first: affine(scale, zero_point)})]), x)
    stored = np.clip(np.round(np.float64(x) / scale) + zero_point, -128, 127)
    expected = (stored - zero_point) * scale
    assert min(np.abs(v - expected).max() for v in made) <= scale * 1.001, "one step where rounding is a tie"
    assert np.sum(np.abs(min(made, key=lambda v: np.abs(v - expected).sum()) - expected) > 1e-3 * scale) <= 1
