import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from tests.zoo.outline import cases, conv, figures, norm, outline, shapes

GOLDEN = {
    ("fast_style", "canonical"): (1_680_835, 1_677_635, 8_266_973_184),
    ("fast_style", "nearest"): (1_680_835, 1_677_635, 10_078_912_512),
    ("fast_style", "edge"): (29_187, 28_195, 226_033_664),
    ("fast_style", "instance"): (28_195, 28_195, 226_033_664),
    ("dncnn_small", "canonical"): (9_777, 9_649, 38_928_384),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_parameters_by_arithmetic():
    down = conv(9, 3, 32, bias=False) + conv(3, 32, 64, bias=False) + conv(3, 64, 128, bias=False)
    blocks = 10 * (conv(3, 128, 128, bias=False) + norm(128))
    up = conv(3, 128, 64, bias=False) + conv(3, 64, 32, bias=False) + conv(9, 32, 3)
    norms = norm(32) + norm(64) + norm(128) + norm(64) + norm(32)
    assert GOLDEN["fast_style", "canonical"][1] == down + blocks + up + norms
    assert GOLDEN["dncnn_small", "canonical"][1] == conv(3, 1, 16) + 4 * (
        conv(3, 16, 16, bias=False) + norm(16)
    ) + conv(3, 16, 1)


def test_maps_of_a_quarter_and_pictures_of_the_whole():
    for variant in ("canonical", "edge"):
        found = shapes(outline("fast_style", variant=variant)[0])
        assert found["res1_add"][:2] == (64, 64)
        assert found["picture"] == (256, 256, 3)


def test_pictures_lie_between_black_and_white_and_a_denoiser_starts_near_its_image():
    image = np.random.default_rng(0).uniform(0, 1, (1, 32, 32, 3)).astype(np.float32)
    model, _ = zoo.build("fast_style", variant="edge", input_shape=(32, 32, 3))
    made = model(image).numpy()
    assert 0 <= made.min() < made.max() <= 1
    denoiser, _ = zoo.build("dncnn_small", input_shape=(32, 32, 1))
    gray = image[..., :1]
    noise = gray - denoiser(gray).numpy()
    np.testing.assert_allclose(noise, _noise(denoiser, gray), atol=1e-6)


def _noise(model, gray):
    from edgecv.modelio import env

    return env.keras().Model(model.input, model.get_layer("noise").output)(gray).numpy()


def test_sides_are_multiples_of_four():
    with pytest.raises(ConfigError, match="multiples of 4"):
        zoo.build("fast_style", variant="edge", input_shape=(34, 32, 3))
