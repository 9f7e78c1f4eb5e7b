"""Every kind of network becomes, after quantisation-aware training, an integer file that answers like it."""

from pathlib import Path

import numpy as np
import pytest

from edgecv.compress import QatRecipe, quantize_aware
from edgecv.compress.fakequant import annotated, without_weight_rounding
from edgecv.convert import convert
from edgecv.core.errors import ConversionError
from edgecv.data.synthetic import synthetic
from edgecv.graphs import read_tflite
from edgecv.modelio import LoadedModel, env, load_keras, manifest_for, save_keras
from edgecv.modelio import layers as ours
from edgecv.modelio.layer_names import CALL_QUANTIZER
from edgecv.values import profiles
from edgecv.values.specs import Head, Preprocessing, one_input
from edgecv.zoo import blocks

keras = env.keras()
L = keras.layers
LABELS = ("a", "b", "c", "d")
SPEC = one_input(
    name="kind",
    input_shape=(16, 16, 3),
    heads=(Head(name="output", task="classification", activation="probabilities", labels=LABELS),),
    preprocessing=Preprocessing(color="rgb", mean=(127.5,) * 3, std=(127.5,) * 3),
)
RECIPE = QatRecipe(epochs=1, batch_size=8, learning_rate=1e-4)


def closed(image, x):
    return blocks.model(image, blocks.classifier(blocks.global_average(x), len(LABELS)), name="kind")


def residual(image):
    x = blocks.conv_norm(image, 8, 3, name="a")
    return blocks.residual(blocks.conv_norm(x, 8, 3, name="b", activation=None), x, name="sum")


def pre_activation(image):
    x = L.Conv2D(8, 3, padding="same", name="stem")(image)
    y = L.Conv2D(8, 3, padding="same", name="c")(L.ReLU()(L.BatchNormalization(name="bn")(x)))
    return L.ReLU()(L.BatchNormalization(name="last")(L.Add()([x, y])))


def dense_block(image):
    x = L.Conv2D(8, 3, padding="same", name="stem")(image)
    for index in range(3):
        grown = L.Conv2D(4, 3, padding="same", name=f"g{index}")(L.ReLU()(L.BatchNormalization(name=f"n{index}")(x)))
        x = L.Concatenate(name=f"cat{index}")([x, grown])
    return L.AveragePooling2D(2)(x)


def inception(image):
    parts = [blocks.conv(image, 8, size, name=f"c{size}") for size in (1, 3, 5)]
    return blocks.concat([*parts, blocks.conv(blocks.pool(image, 3, strides=1, name="p"), 4, 1, name="pp")], name="cat")


def squeeze_excite(image):
    return blocks.squeeze_excite(blocks.conv_norm(image, 8, 3, name="c"), ratio=2, name="se")


def inverted_residual(image):
    x = blocks.conv_norm(image, 8, 3, name="stem", activation="relu6")
    y = blocks.conv_norm(x, 24, 1, name="expand", activation="relu6")
    y = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False, name="dw")(y)))
    return blocks.residual(blocks.conv_norm(y, 8, 1, name="project", activation=None), x, name="sum", activation=None)


def hard_swish_gates(image):
    x = ours.HardSwish(name="hs1")(blocks.conv_norm(image, 16, 3, name="stem", activation=None))
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = ours.HardSigmoid(name="gate")(L.Conv2D(16, 1, name="e")(L.Conv2D(4, 1, activation="relu", name="s")(gate)))
    return ours.HardSwish(name="hs2")(L.Conv2D(16, 1, name="p")(L.Multiply()([x, gate])))


def swish_gates(image):
    x = L.Rescaling(0.5, 0.1)(image)
    x = L.Activation("swish", name="sw")(blocks.conv_norm(L.ZeroPadding2D()(x), 8, 3, name="c", activation=None))
    return blocks.squeeze_excite(x, ratio=4, name="se")


def separable(image):
    x = blocks.conv_norm(image, 8, 3, name="stem")
    x = L.BatchNormalization(name="bn")(L.SeparableConv2D(12, 3, padding="same", use_bias=False, name="sep")(x))
    return L.MaxPooling2D(3, strides=2, padding="same")(L.ReLU()(x))


def other_activations(image):
    x = L.LeakyReLU(0.1)(L.Conv2D(8, 3, name="c1")(image))
    x = L.PReLU(shared_axes=[1, 2], name="pr")(L.Conv2D(8, 3, name="c2")(x))
    return L.Activation("tanh")(L.Conv2D(8, 1, activation="sigmoid", name="c3")(x))


def up_and_down(image):
    x = L.MaxPooling2D(2)(blocks.conv_norm(image, 8, 3, name="down"))
    x = L.Conv2DTranspose(8, 2, strides=2, activation="relu", name="up")(x)
    return L.Concatenate()([L.UpSampling2D(2)(L.AveragePooling2D(2)(x)), x])


def grouped(image):
    x = blocks.conv_norm(image, 8, 3, name="stem")
    x = L.BatchNormalization(name="bn")(L.Conv2D(16, 3, groups=4, padding="same", use_bias=False, name="four")(x))
    return L.ReLU()(x)


def global_max(image):
    return L.GlobalMaxPooling2D(keepdims=True)(blocks.conv_norm(image, 12, 3, name="stem"))


def rows(image):
    x = L.Reshape((16, 48), name="rows")(image)
    x = L.ReLU()(L.BatchNormalization(name="bn")(L.Conv1D(16, 3, padding="same", name="along")(x)))
    return L.Reshape((16, 1, 16), name="maps")(x)


def layer_normalised(image):
    x = L.Conv2D(16, 3, padding="same", name="stem")(image)
    return L.Activation("gelu")(L.Conv2D(16, 1, name="p")(L.LayerNormalization(name="ln")(x)))


def applied_again(image):
    """One convolution three times, each time on values some eight times as large."""
    x = L.Conv2D(8, 3, padding="same", name="stem")(image)
    wide = keras.initializers.RandomNormal(stddev=0.9, seed=3)
    step = L.Conv2D(8, 3, padding="same", activation="relu", kernel_initializer=wide, name="step")
    return L.Rescaling(1 / 400)(step(step(step(x))))


def one_relu_for_all(image):
    """A ReLU without a state, made once and called everywhere, as models from other frameworks have it."""
    relu = L.ReLU(name="relu")
    x = relu(L.Conv2D(8, 3, padding="same", name="a")(L.Rescaling(40.0)(image)))
    return relu(L.Conv2D(8, 3, padding="same", name="b")(L.Rescaling(1 / 100)(x)))


KINDS = [
    residual, pre_activation, dense_block, inception, squeeze_excite, inverted_residual, hard_swish_gates, swish_gates,
    separable, other_activations, up_and_down, grouped, global_max, rows, applied_again, one_relu_for_all,
]  # fmt: skip
QUICK = (residual, squeeze_excite, inverted_residual, other_activations, up_and_down, grouped, applied_again)


def trained(make):
    keras.utils.set_random_seed(0)
    image = blocks.image_input(SPEC.input_shape)
    model = closed(image, make(image))
    head = model.get_layer("output")
    head.kernel.assign(head.kernel * 6)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.2, 1.0, layer.moving_variance.shape))
    data = synthetic(SPEC)
    return quantize_aware(model, SPEC, data, RECIPE), data, {layer.name for layer in model.layers}


def convert_qat(model, data, out, path=Path("qat.keras"), sha256="0" * 64, **options):
    manifest = manifest_for(SPEC, recipe={"step": "qat"}, method="qat")
    loaded = LoadedModel(model=model, manifest=manifest, path=path, sha256=sha256)
    return convert(
        loaded, format=out.suffix[1:], scheme="int8", method="qat", out=out, dataset=data, force=True, **options
    )


@pytest.mark.parametrize("make", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in KINDS])
def test_the_file_is_integer_and_answers_like_the_trained_model(make, tmp_path):
    done, data, names = trained(make)
    assert done.unquantised == ()
    made = convert_qat(done.model, data, tmp_path / "m.tflite")
    assert [t.name for t in read_tflite(made.path).tensors if t.dtype.startswith("float")] == []
    assert made.check.sqnr_db is None or made.check.sqnr_db > 17  # None: not a bit of difference
    assert set(made.manifest.layer_map) - {""} <= names


@pytest.mark.parametrize("make", [applied_again, one_relu_for_all])
def test_each_call_of_a_shared_layer_has_its_own_range(make):
    done = trained(make)[0]
    behind = [layer for layer in done.model.layers if layer.name.startswith(CALL_QUANTIZER)]
    tops = [next(float(w) for w in layer.weights if "max" in w.name) for layer in behind]
    assert len(tops) == (3 if make is applied_again else 2)
    assert max(tops) > 10 * min(tops)


def test_layers_of_many_weights_keep_them_in_their_places():
    """Both directions of a recurrent layer have a kernel and a bias of the same short names."""
    keras.utils.set_random_seed(0)
    image = blocks.image_input(SPEC.input_shape)
    x = L.Reshape((16, 48))(L.Conv2D(3, 3, padding="same", activation="relu", name="stem")(image))
    x = L.Bidirectional(L.GRU(6, unroll=True), name="both")(x)
    model = blocks.model(image, blocks.classifier(x, len(LABELS)), name="kind")
    aware, _ = annotated(model)
    bare = without_weight_rounding(aware)
    for wanted, found in zip(aware.get_layer("both").get_weights(), bare.get_layer("both").get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_layer_without_fake_quantisation_is_named_and_calibrated(tmp_path):
    done, data, _ = trained(layer_normalised)
    assert done.unquantised == ("ln",)
    with pytest.raises(ConversionError, match="have no range"):
        convert_qat(done.model, data, tmp_path / "m.tflite")
    made = convert_qat(done.model, data, tmp_path / "m.tflite", calibration=profiles.calibration("minmax"))
    assert [t.name for t in read_tflite(made.path).tensors if t.dtype.startswith("float")] == []
    assert made.check.sqnr_db > 12


def test_depthwise_weights_have_a_scale_per_channel(tmp_path):
    done, data, _ = trained(inverted_residual)
    graph = read_tflite(convert_qat(done.model, data, tmp_path / "m.tflite").path)
    (depthwise,) = [op for op in graph.ops if op.op == "DEPTHWISE_CONV_2D"]
    assert len(graph.tensors[depthwise.inputs[1]].scales) == 24


@pytest.mark.slow
def test_hard_swish_is_one_operator_and_sigmoids_keep_their_prescribed_scale(tmp_path):
    done, data, _ = trained(hard_swish_gates)
    made = convert_qat(done.model, data, tmp_path / "m.tflite", target="ethos-u65-256")
    assert [op.op for op in read_tflite(made.path).ops].count("HARD_SWISH") == 2
    done, data, _ = trained(squeeze_excite)
    ops = [op.op for op in read_tflite(convert_qat(done.model, data, tmp_path / "m.tflite").path).ops]
    assert "QUANTIZE" not in ops


def test_onnx_answers_alike(tmp_path):
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    done, data, _ = trained(squeeze_excite)
    assert convert_qat(done.model, data, tmp_path / "m.onnx").check.sqnr_db > 17


def test_a_saved_model_makes_the_same_file(tmp_path):
    done, data, _ = trained(inverted_residual)
    direct = convert_qat(done.model, data, tmp_path / "direct.tflite")
    manifest = manifest_for(SPEC, recipe={"step": "qat"}, method="qat")
    path = save_keras(done.model, tmp_path / "qat.keras", manifest)
    again = convert_qat(load_keras(path).model, data, tmp_path / "again.tflite")
    assert again.path.read_bytes() == direct.path.read_bytes()
