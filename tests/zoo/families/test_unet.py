import pytest

from edgecv.core.errors import ConfigError
from edgecv.tasks.registry import task_of
from tests.zoo.outline import cases, conv, figures, norm, outline, shapes

GOLDEN = {
    ("unet", "canonical"): (31_030_658, 31_030_658, 150_428_424_448),
    ("unet_same", "canonical"): (31_031_875, 31_031_875, 48_175_775_744),
    ("unet_same", "edge"): (34_531_139, 34_519_363, 65_355_644_928),
}
FILTERS = (64, 128, 256, 512, 1024)


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def _pairs(channels, *, bias):
    down = [(a, b) for a, b in zip((channels, *FILTERS), FILTERS, strict=False)]
    up = [(2 * b, b) for b in FILTERS[:-1]]
    return sum(conv(3, a, b, bias=bias) + conv(3, b, b, bias=bias) for a, b in down + up)


@pytest.mark.parametrize(("name", "channels", "classes"), [("unet", 1, 2), ("unet_same", 3, 3)])
def test_parameters_by_arithmetic(name, channels, classes):
    up = sum(4 * 2 * b * b + b for b in FILTERS[:-1])
    assert GOLDEN[name, "canonical"][0] == _pairs(channels, bias=True) + up + conv(1, 64, classes)


def test_parameters_of_the_edge_by_arithmetic():
    norms = 2 * norm(sum(FILTERS) + sum(FILTERS[:-1]))
    up = sum(conv(3, 2 * b, b) for b in FILTERS[:-1])
    trainable = _pairs(3, bias=False) + norms + up + conv(1, 64, 3)
    assert GOLDEN["unet_same", "edge"][:2] == (trainable + norms, trainable)


def test_stages_without_padding():
    found = shapes(outline("unet")[0])
    down = [found[f"down{step}b"][0] for step in (1, 2, 3, 4)]
    up = [found[f"up{step}b"][0] for step in (4, 3, 2, 1)]
    assert (down, found["bottomb"], up) == ([568, 280, 136, 64], (28, 28, 1024), [52, 100, 196, 388])
    assert [found[f"up{step}_concat"] for step in (4, 1)] == [(56, 56, 1024), (392, 392, 128)]
    assert found["mask"] == (388, 388, 2)


def test_stages_with_padding():
    model, _ = outline("unet_same")
    found = shapes(model)
    assert [found[name][0] for name in ("down1b", "down4b", "bottomb", "up4b", "mask")] == [256, 32, 16, 32, 256]
    assert not [name for name in found if "crop" in name]


@pytest.mark.parametrize("shape", [(572, 572, 1), (188, 236, 1)])
def test_the_output_is_about_the_middle_of_the_input(shape):
    model, spec = outline("unet", input_shape=shape)
    left, top, right, bottom = spec.head.settings["covers"]
    assert (bottom - top, right - left) == model.output_shape[1:3]
    assert (left, top) == (shape[1] - right, shape[0] - bottom) == (92, 92)
    task_of(spec.head).check(spec.head, [(1, *model.output_shape[1:])])


def test_sizes():
    with pytest.raises(ConfigError, match="multiples of 16 and 12 more, got 576x572"):
        outline("unet", input_shape=(576, 572, 1))
    with pytest.raises(ConfigError, match="multiples of 16, got 250x256"):
        outline("unet_same", input_shape=(250, 256, 3))
    assert shapes(outline("unet_same", width=0.25)[0])["bottomb"] == (16, 16, 256)
