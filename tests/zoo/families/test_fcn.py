import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.zoo import blocks
from tests.zoo.outline import cases, conv, figures, outline, shapes, size

GOLDEN = {
    ("fcn32s", "canonical"): (136_152_917, 136_152_917, 21_296_701_440),
    ("fcn32s", "edge"): (27_868_965, 27_868_965, 16_107_309_008),
    ("fcn16s", "canonical"): (134_815_994, 134_815_994, 21_299_154_576),
    ("fcn16s", "edge"): (27_879_738, 27_879_738, 16_109_416_400),
    ("fcn8s", "canonical"): (134_489_759, 134_489_759, 21_304_752_336),
    ("fcn8s", "edge"): (27_885_135, 27_885_135, 16_113_631_184),
}
TRUNK = 14_714_688  # VGG16's convolutions: tf_keras.applications.VGG16(include_top=False)
TRUNK_MACS = 15_346_630_656  # at 224x224


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize(("variant", "hidden"), [("canonical", 4096), ("edge", 512)])
def test_by_arithmetic(stride, variant, hidden):
    skips = {32: (), 16: ((512, 14),), 8: ((512, 14), (256, 28))}[stride]
    steps = [2] * (stride.bit_length() - 1) if variant == "edge" else [stride]
    kernels = [21 * 21 * (2 * factor) ** 2 for factor in [2] * len(skips) + steps]
    # A transposed convolution multiplies its whole kernel with each place of its input.
    sides = np.cumprod([7] + [2] * len(skips) + steps).tolist()
    parameters = TRUNK + conv(7, 512, hidden) + conv(1, hidden, hidden) + conv(1, hidden, 21)
    parameters += sum(conv(1, channels, 21) for channels, _ in skips) + sum(kernels)
    macs = TRUNK_MACS + 7 * 7 * (49 * 512 * hidden + hidden * hidden + hidden * 21)
    macs += sum(size(side, side, channels, 21) for channels, side in skips)
    macs += sum(side * side * kernel for side, kernel in zip(sides, kernels, strict=False))
    assert GOLDEN[f"fcn{stride}s", variant] == (parameters, parameters, macs)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fcn32s", [(7, 7, 21), (224, 224, 21)]),
        ("fcn16s", [(7, 7, 21), (14, 14, 21), (224, 224, 21)]),
        ("fcn8s", [(7, 7, 21), (14, 14, 21), (28, 28, 21), (224, 224, 21)]),
    ],
)
def test_stages(name, expected):
    for variant in ("canonical", "edge"):
        found = shapes(outline(name, variant=variant)[0])
        assert [found[layer] for layer in ("score", "sum16", "sum8", "mask") if layer in found] == expected


def test_sizes_are_multiples_of_32():
    model, spec = outline("fcn8s", input_shape=(64, 96, 3), labels=("a", "b"))
    assert model.output_shape == (None, 64, 96, 2)
    assert (spec.head.task, spec.head.activation) == ("segmentation", "logits")
    with pytest.raises(ConfigError, match="multiples of 32, got 224x200"):
        outline("fcn8s", input_shape=(224, 200, 3))


def test_transposed_convolutions_start_as_interpolation():
    model, _ = zoo.build("fcn16s", variant="edge", input_shape=(32, 32, 3), width=0.125, labels=("a", "b"))
    found = [layer for layer in model.layers if type(layer).__name__ == "Conv2DTranspose"]
    assert [layer.name for layer in found] == ["up16", "up_1", "up_2", "up_3", "mask"]
    for layer in found:
        (kernel,) = layer.get_weights()
        np.testing.assert_array_equal(kernel, blocks.bilinear_kernel(2, 2))


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_a_constant_and_a_ramp_stay_what_they_are(factor):
    side = 4
    middle = slice(factor // 2, factor * side - factor // 2)  # beyond it lie zeros of the border
    constant = np.full((1, side, side, 1), 3.0, np.float32)
    np.testing.assert_allclose(_enlarged(constant, factor)[0, middle, middle, 0], 3.0, rtol=1e-6)
    ramp = np.arange(side, dtype=np.float32)
    centres = (np.arange(factor * side) + 0.5) / factor - 0.5
    across = _enlarged(np.broadcast_to(ramp[None, None, :, None], constant.shape), factor)[0, middle, middle, 0]
    np.testing.assert_allclose(across, np.broadcast_to(centres[middle], across.shape), atol=1e-5)


@pytest.mark.parametrize("factor", [2, 8])
def test_enlarging_is_bilinear_resizing_inside_and_mixes_no_channels(factor):
    x = np.random.default_rng(0).random((1, 4, 5, 3), dtype=np.float32)
    found = _enlarged(x, factor)
    expected = env.tensorflow().image.resize(x, (4 * factor, 5 * factor)).numpy()
    half = factor // 2
    np.testing.assert_allclose(found[:, half:-half, half:-half], expected[:, half:-half, half:-half], atol=1e-5)
    assert found[0, 0, 0] == pytest.approx(x[0, 0, 0] * (0.5 + 0.5 / factor) ** 2)  # the rest is of zeros beyond


def _enlarged(x, factor):
    image = blocks.image_input(x.shape[1:])
    return blocks.model(image, blocks.bilinear_transposed(image, factor, name="up"), name="up")(x).numpy()
