import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from tests.zoo.outline import cases, conv, figures, norm, outline, shapes

GOLDEN = {
    ("deeplab_mnv2", "canonical"): (2_146_645, 2_113_557, 651_051_008),
    ("deeplab_mnv2", "edge"): (2_146_645, 2_113_557, 634_339_328),
    ("deeplab_mnv2", "upsampled"): (2_146_645, 2_113_557, 634_339_328),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_parameters_by_arithmetic():
    keras = env.keras()
    with zoo.weightless():
        whole = keras.applications.MobileNetV2((256, 256, 3), weights=None)
    last = conv(1, 320, 1280, bias=False) + norm(1280)
    backbone = sum(w.shape.num_elements() for w in whole.trainable_weights) - last - (1280 + 1) * 1000
    head = 2 * conv(1, 320, 256, bias=False) + conv(1, 512, 256, bias=False) + 3 * norm(256) + conv(1, 256, 21)
    assert GOLDEN["deeplab_mnv2", "canonical"][1] == GOLDEN["deeplab_mnv2", "edge"][1] == backbone + head


@pytest.mark.slow
def test_the_map_stays_at_a_sixteenth_and_its_field_grows():
    for variant, last in (("canonical", 16), ("edge", 16), ("upsampled", 256)):
        model, _ = outline("deeplab_mnv2", variant=variant)
        found = shapes(model)
        assert [found[f"block_{index}_project"][0] for index in (5, 12, 13, 16)] == [32, 16, 16, 16]
        assert model.output_shape == (None, last, last, 21)
        assert [model.get_layer(f"block_{index}_depthwise").dilation_rate[0] for index in (13, 14, 15, 16)] == [
            1, 2, 2, 2,
        ]  # fmt: skip


def test_adding_is_joining():
    options = {"input_shape": (32, 48, 3), "width": 0.35, "labels": ("a", "b", "c")}
    joined, _ = zoo.build("deeplab_mnv2", **options)
    added, _ = zoo.build("deeplab_mnv2", variant="edge", **options)
    for layer in added.layers:
        if layer.weights and not layer.name.startswith("project"):
            layer.set_weights(joined.get_layer(layer.name).get_weights())
    (kernel,) = joined.get_layer("project").get_weights()
    half = kernel.shape[2] // 2
    rng, shape = np.random.default_rng(1), kernel.shape[-1:]
    gamma, _, _, variance = statistics = [rng.uniform(0.5, 1.5, shape).astype(np.float32) for _ in range(4)]
    for model in (joined, added):
        model.get_layer("project_bn").set_weights(statistics)
    factor = gamma / np.sqrt(variance + added.get_layer("project_bn").epsilon)  # there, the mean joins behind the norm
    added.get_layer("project_pooled").set_weights([kernel[:, :, :half] * factor])
    added.get_layer("project").set_weights([kernel[:, :, half:]])
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 48, 3)).astype(np.float32)
    expected = joined(x).numpy()
    assert expected.std() > 0
    np.testing.assert_allclose(added(x).numpy(), expected, atol=1e-5 * np.abs(expected).max())


def test_width_and_sizes():
    assert shapes(outline("deeplab_mnv2", width=0.5)[0])["project"] == (16, 16, 128)
    with pytest.raises(ConfigError, match="multiples of 16, got 100x128"):
        outline("deeplab_mnv2", input_shape=(100, 128, 3))


@pytest.mark.slow
def test_backbone_takes_the_weights_that_are_given(tmp_path):
    keras = env.keras()
    path = tmp_path / "backbone.weights.h5"
    source = keras.applications.MobileNetV2((32, 32, 3), weights=None, include_top=False, alpha=0.35)
    source.save_weights(path)
    model, _ = zoo.build("deeplab_mnv2", variant="edge", input_shape=(32, 32, 3), width=0.35, weights=str(path))
    for name in ("Conv1", "block_13_depthwise", "block_16_project_BN"):
        for found, expected in zip(
            model.get_layer(name).get_weights(), source.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
