import numpy as np
import pytest

from edgecv import compress, zoo
from edgecv.modelio import env

keras = env.keras()
layers = keras.layers


def same(model, folded, shape):
    x = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-4, atol=1e-4)


def kernels(model):
    return {layer.name: layer.kernel.shape.as_list() for layer in model.layers if hasattr(layer, "kernel")}


def randomised(model):
    rng = np.random.default_rng(1)
    model.set_weights([rng.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def test_two_layers_by_hand():
    source = keras.Input((2,))
    model = keras.Model(source, layers.Dense(1, name="second")(layers.Dense(2, name="first")(source)))
    # (x A + a) B + b with A = [[1, 2], [3, 4]], a = [5, 6], B = [[7], [8]], b = [9]
    model.set_weights([np.array(v, np.float32) for v in ([[1, 2], [3, 4]], [5, 6], [[7], [8]], [9])])
    kernel, bias = compress.fold_linear(model).get_weights()
    assert kernel.tolist() == [[7 + 16], [21 + 32]]
    assert bias.tolist() == [35 + 48 + 9]


def test_a_linear_network_folds_to_one_layer():
    model, spec = zoo.build("mlp_mnist_1024x2", variant="book")
    randomised(model)
    model.set_weights([w / 30 for w in model.get_weights()])
    folded = compress.fold_linear(model)
    assert zoo.profile(folded).parameters == 7_850
    assert kernels(folded) == {"output": [784, 10]}
    same(model, folded, spec.input_shape)
    twin, _ = zoo.build("mlp_mnist_1024x2", variant="folded")
    assert zoo.profile(twin) == zoo.profile(folded)
    twin.set_weights(folded.get_weights())
    same(model, twin, spec.input_shape)


def test_an_activation_between_stops_it():
    model, _ = zoo.build("mlp_housing")
    assert kernels(compress.fold_linear(model)) == kernels(model)


def test_the_last_activation_and_a_missing_bias_are_kept():
    source = keras.Input((6,))
    x = layers.Dense(5, use_bias=False, name="a")(layers.Dense(8, name="b")(source))
    model = randomised(keras.Model(source, layers.Dense(3, activation="softmax", use_bias=False, name="c")(x)))
    folded = compress.fold_linear(model)
    assert kernels(folded) == {"c": [6, 3]}
    same(model, folded, (6,))


def test_a_low_rank_product_stays():
    source = keras.Input((64,))
    model = keras.Model(source, layers.Dense(64, name="wide")(layers.Dense(4, name="thin")(source)))
    assert kernels(compress.fold_linear(model)) == {"thin": [64, 4], "wide": [4, 64]}


@pytest.mark.parametrize("seen", ["as output", "twice"])
def test_a_tensor_that_others_see_stays(seen):
    source = keras.Input((6,))
    hidden = layers.Dense(8, name="hidden")(source)
    outputs = [
        layers.Dense(2, name="one")(hidden),
        hidden if seen == "as output" else layers.Dense(3, name="two")(hidden),
    ]
    model = keras.Model(source, outputs)
    assert kernels(compress.fold_linear(model)) == kernels(model)


def test_a_shared_layer_stays():
    source, shared = keras.Input((6,)), layers.Dense(6, name="shared")
    model = keras.Model(source, layers.Dense(2, name="last")(shared(shared(source))))
    assert kernels(compress.fold_linear(model)) == kernels(model)
