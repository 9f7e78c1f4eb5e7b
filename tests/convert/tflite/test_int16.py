"""Named layers with int16 activations: the kernels, the borders, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from edgecv.compress import PtqRecipe, prepare
from edgecv.convert import Preparation, convert
from edgecv.convert.check.kernels import computed_by
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import converter as tflite
from edgecv.convert.tflite import mixed as static
from edgecv.convert.tflite import ranges
from edgecv.convert.tflite.int16 import KERNELS, quantize_mixed, quantize_wide, wide_ops
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.files import sha256
from edgecv.core.optional import require
from edgecv.core.progress import QUIET
from edgecv.graphs import read_tflite
from edgecv.modelio import env, manifest_for
from edgecv.values import profiles
from tests.convert.conftest import loaded

HOW = static.How(io_dtype="int8", per_channel=True, name="net")


@pytest.fixture(scope="module", name="source")
def source_with_manifest(source, spec):
    return loaded(source.model, manifest_for(spec, recipe={"step": "test"}))


def made(source, dataset, folder, **options):
    settings = {"format": "tflite", "scheme": "int8", "method": "ptq", "calibration": profiles.calibration("minmax")}
    return convert(source, dataset=dataset, out=folder / "out.tflite", force=True, **{**settings, **options})


def kinds(graph):
    return [(op.op, graph.tensors[op.inputs[0]].dtype, graph.tensors[op.outputs[0]].dtype) for op in graph.ops]


def test_a_named_layer_stands_between_direct_conversions(source, dataset, tmp_path):
    plain, artifact = made(source, dataset, tmp_path), made(source, dataset, tmp_path, int16=("inner",))
    manifest, graph = artifact.manifest, read_tflite(artifact.path)
    assert (manifest.scheme, manifest.provenance.recipe["int16"]) == ("mixed", ["inner"])
    found = kinds(graph)
    at = found.index(("CONV_2D", "int16", "int16"))
    assert found[at - 1] == ("QUANTIZE", "int8", "int16")
    assert ("QUANTIZE", "int16", "int8") in found[at + 1 :]
    assert "DEQUANTIZE" not in [op for op, _, _ in found]
    assert not any(t.dtype == "float32" for t in graph.tensors), "nothing is left over of the float operators"
    _, weights, bias = graph.inputs_of(graph.ops[at])
    assert (weights.dtype, bias.dtype) == ("int8", "int64")
    assert all(t.zero_points == (0,) for t in graph.tensors if t.dtype == "int16")
    assert [d for op, d, _ in found if op == "CONV_2D"] == ["int8", "int16"]
    assert artifact.check.sqnr_db > plain.check.sqnr_db - 3
    assert computed_by(artifact.path).own == {"CONV_2D": 1}
    first = sha256(artifact.path)
    assert sha256(made(source, dataset, tmp_path, int16=("inner",)).path) == first
    assert manifest.layer_map[at] == "inner"


def test_first_and_last_layers_and_float_neighbours(source, dataset, tmp_path):
    for io in ("int8", "uint8", "float32"):
        artifact = made(source, dataset, tmp_path, int16=("stem", "side"), keep_float=("hidden",), io_dtype=io)
        graph = read_tflite(artifact.path)
        assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == {io}
        found = kinds(graph)
        assert ("FULLY_CONNECTED", "float32", "float32") in found
        assert ("FULLY_CONNECTED", "int16", "int16") in found
        assert ("CONV_2D", "int16", "int16") in found
        assert artifact.check.sqnr_db > 20


def everything(keras):
    """Return a network with each operator of `KERNELS`, but for those that keras layers do not make alone."""
    layers = keras.layers
    i = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="begin")(i)
    y = layers.DepthwiseConv2D(3, padding="same", name="w_depthwise")(layers.ReLU(name="w_relu")(x))
    x = layers.Add(name="w_add")([x, layers.LeakyReLU(name="w_leaky")(y)])
    x = layers.Subtract(name="w_sub")([x, layers.Activation("sigmoid", name="w_sigmoid")(y)])
    x = layers.Multiply(name="w_mul")([x, layers.Activation("tanh", name="w_tanh")(y)])
    x = layers.Maximum(name="w_max")([x, layers.ReLU(6.0, name="w_relu6")(y)])
    x = layers.Minimum(name="w_min")([x, layers.Activation("gelu", name="w_gelu")(y)])
    x = layers.Concatenate(name="w_cat")(
        [layers.AveragePooling2D(2, name="w_avg")(x), layers.MaxPooling2D(2, name="w_mp")(y)]
    )
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="w_transposed")(x)
    x = layers.UpSampling2D(2, name="w_nearest")(x)
    x = layers.Cropping2D(2, name="w_crop")(layers.ZeroPadding2D(1, name="w_pad")(x))
    x = layers.UpSampling2D(2, interpolation="bilinear", name="w_bilinear")(x)
    x = layers.Conv2D(4, 3, strides=2, name="w_conv")(layers.Permute((2, 1, 3), name="w_permute")(x))
    z = layers.GlobalAveragePooling2D(name="w_mean")(x)
    z = layers.Add(name="w_both")([z, layers.GlobalMaxPooling2D(name="w_peak")(x)])
    z = layers.Softmax(name="w_softmax")(z)
    return keras.Model(i, layers.Dense(3, name="w_dense")(z), name="net")


NOT_TRIED = {"UNPACK", "BATCH_MATMUL", "ABS", "EXP", "SUM", "PACK", "SPLIT", "GATHER", "PADV2", "MIRROR_PAD", "RESHAPE"}
"""That no keras layer of the zoo becomes."""


def answers(data, inputs):
    litert = require("ai_edge_litert.interpreter", why="to run a file")
    interpreter = litert.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    rows = []
    for sample in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample)
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy())
    return np.concatenate(rows)


def test_every_kernel_loads_and_answers():
    keras = env.keras()
    keras.utils.set_random_seed(0)
    model = everything(keras)
    data, inputs, found = converted(model, (8, 8, 4))
    graph = read_tflite(data)
    chosen = wide_ops(graph, ["w_*"], model)
    how = replace(HOW, io_dtype="float32")
    mixed = quantize_mixed(data, found, how, kept=(), wide=chosen)
    wide = read_tflite(mixed)
    done = {op.op for op in wide.ops if wide.tensors[op.outputs[0]].dtype == "int16"}
    assert done - {"QUANTIZE"} == KERNELS - NOT_TRIED
    assert not [op.op for op in wide.ops if wide.tensors[op.outputs[0]].dtype == "float32" and op.op != "DEQUANTIZE"]
    expected, got = answers(data, inputs), answers(mixed, inputs)
    eight = answers(ranges.quantize(data, found, io_dtype="float32", per_channel=True, name="net"), inputs)
    noise, plain = (float(np.square(expected - other).sum()) for other in (got, eight))
    assert noise < plain / 4, "16 bits answer better than 8"


def converted(model, shape):
    """Return a model's float file, some inputs, and its ranges on them."""
    data = tflite.convert_float(freeze(model), "float32")
    rng = np.random.default_rng(0)
    inputs = [rng.uniform(-1, 1, (1, *shape)).astype(np.float32) for _ in range(8)]
    found = ranges.observe(
        data, ([x] for x in inputs), profiles.calibration("minmax"), reporter=QUIET, total=len(inputs)
    )
    return data, inputs, found


@pytest.mark.parametrize("everywhere", [False, True])
def test_constant_terms_become_int16_too(everywhere):
    keras, tf = env.keras(), env.tensorflow()
    keras.utils.set_random_seed(0)
    i = keras.Input((4, 4, 2), name="image")
    x = keras.layers.Conv2D(2, 1, activation="tanh", name="begin")(i)
    x = tf.maximum((x + tf.constant([0.5, -0.25])) * tf.constant([2.0, -3.0]), tf.constant([-0.5, 0.1]))
    model = keras.Model(i, keras.layers.Conv2D(2, 1, name="end")(x))
    data, inputs, found = converted(model, (4, 4, 2))
    places = [op.index for op in read_tflite(data).ops if op.op in ("ADD", "MUL", "MAXIMUM")]
    assert len(places) == 3
    how = replace(HOW, io_dtype="float32")
    mixed = quantize_wide(data, found, how) if everywhere else quantize_mixed(data, found, how, kept=(), wide=places)
    graph = read_tflite(mixed)
    terms = [graph.inputs_of(op) for op in graph.ops if op.op in ("ADD", "MUL", "MAXIMUM")]
    assert {tensor.dtype for pair in terms for tensor in pair} == {"int16"}
    assert len(graph.inputs) == 1
    assert everywhere is not any(tensor.dtype == "int8" and not tensor.is_constant for tensor in graph.tensors)
    tolerance = 0.02 if everywhere else 0.1
    np.testing.assert_allclose(answers(mixed, inputs), answers(data, inputs), atol=tolerance)


def test_a_pool_between_int8_layers_goes_back_to_int8():
    """The int8 quantiser makes such a pool int8 whatever it is told; int16 then takes its place all the same."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    i = keras.Input((8, 8, 2), name="image")
    x = keras.layers.Conv2D(4, 3, activation="tanh", name="begin")(i)
    x = keras.layers.AveragePooling2D(2, name="pool")(x)
    model = keras.Model(i, keras.layers.Conv2D(4, 2, name="end")(x))
    data, inputs, found = converted(model, (8, 8, 2))
    chosen = wide_ops(read_tflite(data), ["pool"], model)
    mixed = quantize_mixed(data, found, replace(HOW, io_dtype="float32"), kept=(), wide=chosen)
    graph = read_tflite(mixed)
    assert ("AVERAGE_POOL_2D", "int16", "int16") in kinds(graph)
    assert all(graph.tensors[op.outputs[0]].dtype == "float32" for op in graph.ops if op.op == "DEQUANTIZE")
    expected = answers(data, inputs)
    assert np.square(expected - answers(mixed, inputs)).sum() < 1e-3 * np.square(expected).sum()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"int16": ("iner",)}, "unknown layer with an operator of its own 'iner'"),
        ({"int16": ("*",)}, "every layer was asked to have int16 activations"),
        ({"int16": ("inner",), "keep_float": ("inner",)}, "to stay float and to have int16 activations"),
        ({"int16": ("inner",), "scheme": "int16x8"}, "cannot have int16 activations of their own in a int16x8 file"),
        ({"int16": ("inner",), "format": "onnx"}, "there is no mixed for onnx"),
    ],
)
def test_requests_that_cannot_be_met(source, dataset, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        made(source, dataset, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_kinds_without_a_kernel_are_refused_by_name():
    keras = env.keras()
    i = keras.Input((4, 4, 2), name="image")
    x = keras.layers.ELU(name="odd")(keras.layers.Conv2D(2, 1, name="conv")(i))
    model = keras.Model(i, keras.layers.Conv2D(2, 1, name="end")(x))
    graph = read_tflite(tflite.convert_float(freeze(model), "float32"))
    with pytest.raises(ConfigError, match="no int16 kernel for ELU in odd") as caught:
        wide_ops(graph, ["odd"], model)
    assert "CONV_2D" in caught.value.hint
    assert [graph.ops[i].op for i in wide_ops(graph, ["conv"], model)] == ["CONV_2D"]


def test_learned_integers_are_in_wide_layers(source, dataset, tmp_path):
    inputs = np.stack(list(dataset.split("train").images))[..., None].astype(np.float32) / 255
    done = prepare(source.model, inputs, PtqRecipe(adaround=True, iterations=60))
    preparation = Preparation(reference=source.model, integers=done.integers, facts={})
    prepared = replace(source, model=done.model)
    artifact = made(prepared, dataset, tmp_path, preparation=preparation, int16=("inner", "hidden"))
    assert artifact.check.sqnr_db > 10
    wrong = {name: values.copy() for name, values in done.integers.items()}
    wrong["inner"].flat[0] += 1 if wrong["inner"].flat[0] < 0 else -1
    with pytest.raises(ConversionError, match="weights of layer 'inner'"):
        made(prepared, dataset, tmp_path, preparation=replace(preparation, integers=wrong), int16=("inner", "hidden"))


def test_a_sigmoid_hands_on_all_its_values():
    """The quantiser's own step for it ends at 0.5; biases behind it are made of that step."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    i = keras.Input((6,), name="image")
    x = keras.layers.Dense(8, activation="sigmoid", bias_initializer="random_normal", name="gate")(i)
    x = keras.layers.Dense(4, bias_initializer=keras.initializers.Constant(0.7), name="wide")(x)
    model = keras.Model(i, keras.layers.Dense(3, name="end")(keras.layers.ReLU()(x)), name="net")
    data, inputs, found = converted(model, (6,))
    expected = answers(data, inputs)
    how = replace(HOW, io_dtype="float32")
    whole = static.quantize(data, found, how, activations="int16")
    some = quantize_mixed(data, found, how, kept=(), wide=wide_ops(read_tflite(data), ["gate", "wide"], model))
    assert np.abs(answers(whole, inputs) - expected).max() < 0.01 * np.abs(expected).max()
    assert np.abs(answers(some, inputs) - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("dead", [1e-5, 1e-7, 1e-9, 1e-12, 0.0])
@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense", "transposed"])
def test_a_channel_of_next_to_no_weights_keeps_its_bias(kind, dead):
    """Trained MobileNets have such: normalisation left a shift and no scale. Their biases do not fit int32."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    make = {
        "conv": lambda: keras.layers.Conv2D(6, 3, activation="relu"),
        "depthwise": lambda: keras.layers.DepthwiseConv2D(3, activation="relu"),
        "dense": lambda: keras.layers.Dense(6, activation="relu"),
        "transposed": lambda: keras.layers.Conv2DTranspose(6, 2, strides=2, activation="relu"),
    }[kind]
    entry, layer = keras.Input((8, 8, 6)), make()
    model = keras.Model(entry, keras.layers.Dense(3, name="out")(layer(entry)))
    kernel, bias = layer.get_weights()
    channel = {"depthwise": (..., 2, slice(None)), "transposed": (..., 2, slice(None))}.get(kind, (..., 2))
    kernel[channel] *= dead / np.abs(kernel[channel]).max()
    bias[2] = 0.8
    layer.set_weights([kernel, bias])
    data, inputs, found = converted(model, (8, 8, 6))
    wanted = answers(data, inputs)
    got = answers(quantize_wide(data, found, replace(HOW, io_dtype="float32")), inputs)
    assert np.square(wanted - got).sum() < 1e-3 * np.square(wanted - wanted.mean()).sum()
