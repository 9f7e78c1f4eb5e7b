"""Channels that say nothing, and taking out those that are named."""

import numpy as np
import pytest

from edgecv.compress import slim as channels
from edgecv.compress.layer_graph import read
from edgecv.compress.slim import named, plan
from edgecv.compress.slim.useless import silent, useless
from edgecv.core.errors import ConfigError
from edgecv.modelio import env


def network(*, residual=False):
    """Two convolutions and a dense layer on flattened maps; of the first, channel 1 is dead and 3 twice channel 0."""
    keras = env.keras()
    keras.utils.set_random_seed(3)
    given = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="one")(given)
    y = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="two")(x)
    y = keras.layers.Add(name="sum")([x, y]) if residual else y
    x = keras.layers.Flatten(name="flat")(keras.layers.MaxPooling2D(name="pool")(y))
    model = keras.Model(given, keras.layers.Dense(3, name="output")(x), name="net")
    kernel, bias = model.get_layer("one").get_weights()
    bias[:] = 0.1
    bias[1], kernel[..., 1] = -9, 0
    bias[3], kernel[..., 3] = 2 * bias[0], 2 * kernel[..., 0]
    model.get_layer("one").set_weights([kernel, bias])
    kernel, bias = model.get_layer("two").get_weights()
    kernel[..., 2], bias[2] = 0, 0.7
    model.get_layer("two").set_weights([kernel, bias])
    return model


IMAGES = np.random.default_rng(0).random((16, 8, 8, 1), np.float32)


def found_in(model, **options):
    looked = useless(model, np.split(IMAGES, 4), **options)
    return {(one.layer, one.channel): (one.why, one.like) for one in looked.channels}, looked.held


def test_dead_constant_and_duplicate_channels_are_found():
    found, held = found_in(network())
    # Of two alike the weaker one goes.
    assert found == {("one", 1): ("dead", None), ("one", 0): ("duplicate", 3), ("two", 2): ("constant", None)}
    assert list(held) == ["output"]


def test_a_map_that_lives_at_one_pixel_behind_flatten_is_not_dead():
    model = network()
    kernel, bias = model.get_layer("two").get_weights()
    kernel[..., 2], bias[2] = 0, -1
    kernel[1, 1, 0, 2] = 30  # alive where channel 0 is bright
    model.get_layer("two").set_weights([kernel, bias])
    image = np.zeros((1, 8, 8, 1), np.float32)
    image[0, 6, 6] = 5
    looked = useless(model, [image])
    assert ("two", 2) not in {(one.layer, one.channel) for one in looked.channels if one.why == "dead"}


def test_removing_dead_channels_changes_nothing():
    model = network()
    chosen = named.named_plan(model, {"one": [1]})
    small = channels.apply(model, chosen)
    assert small.get_layer("one").filters == 3
    assert small(IMAGES).numpy() == pytest.approx(model(IMAGES).numpy(), abs=1e-5)
    assert plan.removed_by(channels.dependencies(read(model)), chosen).sum() == 1


def test_tied_channels_go_together():
    told = []

    class Listener:
        def info(self, text):
            told.append(text)

    chosen = named.named_plan(network(residual=True), {"two": [2]}, reporter=Listener())
    assert {name: len(one.kept) for name, one in chosen.layers.items()} == {"one": 3, "two": 3, "output": 3}
    assert told == ["layer 'one' loses 1 of 4 channels: they are tied to named ones"]


def test_what_is_alike_must_be_like_one_that_stays():
    rng = np.random.default_rng(1)
    base = rng.standard_normal((4000, 1))
    steps = np.concatenate([base + 0.12 * k * rng.standard_normal((4000, 1)) for k in range(3)], axis=1)
    found = silent(np.cov(steps.T), np.abs(steps).max(axis=0), alike=0.98)
    assert all(like not in found for _, like, _ in found.values())


def test_one_channel_stays_whatever_it_says():
    assert len(silent(np.zeros((3, 3)), np.zeros(3))) == 2
    assert silent(np.eye(2), np.ones(2)) == {}
    assert silent(np.array([[4.0, -2.0], [-2.0, 1.0]]), np.ones(2)) == {1: ("duplicate", 0, -1.0)}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(["a=1,2", "b=0"], {"a": (1, 2), "b": (0,)}), (["x/a=3", "x/a=1,3"], {"x/a": (1, 3)}), ([], {})],
)
def test_channels_are_named_by_layer(texts, expected):
    assert named.parsed(texts) == expected


@pytest.mark.parametrize("text", ["a", "=1", "a=", "a=x", "a=1,,2", "a=-1", "a=1.5"])
def test_other_texts_are_refused(text):
    with pytest.raises(ConfigError, match="names no channels"):
        named.parsed([text])


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"onee": [1]}, "one"),
        ({"pool": [1]}, "layer that computes channels"),
        ({"one": [4]}, "channels 0 to 3, got 4"),
        ({"one": [0, 1, 2, 3]}, "nothing would be left of layer 'one'"),
        ({"output": [0]}, "it is an output"),
    ],
)
def test_what_cannot_go_is_refused(asked, text):
    with pytest.raises(ConfigError, match=text):
        named.named_plan(network(), asked)
