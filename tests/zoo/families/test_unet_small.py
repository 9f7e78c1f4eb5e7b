import pytest

from edgecv.core.errors import ConfigError
from tests.zoo.outline import cases, conv, figures, outline, shapes, size

GOLDEN = {
    ("unet_small", "canonical"): (1_862_979, 1_862_979, 6_339_690_496),
    ("unet_small", "bilinear"): (2_067_779, 2_067_779, 8_487_174_144),
    ("unet_small", "nearest"): (2_067_779, 2_067_779, 8_487_174_144),
    ("unet_small", "edge"): (2_071_619, 2_069_059, 8_487_174_144),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


@pytest.mark.parametrize(("variant", "kernel"), [("canonical", 2), ("bilinear", 3)])
def test_unet_by_arithmetic(variant, kernel):
    def pair(inputs, filters, side):
        return [(9 * inputs, filters, side), (9 * filters, filters, side)]

    layers = pair(3, 64, 128) + pair(64, 128, 64) + pair(128, 256, 32) + pair(256, 128, 64) + pair(128, 64, 128)
    layers.append((64, 3, 128))
    for inputs, filters, side in ((256, 128, 64), (128, 64, 128)):
        # A transposed convolution of stride 2 spends its four weights on four pixels: one each.
        layers.append((kernel**2 * inputs, filters, side // 2 if variant == "canonical" else side))
    parameters = sum(inputs * filters + filters for inputs, filters, _ in layers)
    macs = sum(inputs * filters * size(side, side) for inputs, filters, side in layers)
    assert GOLDEN["unet_small", variant] == (parameters, parameters, macs)


def test_normalisation_has_four_values_a_channel_in_place_of_a_bias():
    channels = 2 * (64 + 128 + 256 + 128 + 64)
    parameters, trainable, macs = GOLDEN["unet_small", "edge"]
    assert (parameters, trainable) == (2_067_779 + 3 * channels, 2_067_779 + channels)
    assert macs == GOLDEN["unet_small", "bilinear"][2]


@pytest.mark.parametrize("variant", ["canonical", "bilinear", "nearest"])
def test_stages(variant):
    found = shapes(outline("unet_small", variant=variant)[0])
    assert [found[name] for name in ("down1b", "down2b", "bottomb", "up2_concat", "up1_concat", "mask")] == [
        (128, 128, 64), (64, 64, 128), (32, 32, 256), (64, 64, 256), (128, 128, 128), (128, 128, 3),
    ]  # fmt: skip


def test_any_size_that_is_a_multiple_of_four():
    model, spec = outline("unet_small", input_shape=(20, 36, 3), width=0.25, labels=("a", "b"))
    assert model.output_shape == (None, 20, 36, 2)
    assert spec.head.task == "segmentation"
    with pytest.raises(ConfigError, match="multiples of 4, got 30x32"):
        outline("unet_small", input_shape=(30, 32, 3))


def test_width_scales_the_channels():
    assert shapes(outline("unet_small", width=0.25)[0])["bottomb"] == (32, 32, 64)
    assert conv(3, 3, 16) == outline("unet_small", width=0.25)[0].get_layer("down1a").count_params()
