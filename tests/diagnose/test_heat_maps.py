"""Heat lies where a score comes from; by hand, and by the paper's formula."""

import numpy as np
import pytest

from edgecv.diagnose import heat_maps
from edgecv.diagnose.channel_stats import ChannelStats
from edgecv.modelio import env


def test_hiding_finds_the_pixels_that_count():
    image = np.zeros((1, 21, 28, 1), np.float32)
    image[0, 3:6, 20:24] = 1
    heat = heat_maps.occlusion(lambda images: images[:, 3:6, 20:24].sum(axis=(1, 2, 3)), image, batch=8)
    assert heat.shape == (21, 28)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (3 <= row < 6, 20 <= column < 24) == (True, True)
    assert heat[15:, :10] == pytest.approx(0, abs=1e-6)


def test_every_pixel_is_hidden_whatever_the_size():
    for size in (1, 2, 5, 7, 8, 28, 30, 97):
        spans = heat_maps._spans(size)
        assert set().union(*(range(one.start, one.stop) for one in spans)) == set(range(size))


def test_batches_give_what_single_images_do():
    image = np.random.default_rng(0).random((1, 14, 14, 3), np.float32)

    def score(images):
        return (images[:, 2:5, 6:9] ** 2).sum(axis=(1, 2, 3))

    assert heat_maps.occlusion(score, image, batch=50) == pytest.approx(heat_maps.occlusion(score, image))


def test_grad_cam_of_a_linear_head_is_the_class_activation_map():
    keras = env.keras()
    keras.utils.set_random_seed(1)
    given = keras.Input((9, 11, 2))
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="maps")(given)
    maps = keras.layers.Dropout(0.5, name="drop")(maps)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(given, keras.layers.Dense(3, name="output")(pooled))
    image = np.random.default_rng(0).random((1, 9, 11, 2), np.float32)
    found, layer = heat_maps.grad_cam(model, [image], 0, 2)
    answer = keras.Model(given, model.get_layer("maps").output)(image).numpy()[0]
    weights = model.get_layer("output").get_weights()[0][:, 2] / (7 * 9)  # of a mean over 7 x 9 places
    assert layer == "maps"
    assert found == pytest.approx(np.maximum(answer @ weights, 0), abs=1e-6)
    assert found.max() > 0
    against, _ = heat_maps.grad_cam(model, [image], 0, 2, against=True)
    assert against == pytest.approx(np.maximum(-(answer @ weights), 0), abs=1e-6)


def test_a_network_without_maps_has_no_grad_cam():
    keras = env.keras()
    given = keras.Input((6,))
    assert (
        heat_maps.grad_cam(keras.Model(given, keras.layers.Dense(2)(given)), [np.ones((1, 6), np.float32)], 0, 0)
        is None
    )


def test_energy_by_hand():
    assert heat_maps.energy(np.array([[[1.0, -3.0], [0.0, 0.0]]])).tolist() == [[2.0, 0.0]]


def test_channels_that_say_nothing_are_told():
    rng = np.random.default_rng(0)
    stats = ChannelStats()
    for _ in range(3):
        base = rng.random((10, 10))
        stats.add(np.stack([base, np.zeros((10, 10)), 2 * base + 1, rng.random((10, 10)), np.full((10, 10), 4.0)], -1))
    found = stats.silent()
    assert {channel: (why, like) for channel, (why, like, _) in found.items()} == {
        0: ("duplicate", 2), 1: ("dead", None), 4: ("constant", None),
    }  # fmt: skip
    assert (stats.low, stats.high) == (0, 4)


def test_vectors_and_few_values_are_not_judged():
    stats = ChannelStats()
    stats.add(np.zeros(5))
    assert (stats.silent(), stats.low) == ({}, 0)
    small = ChannelStats()
    small.add(np.zeros((2, 2, 3)))
    assert small.silent() == {}
