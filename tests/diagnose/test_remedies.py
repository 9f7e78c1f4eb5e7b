import numpy as np
import pytest

from edgecv.convert.freeze import freeze
from edgecv.convert.tflite.converter import convert_float
from edgecv.diagnose import remedies
from edgecv.diagnose.quantised_layers import QuantisedLayer
from edgecv.diagnose.rounding import Edit, affine
from edgecv.graphs import constant, read_tflite
from edgecv.modelio import env


def layer_of(activation, *, scales=1):
    """Return the float file of one convolution, and the layer with weights of so many scales."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    image = keras.layers.Input((6, 6, 2))
    data = convert_float(freeze(keras.Model(image, keras.layers.Conv2D(4, 3, activation=activation)(image))), "float32")
    graph = read_tflite(data)
    op = graph.ops[0]
    layer = QuantisedLayer(
        layer="conv", op="CONV_2D", float_ops=tuple(o.index for o in graph.ops), int8_ops=(0,),
        edit=Edit(
            constants={(0, 1): np.zeros(graph.tensors[op.inputs[1]].shape, np.float32)},
            outputs={graph.outputs[0]: affine(0.1, 0)},
        ),
        weights={(0, 1): np.ones(scales)},
    )  # fmt: skip
    return data, graph, layer


def offered(activation, **options):
    data, graph, layer = layer_of(activation, **options)
    inputs = [np.random.default_rng(i).normal(size=(1, 6, 6, 2)).astype(np.float32) for i in range(3)]
    seen = remedies.observe(data, [[x] for x in inputs], tuple(layer.edit.outputs))
    return graph, dict(remedies.remedies(layer, graph, seen)), seen[graph.outputs[0]], data, inputs


@pytest.mark.parametrize(
    ("activation", "scales", "names"),
    [
        ("relu", 1, ["clip_outliers", "per_channel", "equalise", "int16"]),
        ("relu", 4, ["clip_outliers", "equalise", "int16"]),
        ("linear", 4, ["clip_outliers", "equalise", "int16"]),
        ("tanh", 4, ["clip_outliers", "int16"]),
        ("relu6", 4, ["clip_outliers", "int16"]),
    ],
)
def test_what_is_offered_fits_the_layer_cheapest_first(activation, scales, names):
    _, found, *_ = offered(activation, scales=scales)
    assert list(found) == names
    assert set(names) <= set(remedies.MEANING)


def test_weights_per_channel_are_within_half_a_step():
    graph, found, *_ = offered("relu")
    plain = constant(graph, graph.ops[0].inputs[1])
    finer = found["per_channel"].constants[0, 1]
    step = np.abs(plain).max(axis=(1, 2, 3), keepdims=True) / 127
    assert np.all(np.abs(finer - plain) <= step * 0.501)
    assert np.abs(finer - plain).max() > 0
    np.testing.assert_array_equal(found["equalise"].constants[0, 1], finer)


def test_the_ranges_are_those_of_the_samples():
    graph, found, seen, data, inputs = offered("linear")
    from ai_edge_litert import interpreter as litert

    interpreter = litert.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    values = []
    for x in inputs:
        interpreter.set_tensor(graph.inputs[0], x)
        interpreter.invoke()
        values.append(interpreter.get_tensor(graph.outputs[0]).copy())
    values = np.concatenate(values)
    assert seen.low == pytest.approx(np.minimum(values.min(axis=(0, 1, 2)), 0), abs=1e-5)
    assert seen.high == pytest.approx(np.maximum(values.max(axis=(0, 1, 2)), 0), abs=1e-5)
    assert seen.histogram.total == values.size
    (channels,) = found["equalise"].outputs.values()
    assert channels.scale * 255 == pytest.approx(seen.high - seen.low)
    (wide,) = found["int16"].outputs.values()
    assert wide.scale[0] * 32767 == pytest.approx(np.abs(values).max(), rel=1e-5)
    assert (wide.low[0], wide.high[0]) == (-32768, 32767)


def test_clipping_narrows_where_one_value_stands_out():
    values = np.random.default_rng(0).normal(size=(1, 200_000, 4)).astype(np.float32)
    assert remedies._clipped(remedies._seen(values)).scale[0] * 255 > 6
    values[0, 0, 0] = 60
    assert remedies._clipped(remedies._seen(values)).scale[0] * 255 < 40


def test_a_channel_of_zeros_stays_zero():
    values = np.zeros((1, 5, 2), np.float32)
    values[..., 1] = 3
    found = remedies._by_channel(remedies._seen(values))
    assert found.low[0] <= 0 <= found.high[0]
    assert np.isfinite(found.scale).all()
