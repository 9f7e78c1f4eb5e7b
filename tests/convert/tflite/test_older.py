"""Operators as an older reader takes them: which take whose place, and that they give the same integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import converter, flatbuffer, ranges
from edgecv.convert.tflite.older import with_older_operators
from edgecv.core.progress import QUIET
from edgecv.graphs import read_tflite
from edgecv.modelio import env
from edgecv.targets.edgetpu import judge_on_edgetpu
from edgecv.targets.verdict import Request
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, constant, options

litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
EDGETPU = profiles.target("edgetpu")


def quantised(make, shape=(6, 6, 8), *, per_channel=True):
    """Return the int8 .tflite of `make(x)`, calibrated on noise, weights random."""
    keras = env.keras()
    keras.utils.set_random_seed(3)
    x = keras.Input(shape)
    data = converter.convert_float(freeze(keras.Model(x, make(x))), "float32")
    noise = np.random.default_rng(0)
    samples = [[noise.normal(size=(1, *shape)).astype(np.float32)] for _ in range(4)]
    found = ranges.observe(data, iter(samples), profiles.calibration("minmax"), total=4, reporter=QUIET)
    return ranges.quantize(data, found, io_dtype="int8", per_channel=per_channel, name="net")


def normalised(x):
    """Batch normalisation between a layer and its ReLU is what makes the converter fuse that into TRANSPOSE_CONV."""
    return env.keras().layers.BatchNormalization(beta_initializer="normal")(x)


def up(x, *, bias=True):
    return env.keras().layers.Conv2DTranspose(4, 3, strides=2, padding="same", use_bias=bias)(x)


def answers(data, given=None):
    """Return the integers that a file gives for random ones."""
    interpreter = litert.Interpreter(
        model_content=data, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    (only,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    if given is None:
        given = np.random.default_rng(1).integers(-128, 128, only["shape"]).astype(only["dtype"])
    interpreter.set_tensor(only["index"], given)
    interpreter.invoke()
    return interpreter.get_tensor(made["index"])


def kinds(data):
    return [(op.op, op.version) for op in read_tflite(data).ops]


def rejected(data, tmp_path):
    """Say whether the predicted compiler refuses the whole file."""
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    found = judge_on_edgetpu(Request(path=path, graph=read_tflite(data), profile=EDGETPU))
    return not any(finding.mapped for finding in found.findings)


def test_a_transposed_convolution_gives_its_relu_away(tmp_path):
    plain = quantised(lambda x: env.keras().layers.ReLU()(normalised(up(x))))
    assert kinds(plain) == [("TRANSPOSE_CONV", 4)]
    assert rejected(plain, tmp_path)
    made = with_older_operators(plain, [EDGETPU])
    # The range starts at 0: 8 bits clip there by themselves, and a RELU would do nothing.
    assert kinds(made) == [("TRANSPOSE_CONV", 3)]
    assert not rejected(made, tmp_path)
    assert np.array_equal(answers(made), answers(plain))
    assert read_tflite(made).ops[0].options["fused_activation_function"] == "NONE"


def test_the_codes_of_operators_that_are_gone_are_gone_too():
    made = with_older_operators(quantised(lambda x: env.keras().layers.ReLU()(normalised(up(x)))), [EDGETPU])
    assert [code.version for code in flatbuffer.unpack(made).operatorCodes] == [3]


def unclipped(data, kind, scale, zero):
    """Return a file whose result has a wider range than the activation that is fused into its last operator."""
    model = flatbuffer.unpack(data)
    record = model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].quantization
    record.scale, record.zeroPoint = np.array([scale], np.float32), np.array([zero], np.int64)
    activations = flatbuffer.schema().ActivationFunctionType
    model.subgraphs[0].operators[-1].builtinOptions.fusedActivationFunction = getattr(activations, kind)
    return flatbuffer.pack(model)


@pytest.mark.parametrize(
    ("kind", "scale", "zero"), [("RELU", 0.01, -100), ("RELU6", 0.05, -128), ("RELU_N1_TO_1", 0.02, 3)]
)
def test_an_activation_that_the_range_does_not_do_is_an_operator(kind, scale, zero, tmp_path):
    fused = quantised(lambda x: env.keras().layers.ReLU()(normalised(up(x))))
    plain = unclipped(fused, kind, scale, zero)
    made = with_older_operators(plain, [EDGETPU])
    assert [name for name, _ in kinds(made)] == ["TRANSPOSE_CONV", kind]
    assert np.array_equal(answers(made), answers(plain))
    assert len(np.unique(answers(plain))) > 20
    graph = read_tflite(made)
    assert graph.tensors[graph.ops[0].outputs[0]].scales == graph.tensors[graph.outputs[0]].scales
    assert not rejected(made, tmp_path)


@pytest.mark.parametrize("pool", ["AveragePooling2D", "MaxPooling2D"])
def test_pools_without_their_activation(pool, tmp_path):
    layers = env.keras().layers
    plain = quantised(lambda x: layers.ReLU()(getattr(layers, pool)()(x)))
    assert read_tflite(plain).ops[0].options["fused_activation_function"] == "RELU"
    assert rejected(plain, tmp_path)
    made = with_older_operators(plain, [EDGETPU])
    assert np.array_equal(answers(made), answers(plain))
    assert not rejected(made, tmp_path)


@pytest.mark.parametrize(("groups", "filters", "used"), [(2, 6, "CONV_2D"), (4, 8, "CONV_2D"), (8, 16, "DEPTHWISE")])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_convolution_in_groups(groups, filters, used, per_channel, tmp_path):
    layers = env.keras().layers
    plain = quantised(
        lambda x: layers.Conv2D(filters, 3, strides=2, groups=groups, activation="relu", bias_initializer="normal")(x),
        per_channel=per_channel,
    )
    made = with_older_operators(plain, [EDGETPU])
    names = [name for name, _ in kinds(made)]
    if kinds(plain) == [("CONV_2D", 6)]:
        one = ["DEPTHWISE_CONV_2D"] if used == "DEPTHWISE" else ["SPLIT", *["CONV_2D"] * groups, "CONCATENATION"]
        assert names == one
        assert len(made) < len(plain) + 1024 * groups
    assert used in names[0] + names[-1] + names[len(names) // 2]
    assert not rejected(made, tmp_path)
    assert np.array_equal(answers(made), answers(plain))


def test_a_depthwise_convolution_keeps_the_order_of_its_channels():
    kernel = np.random.default_rng(2).integers(-127, 128, (6, 3, 3, 1), dtype=np.int8)
    conv = options("Conv2DOptions", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    tensors = {
        "x": T((1, 5, 5, 3), scale=0.1),
        "w": T(kernel.shape, "int8", tuple(0.001 * (1 + np.arange(6))), kernel),
        "b": T((6,), "int32", tuple(0.0001 * (1 + np.arange(6))), np.arange(6, dtype=np.int32) * 100),
        "y": T((1, 5, 5, 6), scale=0.1),
    }
    plain = build(Net(tensors, [N("CONV_2D", ["x", "w", "b"], ["y"], conv, version=6)]))
    made = with_older_operators(plain, [EDGETPU])
    assert kinds(made) == [("DEPTHWISE_CONV_2D", 3)]
    assert np.array_equal(answers(made), answers(plain))


@pytest.mark.parametrize("times", [[1, 2, 1, 1], [1, 2, 3, 1], [1, 1, 1, 2]])
def test_copies_are_joined(times, tmp_path):
    tf = env.tensorflow()
    plain = quantised(lambda x: env.keras().layers.Lambda(lambda a: tf.tile(a, times))(x), (2, 3, 4))
    assert ("TILE", 3) in kinds(plain)
    assert rejected(plain, tmp_path)
    made = with_older_operators(plain, [EDGETPU])
    assert {name for name, _ in kinds(made)} == {"CONCATENATION"}
    assert not rejected(made, tmp_path)
    assert np.array_equal(answers(made), answers(plain))


@pytest.mark.parametrize("shape", [(4, 4, 8), (7, 8)])
def test_a_dense_layer_on_every_position_is_a_convolution(shape, tmp_path):
    plain = quantised(lambda x: env.keras().layers.Dense(5, activation="relu", bias_initializer="normal")(x), shape)
    assert "FULLY_CONNECTED" in {name for name, _ in kinds(plain)}
    assert rejected(plain, tmp_path)
    made = with_older_operators(plain, [EDGETPU])
    assert "CONV_2D" in {name for name, _ in kinds(made)}
    assert not rejected(made, tmp_path)
    # The two kernels round their scales apart.
    assert np.abs(answers(made).astype(int) - answers(plain)).max() <= 1


def test_what_a_target_reads_stays_as_it_is():
    layers = env.keras().layers
    plain = quantised(lambda x: layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(x))))
    assert with_older_operators(plain, [EDGETPU]) is plain
    fused = quantised(lambda x: layers.ReLU()(normalised(up(x))))
    assert with_older_operators(fused, [profiles.target("cpu"), profiles.target("ethos-u55-128")]) is fused
    reads = replace(EDGETPU, ops={**EDGETPU.ops, "TRANSPOSE_CONV": replace(EDGETPU.ops["RELU"], max_version=9)})
    assert with_older_operators(fused, [reads]) is fused


def test_one_of_several_targets_is_enough():
    fused = quantised(lambda x: env.keras().layers.ReLU()(normalised(up(x))))
    assert kinds(with_older_operators(fused, [profiles.target("cpu"), EDGETPU])) == [("TRANSPOSE_CONV", 3)]


def test_weights_that_are_computed_stay():
    conv = options("Conv2DOptions", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1)
    tensors = {
        "x": T((1, 5, 5, 4)), "w": T((4, 1, 1, 2)), "b": constant(np.zeros(4), "int32", 0.25), "y": T((1, 5, 5, 4)),
    }  # fmt: skip
    plain = build(Net(tensors, [N("CONV_2D", ["x", "w", "b"], ["y"], conv, version=6)], inputs=["x", "w"]))
    assert with_older_operators(plain, [EDGETPU]) is plain
