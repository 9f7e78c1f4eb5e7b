"""Pictures made step by step: the loss falls, a killed run ends as an uninterrupted one, and what is wrong is said."""

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError
from edgecv.core.progress import Quiet
from edgecv.train.style.backbones import backbone
from edgecv.train.style.losses import StyleLoss
from edgecv.train.style.transfer import TransferRecipe, transfer

LOSS = StyleLoss(
    form="book", content_layers=("block4_conv2",), content_weight=0.1, style_weight=10.0, variation_weight=30.0
)


def waves(colors, period, size=(48, 64)):
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    level = (0.5 + 0.5 * np.sin(2 * np.pi * (x + 3 * np.sin(y / 5)) / period))[..., None]
    dark, light = np.asarray(colors, np.float32)
    return np.asarray(dark + level * (light - dark), np.float32)


CONTENT = waves(((0.1, 0.1, 0.5), (0.6, 0.8, 0.9)), 40)
STYLE = waves(((0.9, 0.3, 0.0), (0.0, 0.4, 0.2)), 9, (40, 40))


class Listener(Quiet):
    def __init__(self):
        self.said, self.warned = [], []

    def info(self, message):
        self.said.append(message)

    def warn(self, message):
        self.warned.append(message)


@pytest.fixture(scope="module")
def network():
    return backbone("embedded", LOSS.layers, pooling="average")


def made(network, steps, **options):
    return transfer(CONTENT, STYLE, network, LOSS, TransferRecipe(steps=steps, save_every=5), **options)


@pytest.fixture(scope="module")
def whole(network):
    return made(network, 30)


@pytest.mark.parametrize("form", ["paper", "book"])
def test_thirty_steps_lower_the_loss_tenfold_and_never_raise_it(form):
    from edgecv.jobs.style import LossPlan

    content, style = (photograph(name) for name in ("china.jpg", "flower.jpg"))
    loss = LossPlan(form=form).loss()
    own = backbone("embedded", loss.layers, pooling="average")
    found = transfer(content, style, own, loss, TransferRecipe(steps=30))
    assert len(found.losses) == 31
    assert all(after < before for before, after in zip(found.losses, found.losses[1:], strict=False))
    assert found.losses[0] / found.losses[-1] >= 10


def photograph(name):
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image(name)).resize((144, 96), Image.Resampling.LANCZOS)
    return np.asarray(picture, np.float32) / 255


def test_the_picture_takes_the_styles_colours(whole):
    assert whole.losses[-1] >= whole.content + whole.style
    assert (whole.picture.shape, whole.picture.dtype) == (CONTENT.shape, np.float32)
    assert 0 <= whole.picture.min() < whole.picture.max() <= 1
    means = [image.reshape(-1, 3).mean(axis=0) for image in (whole.picture, STYLE, CONTENT)]
    assert np.abs(means[0] - means[1]).sum() < 0.5 * np.abs(means[2] - means[1]).sum()


class Killed(Exception):
    pass


def test_a_killed_run_ends_with_the_picture_of_an_uninterrupted_one(network, whole, tmp_path):
    state = tmp_path / "state"

    def kill(step, picture):
        if step == 17:
            raise Killed

    with pytest.raises(Killed):
        made(network, 30, state=state, preview=kill, preview_every=1)
    listener, seen = Listener(), []
    again = made(
        network, 30, state=state, reporter=listener, preview=lambda step, _: seen.append(step), preview_every=6
    )
    assert listener.said == [f"resuming after step 15 from {state}"]
    assert seen == [18, 24, 30]
    np.testing.assert_array_equal(again.picture, whole.picture)
    assert again.losses == whole.losses
    longer = made(network, 31, state=state, reporter=listener)
    assert longer.losses[:31] == whole.losses


def test_states_that_cannot_serve_are_told(network, tmp_path):
    state, listener = tmp_path / "state", Listener()
    state.write_bytes(b"no state")
    first = made(network, 5, state=state, reporter=listener)
    assert "not a readable state" in listener.warned[0]
    other = TransferRecipe(steps=5, learning_rate=0.01)
    transfer(CONTENT, STYLE, network, LOSS, other, state=state, reporter=listener)
    assert "another run" in listener.warned[1]
    assert not listener.said
    assert len(first.losses) == 6


def test_noise_is_a_start_too(network):
    recipes = [TransferRecipe(steps=1, start="noise", seed=seed) for seed in (1, 1, 2)]
    found = [transfer(CONTENT, STYLE, network, LOSS, recipe).picture for recipe in recipes]
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.1


def test_what_cannot_be_made(network):
    with pytest.raises(ConfigError, match="style has 40x16 pixels"):
        transfer(CONTENT, STYLE[:16], network, LOSS, TransferRecipe(steps=1))
    for wrong in ({"steps": 0}, {"learning_rate": 0.0}, {"beta_1": 1.0}):
        with pytest.raises(ConfigError):
            TransferRecipe(**wrong)
    poor = StyleLoss(**{**{f: getattr(LOSS, f) for f in LOSS.__slots__}, "style_weight": float("inf")})
    with pytest.raises(ConfigError, match="the loss became"):
        transfer(CONTENT, STYLE, network, poor, TransferRecipe(steps=2))
