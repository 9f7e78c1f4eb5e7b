"""Rewriting a trained model keeps its answers and leaves what integer kernels compute."""

import numpy as np
import pytest

from edgecv.compress.canonical import canonical
from edgecv.compress.layer_graph import flattened
from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio import layers as ours

tf, keras = env.tensorflow(), env.keras()
L = keras.layers


def randomised(model):
    """Give every weight, batch statistics included, a value that matters."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        kind = weight.name.split("/")[-1].split(":")[0]
        if kind in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif kind in ("beta", "moving_mean", "bias", "scale"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


def image():
    return keras.Input((12, 12, 4), name="image")


def post_activation():
    x = i = image()
    x = L.ReLU(name="r")(L.BatchNormalization(name="bn")(L.Conv2D(6, 3, use_bias=False, name="c")(x)))
    return keras.Model(
        i, L.BatchNormalization(scale=False, name="bn2")(L.Conv2DTranspose(5, 2, strides=2, name="t")(x))
    )


def pre_activation():
    i = image()
    x = L.Conv2D(4, 3, padding="same", name="c1")(L.ReLU()(L.BatchNormalization(name="pre")(i)))
    return keras.Model(i, L.BatchNormalization(name="last", center=False)(L.Add()([i, x])))


def separable():
    i = image()
    x = L.SeparableConv2D(6, 3, padding="same", depth_multiplier=2, activation="relu", name="s")(i)
    x = L.BatchNormalization(name="bn")(L.SeparableConv2D(6, 3, strides=2, use_bias=False, name="s2")(x))
    return keras.Model(i, L.BatchNormalization(name="bn2")(L.DepthwiseConv2D(3, depth_multiplier=2, name="d")(x)))


def gates():
    i = image()
    x = L.Conv2D(8, 3, activation="swish", name="c")(i)
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = ours.HardSigmoid(name="hs")(L.Conv2D(8, 1, name="g")(gate))
    x = ours.HardSwish(name="hw")(L.Multiply()([x, gate]))
    return keras.Model(i, L.Dense(3, activation="softmax", name="out")(L.GlobalMaxPooling2D()(x)))


def scaled_input():
    i = image()
    x = L.Rescaling([1 / 2, 1.0, 2.0, 3.0], [0.0, 1.0, -1.0, 0.5], name="mix")(L.Rescaling(1 / 255, name="r")(i))
    x = ours.ChannelScale(name="gamma")(L.Conv2D(4, 1, name="c")(L.ZeroPadding2D()(x)))
    x = L.BatchNormalization(name="flat")(L.Flatten()(x))
    return keras.Model(i, L.BatchNormalization(name="bn")(L.Dense(3, name="d")(x)))


def operators():
    i = image()
    x = L.Conv2D(4, 3, name="c")(i)
    gate = L.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)
    y = L.Multiply(name="swish")([x, gate])
    return keras.Model(i, (y - 1.0) * x)


def constants_first():
    i = image()
    x = 1.0 - L.Conv2D(4, 3, name="c")(i)
    y = tf.math.subtract(x=2.0, y=x)
    return keras.Model(i, tf.math.multiply(x, y=y) + tf.pow(2.0, x) + 3.0 * (2.0 / (x + 9.0)))


def nested_operators():
    inner_in = keras.Input((12, 12, 4))
    conv = L.Conv2D(4, 3, padding="same", name="c")(inner_in)
    inner = keras.Model(inner_in, tf.math.multiply(conv + inner_in, y=conv) * 0.5, name="inner")
    i = image()
    return keras.Model(i, L.Flatten()(inner(inner(i) - 1.0)))


def shared():
    i = image()
    conv = L.Conv2D(4, 3, padding="same", activation="tanh", name="twice")
    norm = L.BatchNormalization(name="norm")
    return keras.Model(i, norm(conv(norm(conv(i)))))


KINDS = [post_activation, pre_activation, separable, gates, scaled_input, operators]


def answers(model):
    values = np.random.default_rng(1).normal(0, 1, (4, *model.input_shape[1:])).astype(np.float32)
    return np.asarray(model(values, training=False))


@pytest.mark.parametrize("make", [*KINDS, shared, constants_first, nested_operators])
def test_the_answers_stay_the_same(make):
    model = randomised(make())
    twin = canonical(model)
    assert answers(twin) == pytest.approx(answers(model), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("make", KINDS)
def test_nothing_is_left_that_has_no_integer_kernel(make):
    kinds = {type(layer).__name__ for layer in canonical(make()).layers}
    assert not kinds & {
        "BatchNormalization",
        "Rescaling",
        "SeparableConv2D",
        "TFOpLambda",
        "HardSigmoid",
        "ChannelScale",
    }


def kinds_of(model):
    return [type(layer).__name__ for layer in canonical(model).layers]


def test_batch_normalisation_folds_where_it_can():
    assert kinds_of(post_activation()) == ["InputLayer", "Conv2D", "ReLU", "Conv2DTranspose"]
    assert kinds_of(pre_activation()) == [
        "InputLayer", "DepthwiseConv2D", "ReLU", "Conv2D", "Add", "DepthwiseConv2D",
    ]  # fmt: skip


def test_two_scalings_become_one_operator():
    names = [layer.name for layer in canonical(scaled_input()).layers]
    assert "r" in names
    assert "mix" not in names


def test_hard_swish_is_found_in_its_parts():
    assert "HardSwish" in kinds_of(operators())


def test_a_tensor_that_others_see_is_not_folded_away():
    i = image()
    conv = L.Conv2D(4, 1, name="c")(i)
    model = randomised(keras.Model(i, L.Add()([L.BatchNormalization(name="bn")(conv), conv])))
    twin = canonical(model)
    assert answers(twin) == pytest.approx(answers(model), rel=1e-4, abs=1e-5)
    assert "DepthwiseConv2D" in {type(layer).__name__ for layer in twin.layers}


def test_the_source_is_not_changed():
    model = randomised(post_activation())
    before = [weight.copy() for weight in model.get_weights()]
    canonical(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_models_in_models_are_opened():
    inner_in = keras.Input((12, 12, 4))
    inner = keras.Model(inner_in, L.Conv2D(4, 3, padding="same", name="c")(inner_in), name="inner")
    outer_in = image()
    outer = keras.Model(outer_in, L.Add()([inner(inner(outer_in)), L.Conv2D(4, 1, name="c")(outer_in)]))
    flat = flattened(randomised(outer))
    assert answers(flat) == pytest.approx(answers(outer), abs=1e-6)
    assert flat.count_params() == outer.count_params()
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    weighted = {layer.name for layer in flat.layers if layer.weights}
    assert weighted in ({"c", "inner.c"}, {"c", "c_2"})
    plain = post_activation()
    assert flattened(plain) is plain


def test_a_subclassed_model_is_refused():
    class Sub(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedModelError, match="subclassed"):
        canonical(Sub())


@pytest.mark.parametrize("shape", [(12,), (4, 3), (2, 2, 3), (2, 3, 2, 1), (2, 1, 3, 2, 1)])
def test_scaling_of_any_rank_keeps_the_shape(shape):
    keras = env.keras()
    image = keras.Input((2, 2, 3))
    x = keras.layers.Rescaling(0.5, 1.0)(keras.layers.Reshape(shape)(keras.layers.ReLU()(image)))
    model = keras.Model(image, x)
    values = np.random.default_rng(0).normal(0, 1, (3, 2, 2, 3)).astype(np.float32)
    got = canonical(model).predict(values, verbose=0)
    assert got.shape == (3, *shape)
    np.testing.assert_allclose(got, model.predict(values, verbose=0), atol=1e-6)
