import dataclasses

import numpy as np
import pytest

from edgecv import zoo
from edgecv.errors import ConfigError

# name, variant -> parameters, trainable, multiply-accumulates, weighted layers in a row
GOLDEN = {
    ("lenet5", "canonical"): (61_706, 61_706, 416_520, 5),
    ("lenet5", "book"): (60_840, 60_000, 326_520, 5),
    ("cnn_fashion", "canonical"): (1_413_834, 1_413_834, 89_466_496, 8),
}
EVERY = [(entry.name, variant) for entry in zoo.entries() for variant in entry.variants]


def test_every_variant_has_golden_numbers():
    assert sorted(EVERY) == sorted(GOLDEN)


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_golden_numbers(name, variant):
    model, spec = zoo.build(name, variant=variant)
    profile = zoo.profile(model)
    assert (profile.parameters, profile.trainable, profile.macs, profile.depth) == GOLDEN[name, variant]
    assert profile.weight_bytes == 4 * profile.parameters
    assert tuple(model.input_shape) == (None, *spec.input_shape)
    assert tuple(model.output_shape) == (None, len(spec.labels))


@pytest.mark.parametrize(("name", "variant"), EVERY)
def test_weights_follow_the_seed(name, variant):
    first, again, other = (zoo.build(name, variant=variant, seed=seed)[0].get_weights() for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again))
    assert any((a != b).any() for a, b in zip(first, other))


def test_lenet5_layers_and_stages():
    model, _ = zoo.build("lenet5")
    shapes = {layer.name: tuple(layer.output_shape)[1:] for layer in model.layers[1:]}
    assert shapes == {
        "c1": (28, 28, 6), "s2": (14, 14, 6), "c3": (10, 10, 16), "s4": (5, 5, 16),
        "c5": (1, 1, 120), "flatten": (120,), "f6": (84,), "output": (10,),
    }  # fmt: skip


def test_lenet5_book_parameters_per_stage():
    model, spec = zoo.build("lenet5", variant="book")
    trainable = {x.name: sum(np.prod(w.shape) for w in x.trainable_weights) for x in model.layers if x.weights}
    assert trainable == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0}
    assert spec.head.activation == "distances"
    black, white = ((p - spec.preprocessing.mean[0]) / spec.preprocessing.std[0] for p in (0, 255))
    assert (black, white) == pytest.approx((-0.1, 1.175))


def test_cnn_fashion_layers_and_stages():
    model, spec = zoo.build("cnn_fashion")
    names = [layer.name for layer in model.layers]
    assert names == [
        "image", "conv1", "pool1", "conv2a", "conv2b", "pool2", "conv3a", "conv3b", "pool3",
        "flatten", "fc1", "drop1", "fc2", "drop2", "output",
    ]  # fmt: skip
    sides = [
        model.get_layer(f"{kind}{i}").output_shape[1]
        for i, kind in ((1, "conv"), (1, "pool"), (2, "pool"), (3, "pool"))
    ]
    assert sides == [28, 14, 7, 3]
    assert spec.labels[9] == "Ankle boot"


def test_canonical_nets_give_probabilities_for_any_labels():
    for name in zoo.names():
        model, spec = zoo.build(name, labels=("a", "b", "c"))
        image = np.random.default_rng(0).random((2, *spec.input_shape), dtype=np.float32)
        assert model(image).numpy().sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
        assert spec.labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "lenet"}, "unknown architecture 'lenet'\n.*did you mean 'lenet5'"),
        ({"name": "lenet5", "variant": "bok"}, "unknown variant of lenet5 'bok'\n.*did you mean 'book'"),
        ({"name": "lenet5", "variant": "book", "labels": ("a", "b")}, "exactly 10 outputs, got 2 labels"),
        ({"name": "lenet5", "labels": ("a",)}, "2 or more distinct labels"),
        ({"name": "lenet5", "labels": ("a", "a")}, "2 or more distinct labels"),
    ],
)
def test_wrong_requests(arguments, message):
    with pytest.raises(ConfigError, match=message):
        zoo.build(**arguments)


def test_entries_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        zoo.get("lenet5").name = "x"
