"""Gram matrices and both forms of the loss: by hand, against numpy, by properties; golden numbers of the backbones."""

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.train.style import backbones, losses
from edgecv.train.style.losses import CONTENT_LAYER, STYLE_LAYERS, StyleLoss


def test_gram_by_hand():
    maps = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)  # two places, two channels
    np.testing.assert_allclose(losses.gram(maps)[0], np.array([[10, 14], [14, 20]]) / 2)


def test_gram_agrees_with_numpy_and_forgets_places():
    maps = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    found = losses.gram(maps).numpy()
    np.testing.assert_allclose(found, np.einsum("nhwa,nhwb->nab", maps, maps) / 35, rtol=1e-5)
    np.testing.assert_allclose(found, losses.gram(maps[:, ::-1, ::-1]).numpy(), rtol=1e-5)


def test_the_papers_equations():
    rng = np.random.default_rng(1)
    made, content, style = (rng.normal(size=(1, 4, 6, 3)).astype(np.float32) for _ in range(3))
    expected = 0.5 * ((made - content) ** 2).sum()
    assert float(losses.paper_content(made, content)) == pytest.approx(expected, rel=1e-5)
    # Equation 4 as printed: Gram matrices are plain sums, N = 3 channels, M = 24 places.
    g, a = (np.einsum("hwa,hwb->ab", maps[0], maps[0]) for maps in (made, style))
    printed = ((g - a) ** 2).sum() / (4 * 3**2 * 24**2)
    assert float(losses.paper_style(losses.gram(made), losses.gram(style))) == pytest.approx(printed, rel=1e-4)


def test_the_books_means():
    rng = np.random.default_rng(2)
    made, content = (rng.normal(size=(1, 4, 6, 3)).astype(np.float32) for _ in range(2))
    assert float(losses.book_content(made, content)) == pytest.approx(((made - content) ** 2).mean(), rel=1e-5)
    g, a = (np.einsum("hwa,hwb->ab", maps[0], maps[0]) / 24 for maps in (made, content))
    assert float(losses.book_style(losses.gram(made), losses.gram(content))) == pytest.approx(
        ((g - a) ** 2).mean(), rel=1e-4
    )


def test_parts_weigh_layers_alike():
    maps = {name: np.full((1, 2, 2, 2), value, np.float32) for name, value in (("a", 1.0), ("b", 2.0))}
    zero = {name: np.zeros_like(value) for name, value in maps.items()}
    loss = StyleLoss(form="book", content_layers=("a", "b"), style_layers=("a",), content_weight=2.0, style_weight=3.0)
    style = loss.targets(zero)
    parts = loss.parts(maps, zero, style)
    assert float(parts["content"]) == pytest.approx(2.0 * (1 + 4) / 2)
    assert float(parts["style"]) == pytest.approx(3.0 * 1.0)
    assert float(loss.parts(zero, zero, style)["style"]) == 0


def test_flat_pictures_have_no_variation():
    loss = StyleLoss(variation_weight=2.0)
    assert float(loss.variation(np.full((1, 4, 4, 3), 0.3, np.float32))) == 0
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 2).reshape(1, 1, 4, 1).repeat(4, 1).repeat(3, 3)
    assert float(loss.variation(stripes)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "wrong", [{"content_weight": -1.0}, {"content_weight": 0.0, "style_weight": 0.0}, {"style_layers": ()}]
)
def test_weights_that_cannot_be(wrong):
    with pytest.raises(ConfigError):
        StyleLoss(**wrong)


def test_vgg19_has_its_golden_numbers():
    with zoo.weightless():
        model = env.keras().applications.VGG19(include_top=False, weights=None, input_shape=(512, 512, 3))
    found = zoo.profile(model)
    assert (found.parameters, found.macs) == (20_024_384, 101_921_587_200)
    with zoo.weightless():
        own = backbones.vgg19(None)
    assert own.count_params() == 20_024_384
    names = {layer.name for layer in own.layers}
    assert {*STYLE_LAYERS, *CONTENT_LAYER.values()} <= names


def test_the_small_network_is_what_ships():
    assert backbones.SHIPPED.stat().st_size < 300_000
    assert backbones.texture_net().count_params() == 126_944
    found = backbones.backbone("embedded", (*STYLE_LAYERS, "block4_conv2"))
    maps = found.features(np.zeros((1, 64, 48, 3), np.float32))
    beyond = 2 * backbones.MIRRORED
    assert maps["block1_conv1"].shape == (1, 64 + beyond, 48 + beyond, 16)
    assert maps["block5_conv1"].shape == (1, 5, 4, 64)


def test_average_pools_keep_the_weights_and_are_another_network():
    layers = ("block2_conv1",)
    one, other = (backbones.backbone("embedded", layers, pooling=how) for how in ("max", "average"))
    assert one.digest != other.digest
    flat, noise = np.full((1, 32, 32, 3), 0.4, np.float32), np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    differ = [np.abs(one.features(x)[layers[0]] - other.features(x)[layers[0]]).max() for x in (flat, noise)]
    # Of a flat picture every window is flat, but for the zeros at the border.
    inner = np.s_[:, 4:-4, 4:-4]
    maps = [found.features(flat)[layers[0]][inner] for found in (one, other)]
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-3, atol=1e-3)
    assert differ[1] > 1e-3


def test_requests_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="block9_conv1"):
        backbones.backbone("embedded", ("block9_conv1",))
    with pytest.raises(ConfigError, match="does not exist"):
        backbones.backbone("no.h5", STYLE_LAYERS)
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="holds no weights of VGG19"):
        backbones.backbone(str(tmp_path / "broken.h5"), STYLE_LAYERS)
    other = env.keras().Sequential([env.keras().layers.Dense(2, input_shape=(3,), name="elsewhere")])
    other.save_weights(str(tmp_path / "other.h5"))
    with pytest.raises(ConfigError, match="lacks VGG19's block1_conv1"):
        backbones.backbone(str(tmp_path / "other.h5"), STYLE_LAYERS)


def test_weights_of_a_file_are_taken(tmp_path):
    env.keras().utils.set_random_seed(3)
    source = backbones.vgg19(None)
    source.save_weights(str(tmp_path / "vgg19.h5"))
    env.keras().utils.set_random_seed(4)
    found = backbones.backbone(str(tmp_path / "vgg19.h5"), ("block1_conv1",))
    np.testing.assert_array_equal(
        found.model.get_layer("block1_conv1").get_weights()[0], source.get_layer("block1_conv1").get_weights()[0]
    )
    image = np.full((1, 32, 32, 3), 0.5, np.float32)
    np.testing.assert_allclose(found.prepared(image)[0, 0, 0], 127.5 - np.array([103.939, 116.779, 123.68]), rtol=1e-6)
