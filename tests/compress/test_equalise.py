"""Equalisation changes ranges and not answers, and only where that is safe."""

import numpy as np
import pytest

from edgecv.compress import equalise as eq
from edgecv.compress.layer_graph import read
from edgecv.modelio import env

tf, keras = env.tensorflow(), env.keras()
L = keras.layers


def uneven(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        spread = np.exp(rng.uniform(-3, 3, weight.shape[-1]))
        weight.assign(rng.normal(0, 0.5, weight.shape) * (spread if "bias" not in weight.name else 1))
    return model


def samples(count=24, shape=(8, 8, 3)):
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def chain(activation=None):
    i = keras.Input((8, 8, 3))
    x = L.ReLU(name="r1")(L.Conv2D(6, 3, padding="same", name="a")(i))
    x = L.ReLU(activation, name="r2")(L.DepthwiseConv2D(3, padding="same", name="b")(x))
    x = L.MaxPooling2D(2)(L.Conv2D(5, 1, activation="relu", name="c")(x))
    return keras.Model(i, L.Dense(4, name="d")(L.Flatten()(x)))


def pairs(model):
    return [(pair.first, pair.second, pair.clip, pair.repeats) for pair in eq.find_pairs(read(model))]


def test_pairs_through_relu_depthwise_pooling_and_flatten():
    assert pairs(chain()) == [("a", "b", None, 1), ("b", "c", None, 1), ("c", "d", None, 16)]
    assert pairs(chain(6.0))[1] == ("b", "c", 6.0, 1)


def test_answers_stay_and_ranges_even_out():
    model, x = uneven(chain()), samples()
    done = eq.equalise(model, x)
    expected = np.asarray(model(x))
    assert np.allclose(done.model(x), expected, atol=2e-5 * np.abs(expected).max())
    assert not np.allclose(done.model.get_layer("a").get_weights()[0], model.get_layer("a").get_weights()[0])
    assert done.spread_after < 0.7 * done.spread_before


def test_the_factor_by_hand():
    i = keras.Input((2,))
    model = keras.Model(i, L.Dense(1, name="b")(L.Dense(2, activation="relu", name="a")(i)))
    model.set_weights([np.array([[8.0, 1.0], [0.0, 1.0]]), np.zeros(2), np.array([[2.0], [16.0]]), np.zeros(1)])
    # Channel 0: r_A 8, r_B 2, s = sqrt(8 * 2) / 2 = 2. Channel 1: r_A 1, r_B 16, s = 1/4.
    done = eq.equalise(model, np.array([[1.0, 1.0], [2.0, 0.5]], np.float32)).model
    assert np.allclose(done.get_layer("a").get_weights()[0], [[4, 4], [0, 4]])
    assert np.allclose(done.get_layer("b").get_weights()[0], [[4], [4]])


def test_a_residual_an_output_and_a_tanh_end_the_chain():
    i = keras.Input((8, 8, 3))
    a = L.Conv2D(3, 3, padding="same", name="a")(i)
    b = L.Conv2D(3, 3, padding="same", activation="tanh", name="b")(L.Add()([a, i]))
    c = L.Conv2D(3, 3, padding="same", name="c")(b)
    d = L.Conv2D(3, 3, padding="same", name="d")(c)
    assert pairs(keras.Model(i, [c, d])) == []


def test_channels_that_reach_six_are_left_alone_and_others_stay_below_it():
    model, x = uneven(chain(6.0), seed=3), samples()
    tap = keras.Model(model.input, model.get_layer("b").output)
    peaks = np.abs(np.asarray(tap(x))).max(axis=(0, 1, 2))
    assert (peaks >= 6).any()
    assert (peaks < 6).any()
    pair = eq.find_pairs(read(model))[1]
    calls = {call.name: call for call in read(model).calls}
    scale = eq._scale(pair, calls, peaks.astype(np.float64))
    assert np.all(scale[peaks >= 6] == 1)
    assert np.all((peaks / scale)[peaks < 6] <= 6 + 1e-5)
    done, expected = eq.equalise(model, x).model, np.asarray(model(x))
    assert np.allclose(done(x), expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(3))
def test_no_tensor_gets_a_larger_range(seed):
    model, x = uneven(chain(), seed), samples()
    done = eq.equalise(model, x).model
    for name in ("a", "b", "c"):
        before, after = (
            np.abs(np.asarray(keras.Model(m.input, m.get_layer(name).output)(x))).max() for m in (model, done)
        )
        assert after <= before * (1 + 1e-5)
