"""Every kind of operator of vision networks: the .onnx that is made from the .tflite answers as keras does."""

import functools

import numpy as np
import pytest

from edgecv.convert.converted import converted_tflite
from edgecv.convert.freeze import freeze
from edgecv.convert.onnx.converter import convert
from edgecv.convert.tflite import converter as tflite
from edgecv.convert.tflite import ranges
from edgecv.core.progress import QUIET
from edgecv.graphs import read_tflite
from edgecv.modelio import env
from edgecv.values import profiles

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

SHAPE = (8, 8, 4)
tf, keras = env.tensorflow(), env.keras()
layers = keras.layers
SOME = keras.initializers.RandomNormal(stddev=0.3, seed=1)

CASES = {
    "transposed": lambda x: layers.Conv2DTranspose(5, 3, strides=2, padding="same", bias_initializer=SOME)(x),
    "transposed valid": lambda x: layers.Conv2DTranspose(5, 3, strides=2, bias_initializer=SOME)(x),
    "transposed, output padding": lambda x: layers.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=1)(
        x
    ),
    "transposed valid, output padding": lambda x: layers.Conv2DTranspose(5, 2, strides=2, output_padding=1)(x),
    "transposed, output padding 0": lambda x: layers.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=0)(
        x
    ),
    "transposed, steps wider than the kernel": lambda x: layers.Conv2DTranspose(5, 2, strides=3, padding="same")(x),
    "transposed, uneven": lambda x: layers.Conv2DTranspose(5, (2, 5), strides=(3, 1), padding="same")(x),
    "transposed, wide": lambda x: layers.Conv2DTranspose(5, 1, strides=2, padding="same")(x),
    "bilinear": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x),
    "bilinear, corners": lambda x: tf.compat.v1.image.resize_bilinear(x, (15, 15), align_corners=True),
    "bilinear, odd": lambda x: tf.image.resize(x, (13, 11)),
    "nearest": lambda x: layers.UpSampling2D(2)(x),
    "nearest, odd": lambda x: tf.image.resize(x, (13, 11), "nearest"),
    "nearest, smaller": lambda x: tf.image.resize(x, (3, 5), "nearest"),
    "depth to space": lambda x: tf.nn.depth_to_space(x, 2),
    "space to depth": lambda x: tf.nn.space_to_depth(x, 2),
    "prelu": lambda x: layers.PReLU(shared_axes=[1, 2], alpha_initializer=SOME)(x),
    "leaky relu": lambda x: layers.LeakyReLU(0.1)(x),
    "elu": lambda x: layers.ELU()(x),
    "swish": lambda x: layers.Activation("swish")(x),
    "h-swish": lambda x: x * tf.nn.relu6(x + 3) / 6,
    "mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
    "gelu": lambda x: tf.nn.gelu(x),
    "gelu by tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "clip to -1..1": lambda x: tf.clip_by_value(x, -1.0, 1.0),
    "clip to 0..1": lambda x: tf.clip_by_value(x, 0.0, 1.0),
    "relu 6": lambda x: layers.ReLU(6.0)(layers.Conv2D(3, 1)(4 * x)),
    "layer normalisation": lambda x: layers.LayerNormalization(gamma_initializer=SOME)(x),
    "instance normalisation": lambda x: (
        (x - tf.reduce_mean(x, [1, 2], keepdims=True))
        * tf.math.rsqrt(tf.math.reduce_variance(x, [1, 2], keepdims=True) + 1e-3)
    ),
    "batch normalisation alone": lambda x: layers.BatchNormalization(moving_mean_initializer=SOME)(x),
    "response normalisation": lambda x: tf.nn.local_response_normalization(x),
    "unit length": lambda x: tf.nn.l2_normalize(layers.GlobalAveragePooling2D()(x), axis=-1),
    "separable": lambda x: layers.SeparableConv2D(6, 3, depth_multiplier=2, bias_initializer=SOME)(x),
    "dilated": lambda x: layers.Conv2D(6, 3, dilation_rate=2, padding="same")(x),
    "grouped": lambda x: layers.Conv2D(8, 3, groups=2)(x),
    "depth-wise, strided": lambda x: layers.DepthwiseConv2D(5, strides=2, padding="same")(x),
    "one dimension": lambda x: layers.Conv1D(4, 3, padding="same")(layers.Reshape((64, 4))(x)),
    "average pool, same": lambda x: layers.AveragePooling2D(3, 2, padding="same")(x),
    "max pool, same": lambda x: layers.MaxPooling2D(3, 2, padding="same")(x),
    "global max": lambda x: layers.GlobalMaxPooling2D()(x),
    "reflected": lambda x: tf.pad(x, [[0, 0], [1, 1], [2, 2], [0, 0]], mode="REFLECT"),
    "split": lambda x: tf.concat(tf.split(x, 2, axis=-1)[::-1], -1),
    "shuffled channels": lambda x: tf.reshape(
        tf.transpose(tf.reshape(x, (-1, 8, 8, 2, 2)), (0, 1, 2, 4, 3)), (-1, 8, 8, 4)
    ),
    "strided slice": lambda x: x[:, 1::2, :-1:2, :],
    "squeeze and excitation": lambda x: x * layers.Dense(4, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x)),
    "dense on a map": lambda x: layers.Dense(3, "relu", bias_initializer=SOME)(x),
    "flattened": lambda x: layers.Dense(3, bias_initializer=SOME)(layers.Flatten()(x)),
    "channels first": lambda x: layers.Permute((3, 1, 2))(x),
    "correlation": lambda x: tf.matmul(tf.reshape(x, (-1, 64, 4)), tf.reshape(x, (-1, 64, 4)), transpose_a=True),
    "softmax of a map": lambda x: layers.Softmax()(x),
}


def image():
    return np.random.default_rng(0).normal(0, 1, (1, *SHAPE)).astype(np.float32)


def made(case):
    keras.utils.set_random_seed(0)
    entry = keras.Input(SHAPE, name="image")
    model = keras.Model(entry, CASES[case](entry))
    return model, tflite.convert_float(freeze(model), "float32")


def answer(built):
    (value,) = onnxruntime.InferenceSession(built.data).run(None, {built.inputs[0].name: image()})
    return value


@pytest.mark.parametrize("case", CASES)
def test_float(case):
    model, data = made(case)
    np.testing.assert_allclose(answer(convert(converted_tflite(data), "float32")), model(image()), atol=1e-4)


@pytest.mark.parametrize("case", [name for name in CASES if name.startswith("nearest")])
def test_resizes_use_no_deprecated_mode(case):
    built = onnx.load_from_string(convert(converted_tflite(made(case)[1]), "float32").data)
    (resize,) = [node for node in built.graph.node if node.op_type == "Resize"]
    assert b"tf_half_pixel_for_nn" not in [one.s for one in resize.attribute]


@pytest.mark.parametrize("case", ["gelu", "gelu by tanh", "clip to -1..1"])
def test_int8(case):
    """What tf2onnx is taught here, between int8 tensors."""
    model, data = made(case)
    found = ranges.observe(data, [[image()]], profiles.calibration("minmax"), reporter=QUIET, total=1)
    data = ranges.quantize(data, found, io_dtype="float32", per_channel=True, name="case")
    assert any(read_tflite(data).tensors[op.outputs[0]].dtype == "int8" for op in read_tflite(data).ops)
    np.testing.assert_allclose(answer(convert(converted_tflite(data), "int8")), model(image()), atol=0.05)


@pytest.mark.parametrize("gate", ["vector", "map"])
def test_maps_are_transposed_at_the_ends_only(gate):
    """Squeeze and excitation and h-swish between convolutions: tf2onnx alone transposes the map around each."""
    keras.utils.set_random_seed(0)
    entry = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same")(entry)
    x = x * tf.nn.relu6(x + 3) / 6
    squeezed = layers.GlobalAveragePooling2D(keepdims=gate == "map")(x)
    units = layers.Dense if gate == "vector" else functools.partial(layers.Conv2D, kernel_size=1)
    x = layers.Conv2D(4, 3)(x * units(8, activation="sigmoid")(units(4, activation="relu")(squeezed)))
    model = keras.Model(entry, x)
    built = convert(converted_tflite(tflite.convert_float(freeze(model), "float32")), "float32")
    kinds = [node.op_type for node in onnx.load_from_string(built.data).graph.node]
    assert kinds.count("Transpose") == 2
    assert "HardSwish" in kinds
    value = np.random.default_rng(0).normal(0, 1, (1, 8, 8, 3)).astype(np.float32)
    (answer,) = onnxruntime.InferenceSession(built.data).run(None, {built.inputs[0].name: value})
    np.testing.assert_allclose(answer, model(value), atol=1e-5)
