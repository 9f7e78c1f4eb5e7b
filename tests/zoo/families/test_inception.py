import numpy as np
import pytest

from edgecv import zoo
from edgecv.convert import convert
from edgecv.core.errors import ConfigError
from edgecv.graphs import read_graph
from edgecv.modelio import LoadedModel, env, manifest_for, save_keras
from edgecv.zoo import blocks
from edgecv.zoo.families import inception
from tests.zoo.outline import cases, conv, dense, figures, norm, outline, shapes, sides, size

GOLDEN = {
    ("googlenet", "canonical"): (6_998_552, 6_998_552, 1_582_671_872),
    ("googlenet", "lrn"): (6_998_552, 6_998_552, 1_582_671_872),
    ("googlenet", "norm"): (7_020_392, 7_005_832, 1_582_671_872),
    ("se_googlenet", "canonical"): (7_478_655, 7_478_655, 1_583_146_144),
    ("googlenet_small", "canonical"): (252_282, 250_050, 45_779_456),
    ("inception_cifar", "canonical"): (2_106_250, 2_106_250, 145_162_240),
    ("inception_cifar", "edge"): (142_090, 142_090, 143_198_080),
}
TINY = {"labels": ("a", "b", "c"), "input_shape": (64, 64, 3), "width": 0.125}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_golden_numbers_with_auxiliary_classifiers():
    assert figures("googlenet", "canonical", auxiliary=True) == (13_378_280, 13_378_280, 1_591_044_096)


def test_stages_of_googlenet():
    found = shapes(outline("googlenet")[0])
    concats = {name[:2]: shape for name, shape in found.items() if name.endswith("_concat")}
    assert concats == {
        "3a": (28, 28, 256), "3b": (28, 28, 480), "4a": (14, 14, 512), "4b": (14, 14, 512), "4c": (14, 14, 512),
        "4d": (14, 14, 528), "4e": (14, 14, 832), "5a": (7, 7, 832), "5b": (7, 7, 1024),
    }  # fmt: skip
    assert sides("googlenet", "conv1", "pool1", "pool2", "pool3", "pool4") == [112, 56, 28, 14, 7]


def test_gates_and_normalisations_by_arithmetic():
    channels = [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    gates = sum(dense(c, c // 16, c) for c in channels)
    assert GOLDEN["se_googlenet", "canonical"][0] - GOLDEN["googlenet", "canonical"][0] == gates
    assert dense(256, 16, 256) == 8_464
    widths = [w for _, module in inception.MODULES if module for w in module]
    outputs = sum(widths) + 64 + 64 + 192
    # batch normalisation has four values a channel in place of the bias, two of which train
    assert GOLDEN["googlenet", "norm"][0] - GOLDEN["googlenet", "canonical"][0] == 3 * outputs
    assert GOLDEN["googlenet", "norm"][1] - GOLDEN["googlenet", "canonical"][1] == outputs


def test_the_small_net_by_arithmetic():
    stem, inputs = conv(3, 3, 32, bias=False) + norm(32), 32
    total, macs = stem, 32 * 32 * 27 * 32
    for side, one, reduce3, three, reduce5, five, last in (
        (32, 16, 16, 24, 4, 8, 8), (32, 24, 24, 32, 8, 16, 8),
        (16, 32, 32, 48, 8, 16, 16), (16, 32, 32, 64, 8, 16, 16),
        (8, 48, 48, 96, 16, 32, 16), (8, 64, 48, 128, 16, 32, 32),
    ):  # fmt: skip
        kernels = inputs * (one + reduce3 + reduce5 + last) + 9 * reduce3 * three + 25 * reduce5 * five
        total += kernels + norm(one + reduce3 + three + reduce5 + five + last)
        macs += side * side * kernels
        inputs = one + three + five + last
    assert GOLDEN["googlenet_small", "canonical"][1:] == (total + dense(inputs, 10), macs + inputs * 10)
    assert sides("googlenet_small", "conv1", "pool3", "pool4") == [32, 16, 8]


def small_model(shape, build):
    image = blocks.image_input(shape)
    return blocks.model(image, build(image), name="module")


def test_naive_module_is_parallel_not_deep():
    naive = small_model((28, 28, 1), lambda x: inception.naive_module(x, 32, name="m"))
    assert naive.count_params() == 64 + 320 + 832 == 1_216
    assert naive.output_shape == (None, 28, 28, 3 * 32 + 1)

    def row(x):
        for kernel in (1, 3, 5):
            x = blocks.conv(x, 32, kernel, name=f"c{kernel}")
        return x

    assert small_model((28, 28, 1), row).count_params() == 64 + 9_248 + 25_632 == 34_944


def test_reduction_makes_a_module_seven_times_cheaper():
    naive = zoo.profile(small_model((28, 28, 256), lambda x: inception.naive_module(x, 8, name="m")))
    reduced = zoo.profile(small_model((28, 28, 256), lambda x: inception.module(x, (8,) * 6, name="m")))
    assert (naive.parameters, reduced.parameters) == (71_704, 10_416)
    assert naive.macs == size(28, 28) * 256 * 8 * (1 + 9 + 25)
    assert (round(naive.macs / 1e6, 1), round(reduced.macs / 1e6, 1)) == (56.2, 8.1)


def test_the_edge_variant_pools_before_the_classifier():
    branches = conv(1, 3, 64) + conv(3, 64, 64) + conv(1, 3, 64) + conv(5, 64, 64) + conv(1, 3, 64)
    assert GOLDEN["inception_cifar", "canonical"][0] == branches + dense(32 * 32 * 192, 10)
    assert GOLDEN["inception_cifar", "edge"][0] == branches + dense(192, 10)


def test_auxiliary_classifiers_share_the_trunk_and_come_off():
    model, spec = zoo.build("googlenet", auxiliary=True, **TINY)
    assert model.output_names == ["output", "aux_4a_output", "aux_4d_output"]
    assert [len(spec.heads), model.get_layer("aux_4a_drop").rate, model.get_layer("drop").rate] == [1, 0.7, 0.4]
    inner = zoo.inference(model, spec)
    assert inner.output_names == ["output"]
    assert not [layer.name for layer in inner.layers if layer.name.startswith("aux")]
    assert inner.count_params() == zoo.build("googlenet", **TINY)[0].count_params()
    image = np.random.default_rng(0).random((2, 64, 64, 3), dtype=np.float32)
    np.testing.assert_array_equal(model(image)[0], inner(image))


def test_auxiliary_classifiers_and_dropout_never_reach_a_file(tmp_path):
    model, spec = zoo.build("googlenet", auxiliary=True, **TINY)
    step(model)
    inner = zoo.inference(model, spec)
    source = LoadedModel(model=inner, manifest=None, path=tmp_path / "googlenet.keras", sha256="0" * 64)
    made = convert(source, format="tflite", scheme="float32", out=tmp_path / "googlenet.tflite", spec=spec)
    layers = set(made.manifest.layer_map)
    assert not [name for name in layers if name.startswith("aux") or "drop" in name]
    assert {"conv1", "3a_1x1", "5b_concat", "output"} <= layers
    weights = [t for t in read_graph(made.path).tensors if t.is_constant and t.dtype == "float32"]
    assert sum(t.elements for t in weights) == inner.count_params()


def test_a_model_with_more_outputs_than_heads_is_refused(tmp_path):
    model, spec = zoo.build("googlenet", auxiliary=True, **TINY)
    source = LoadedModel(model=model, manifest=None, path=tmp_path / "googlenet.keras", sha256="0" * 64)
    with pytest.raises(ConfigError, match=r"no head of the spec reads the model.s outputs .*\n.*zoo\.inference"):
        convert(source, format="tflite", scheme="float32", out=tmp_path / "googlenet.tflite", spec=spec)
    with pytest.raises(ConfigError, match=r"no head of the spec reads the model.s outputs .*\n.*zoo\.inference"):
        save_keras(model, source.path, manifest_for(spec, recipe={"step": "train"}))
    assert not list(tmp_path.iterdir())


def step(model):
    """One step of gradient descent on all three classifiers: the trunk learns from each."""
    tf = env.tensorflow()
    rng = np.random.default_rng(0)
    image, label = rng.random((4, 64, 64, 3), dtype=np.float32), rng.integers(0, 3, 4)
    before = model.get_layer("conv1").get_weights()[0]
    with tf.GradientTape() as tape:
        outputs = model(image, training=True)
        entropies = [tf.keras.losses.sparse_categorical_crossentropy(label, out) for out in outputs]
        loss = tf.add_n([tf.reduce_mean(e) for e in entropies])
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(0.1 * gradient)
    assert (model.get_layer("conv1").get_weights()[0] != before).any()
