"""Dead channels: which ones are found, that no answer changes, and that everything else is left as it is."""

import numpy as np
import pytest

from edgecv.compress import PtqRecipe, prepare
from edgecv.compress.dead_channels import without_dead_channels
from edgecv.compress.equalise import equalise
from edgecv.compress.rewrite import standardised
from edgecv.modelio import env

tf, keras = env.tensorflow(), env.keras()
L = keras.layers

KINDS = {
    "convolution": ((8, 8, 3), lambda: L.Conv2D(4, 3, padding="same", name="k")),
    "grouped": ((8, 8, 4), lambda: L.Conv2D(4, 3, groups=2, name="k")),
    "depthwise, two per input channel": ((8, 8, 2), lambda: L.DepthwiseConv2D(3, depth_multiplier=2, name="k")),
    "transposed": ((4, 4, 3), lambda: L.Conv2DTranspose(4, 3, strides=2, name="k")),
    "one-dimensional": ((12, 3), lambda: L.Conv1D(4, 3, name="k")),
    "dense": ((10,), lambda: L.Dense(4, name="k")),
    "fused ReLU": ((10,), lambda: L.Dense(4, activation="relu", name="k")),
}


def samples(shape, count=40):
    return np.random.default_rng(1).normal(0.5, 1, (count, *shape)).astype(np.float32)


def single(shape, layer):
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    return keras.Model(image, layer(image))


def by_channel(layer):
    """The kernel as a view (weights, output channels)."""
    kernel = layer.get_weights()[0]
    moved = np.moveaxis(kernel, 2, -1) if isinstance(layer, L.Conv2DTranspose) else kernel
    return moved.reshape(-1, 4)


def scale_channels(layer, factors, bias):
    kernel = layer.get_weights()[0]
    factors = np.asarray(factors, np.float32)
    shapes = {"DepthwiseConv2D": kernel.shape[2:], "Conv2DTranspose": (4, 1)}
    shaped = factors.reshape(shapes.get(type(layer).__name__, (4,)))
    layer.set_weights([kernel * shaped, np.asarray(bias, np.float32)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_of_nothing_but_its_bias_gives_its_bias_alone(kind):
    shape, make = KINDS[kind]
    model = single(shape, make())
    scale_channels(model.get_layer("k"), [1, 1e-8, 0, 1], [0.1, 2.0, -3.0, 0.0])
    cleaned = without_dead_channels(model, [samples(shape)])
    assert cleaned.channels == {"k": 1}  # a channel of zeros has nothing to clean
    before, after = (by_channel(m.get_layer("k")) for m in (model, cleaned.model))
    assert np.array_equal(after[:, [0, 2, 3]], before[:, [0, 2, 3]])
    assert not after[:, 1].any()
    assert np.allclose(cleaned.model.predict(samples(shape)), model.predict(samples(shape)), rtol=1e-6, atol=1e-6)
    assert model.get_layer("k").get_weights()[0].any()
    assert cleaned.facts == {"dead_channels": 1, "dead_channel_layers": 1}


def test_what_the_weights_gave_on_average_goes_into_the_bias():
    model = single((10,), L.Dense(4, name="k"))
    model.get_layer("k").set_weights([np.full((10, 4), 1e-4, np.float32), np.float32([5000, 1, 0, 0])])
    inputs = np.full((40, 10), 6, np.float32) + samples((10,)) / 100
    cleaned = without_dead_channels(model, [inputs])
    assert cleaned.channels == {"k": 1}
    bias = cleaned.model.get_layer("k").get_weights()[1]
    assert bias[0] == pytest.approx(5000 + 1e-4 * inputs[:32].sum(axis=1).mean(), abs=1e-3)
    assert bias[1] == 1


@pytest.mark.parametrize(
    ("factors", "bias"),
    [
        ([1, 1e-8, 1, 1], [0, 0, 0, 0]),  # nothing beside which it would be small
        ([1, 1e-8, 1, 1], [0, 1e-8, 0, 0]),  # uneven channels, which equalisation is for
        ([1, 1e-1, 1, 1], [0, 300, 0, 0]),  # an offset that 32 bits hold: 16 bits show what is beside it
        ([1, 1, 1, 1], [0, 300, 0, 0]),
    ],
)
def test_other_channels_stay(factors, bias):
    model = single((10,), L.Dense(4, name="k"))
    scale_channels(model.get_layer("k"), factors, bias)
    cleaned = without_dead_channels(model, [samples((10,))])
    assert cleaned.channels == {}
    assert cleaned.model is model


def test_a_weak_signal_with_many_inputs_is_a_signal():
    """Each weight is next to nothing beside the bias, all together are not."""
    model = single((2**20,), L.Dense(1, use_bias=True, name="k"))
    model.get_layer("k").set_weights([np.full((2**20, 1), 1e-5, np.float32), np.float32([3000])])
    levels = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
    inputs = np.broadcast_to(levels, (8, 2**20))
    assert without_dead_channels(model, [inputs]).channels == {}


def folded(shape=(8, 8, 3)):
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    x = L.Conv2D(4, 3, use_bias=False, name="stem")(image)
    x = L.ReLU(6.0)(L.BatchNormalization(name="stem_norm")(x))
    x = L.DepthwiseConv2D(3, use_bias=False, name="wise")(x)
    x = L.ReLU(6.0)(L.BatchNormalization(name="wise_norm")(x))
    model = keras.Model(image, L.Dense(3, name="out")(L.Flatten()(x)))
    for name in ("stem_norm", "wise_norm"):
        model.get_layer(name).set_weights(
            [np.float32([1, 1e-7, 1, 0]), np.float32([0.1, 2, 0, 1]), np.zeros(4, np.float32), np.ones(4, np.float32)]
        )
    return model


def test_a_normalisation_that_kept_its_shift_alone_is_found_once_folded():
    model = folded()
    flat = standardised(model).model
    cleaned = without_dead_channels(flat, [samples((8, 8, 3))])
    assert cleaned.channels == {"stem": 1, "wise": 1}
    assert np.allclose(cleaned.model.predict(samples((8, 8, 3))), model.predict(samples((8, 8, 3))), atol=1e-5)


def test_equalisation_does_not_raise_a_dead_channel():
    flat = standardised(folded()).model
    cleaned = without_dead_channels(flat, [samples((8, 8, 3))]).model
    even = equalise(cleaned, samples((8, 8, 3))).model
    assert not even.get_layer("stem").get_weights()[0][..., 1].any()
    assert even.get_layer("stem").get_weights()[1][1] == pytest.approx(2, rel=1e-5)


def test_several_inputs_and_shared_layers():
    shared, own = L.Dense(4, name="shared"), L.Dense(4, name="own")
    left, right = keras.Input((10,)), keras.Input((6,))
    first = shared(own(right))
    model = keras.Model([left, right], L.Add()([shared(first), L.Dense(4, name="k")(left)]))
    for name in ("shared", "own", "k"):
        scale_channels(model.get_layer(name), [1, 1e-8, 1, 1], [0, 2, 0, 0])
    inputs = [samples((10,)), samples((6,))]
    cleaned = without_dead_channels(model, inputs)
    assert cleaned.channels == {"own": 1, "k": 1}
    assert np.allclose(cleaned.model.predict(inputs), model.predict(inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [{"equalise": True}, {"correct_bias": True}, {"adaround": True}], ids=str)
def test_every_step_starts_without_them_and_says_so(steps):
    done = prepare(folded(), samples((8, 8, 3)), PtqRecipe(iterations=20, **steps))
    assert done.facts["dead_channels"] == 2
    for name, place in (("stem", np.s_[..., 1]), ("wise", np.s_[:, :, 1])):
        assert not done.model.get_layer(name).get_weights()[0][place].any()
