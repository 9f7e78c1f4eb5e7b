"""Bias correction and learned rounding: against direct measurement, brute force and hand-made cases."""

import itertools

import numpy as np
import pytest

from edgecv.compress import adaround as ada
from edgecv.compress import moments
from edgecv.compress import weight_grid as grid
from edgecv.compress.bias_correction import correct_bias
from edgecv.compress.layer_graph import read
from edgecv.compress.moments import quadratic
from edgecv.compress.ptq import PtqRecipe, prepare
from edgecv.compress.side_by_side import Site
from edgecv.core.errors import DataError
from edgecv.modelio import env

tf, keras = env.tensorflow(), env.keras()
L = keras.layers
RNG = np.random.default_rng(0)

LAYERS = {
    "same, stride 2": ((7, 7, 3), lambda: L.Conv2D(4, 3, strides=2, padding="same", name="k")),
    "dilated": ((9, 9, 3), lambda: L.Conv2D(4, 3, dilation_rate=2, name="k")),
    "depthwise": ((6, 6, 3), lambda: L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="k")),
    "dense": ((10,), lambda: L.Dense(5, name="k")),
    "dense, fewer samples than inputs": ((50,), lambda: L.Dense(5, name="k")),
}


def single(shape, layer):
    i = keras.Input(shape)
    model = keras.Model(i, layer(i))
    model.set_weights([RNG.normal(size=w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("name", LAYERS)
def test_the_quadratic_is_the_error_of_the_layer(name):
    shape, make = LAYERS[name]
    model = single(shape, make())
    expected, given = (RNG.normal(1, 1, (40, *shape)).astype(np.float32) for _ in range(2))
    given = 0.9 * expected + 0.1 * given
    call = read(model).calls[0]
    matrix = grid.to_matrix(call.kind, call.weights[0])
    problem = quadratic(Site(call=call, expected=expected, given=given), matrix)
    target = np.asarray(model(expected))

    def direct(other):
        model.set_weights([grid.from_matrix(call.kind, other, call.weights[0].shape), call.weights[1]])
        error = np.asarray(model(given)) - target
        error = error.reshape(-1, error.shape[-1])
        return (error - error.mean(0)).var(0)

    one, two = (matrix + RNG.normal(0, 0.3, matrix.shape).astype(np.float32) for _ in range(2))

    def undamped(other):
        return (
            problem.errors(other) - problem.damping * (((other - matrix) ** 2) - matrix**2).sum(1, keepdims=True)
        ).ravel()

    assert problem.is_factor == (name == "dense, fewer samples than inputs")
    columns = np.concatenate([problem.column(k) for k in range(matrix.shape[1])], axis=2)
    assert np.allclose(columns @ one, problem.apply(one), rtol=1e-3, atol=1e-3)
    assert np.allclose(direct(one) - direct(two), undamped(one) - undamped(two), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("strides", "rate"), [(1, 1), (2, 1), ((2, 3), 1), (1, 2)])
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5)])
def test_places_of_a_convolution_are_those_of_tensorflow(size, strides, rate, padding):
    # Of its own generator: what other tests draw stays as it is.
    rng, shape = np.random.default_rng(5), (11, 14, 2)
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    image = keras.Input(shape)
    layer = L.Conv2D(1, size, strides=strides, dilation_rate=rate, padding=padding, name="k")
    call = read(keras.Model(image, layer(image))).calls[0]
    config = call.layer.get_config()
    patches = tf.image.extract_patches(
        x, sizes=(1, *size, 1), strides=(1, *config["strides"], 1), rates=(1, rate, rate, 1), padding=padding.upper()
    ).numpy()
    assert moments._output_size(call, shape[:2]) == patches.shape[1:3]
    flat = patches.reshape(-1, patches.shape[-1])
    kept = np.sort(rng.choice(len(flat), min(30, len(flat)), replace=False))
    found = moments._patches(call, x, np.unravel_index(kept, patches.shape[:3]))
    assert np.array_equal(found, flat[kept])


def problem_of(inputs, outputs, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(300, inputs)) @ rng.normal(size=(inputs, inputs))).astype(np.float32)
    x = np.tile(x, (27, 1))  # of so many rows the moments are taken as they are
    model = single((inputs,), L.Dense(outputs, name="k"))
    call = read(model).calls[0]
    matrix = grid.to_matrix("Dense", call.weights[0])
    return matrix, quadratic(Site(call=call, expected=x, given=x), matrix)


def test_learned_rounding_is_near_the_best_of_all():
    recipe, sums = ada.RoundingRecipe(bits=4), np.zeros(3)
    for seed in range(6):
        matrix, problem = problem_of(8, 2, seed)
        scales = grid.full_scales(matrix, bits=4, per_channel=True)
        ups = np.array(list(itertools.product((0, 1), repeat=8)), np.float32)[:, :, None]
        every = np.clip(np.floor(matrix / scales) + ups, -7, 7) * scales
        base = problem.errors(matrix)
        best = np.min([problem.errors(one[None].astype(np.float32)) - base for one in every], axis=0)
        found = problem.errors(grid.real(ada.learned(matrix, scales, problem, recipe), scales)) - base
        plain = problem.errors(grid.real(grid.nearest(matrix, scales, bits=4), scales)) - base
        assert np.all(found <= plain + 1e-9)
        assert np.all(found >= best - 1e-6)
        sums += best.sum(), found.sum(), plain.sum()
    best, found, plain = sums
    assert found <= best + 0.3 * (plain - best)


def test_learned_rounding_beats_nearest_by_far_on_correlated_inputs():
    matrix, problem = problem_of(64, 16)
    recipe = ada.RoundingRecipe(bits=4)
    scales = grid.full_scales(matrix, bits=4, per_channel=True)
    integers = ada.learned(matrix, scales, problem, recipe)
    base = problem.errors(matrix).sum()
    plain = problem.errors(grid.real(grid.nearest(matrix, scales, bits=4), scales)).sum() - base
    assert problem.errors(grid.real(integers, scales)).sum() - base < 0.5 * plain
    assert np.abs(integers - matrix / scales).max() < 1 + 1e-6
    assert np.array_equal(integers, ada.learned(matrix, scales, problem, recipe))


def test_large_layers_get_fewer_iterations():
    _, problem = problem_of(64, 16)
    assert ada.affordable(problem, 16, 400) == 400
    assert ada.affordable(problem, 16, 10) == 10
    # 2e12 operations of 2 * 64 * 64 * outputs each.
    assert ada.affordable(problem, 10**6, 400) == 244
    assert ada.affordable(problem, 10**8, 400) == 60


def network():
    i = keras.Input((8, 8, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(6, 3, use_bias=False, name="a")(i)))
    x = L.DepthwiseConv2D(3, activation="relu", name="b")(x)
    model = keras.Model(i, L.Dense(4, name="c")(L.GlobalAveragePooling2D()(x)))
    model.set_weights([np.abs(RNG.normal(size=w.shape)) + 0.1 for w in model.get_weights()])
    return model


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("per_channel", [True, False])
def test_a_converter_finds_the_same_scales_and_integers_again(bits, per_channel):
    x = RNG.normal(size=(32, 8, 8, 3)).astype(np.float32)
    recipe = PtqRecipe(adaround=True, bits=bits, int8=(), per_channel=per_channel, iterations=50)
    done = prepare(network(), x, recipe)
    assert sorted(done.integers) == ["a", "b", "c"]
    assert done.left == ()
    for call in read(done.model).calls:
        if call.name not in done.integers:
            continue
        matrix = grid.to_matrix(call.kind, call.weights[0])
        scales = grid.full_scales(matrix, bits=bits, per_channel=per_channel)
        again = grid.nearest(matrix, scales.astype(np.float32), bits=bits)
        stored = grid.to_matrix(call.kind, done.integers[call.name])
        assert np.array_equal(again, stored)
        assert np.abs(stored).max() == grid.largest(bits)


def test_bias_correction_takes_the_mean_error_out():
    x = RNG.normal(1, 1, (64, 8, 8, 3)).astype(np.float32)
    model = prepare(network(), x, PtqRecipe()).model
    fixed = correct_bias(model, x, bits=4).model

    def mean_error(kept):
        graph = read(kept)
        for call in (call for call in graph.calls if call.weights):
            matrix = grid.to_matrix(call.kind, call.weights[0])
            scales = grid.full_scales(matrix, bits=4, per_channel=True)
            rounded = grid.real(grid.nearest(matrix, scales, bits=4), scales)
            kernel = grid.from_matrix(call.kind, rounded, call.weights[0].shape)
            kept.get_layer(call.name).set_weights([kernel, *call.weights[1:]])
        return np.abs((np.asarray(kept(x)) - expected).mean(0)).max()

    expected = np.asarray(model(x))
    assert np.array_equal(model.get_layer("a").get_weights()[0], fixed.get_layer("a").get_weights()[0])
    assert mean_error(fixed) < 0.01 * mean_error(model)


def test_layers_of_other_forms_are_left_and_named():
    class Notes:
        warnings = ()

        def __init__(self):
            self.warnings = []

        bar = staticmethod(lambda label, total: __import__("contextlib").nullcontext(lambda *a, **k: None))

        def info(self, message):
            return

        def warn(self, message):
            self.warnings.append(message)

    i = keras.Input((4, 4, 2))
    model = keras.Model(i, L.Conv2D(2, 1, name="c")(L.Conv2DTranspose(3, 2, name="t")(i)))
    notes = Notes()
    done = prepare(model, np.ones((4, 4, 4, 2), np.float32), PtqRecipe(adaround=True, iterations=5), reporter=notes)
    assert done.left == ("t",)
    assert sorted(done.integers) == ["c"]
    assert "t" in notes.warnings[0]


def test_no_samples_is_an_error():
    with pytest.raises(DataError, match="no samples"):
        prepare(network(), np.zeros((0, 8, 8, 3), np.float32), PtqRecipe(adaround=True))


def test_moments_of_few_samples_count_for_less():
    assert moments.shrinkage(1280, 100, 100) == pytest.approx(12.8)
    assert moments.shrinkage(1152, 100, 4900) == pytest.approx(1152 / 700)
    assert moments.shrinkage(27, 128, 8192) == pytest.approx(27 / 1024)
    assert moments.shrinkage(9, 128, 8192) == moments.DAMPING, "there is always some"


def test_few_samples_round_others_better_than_they_did(monkeypatch):
    """What is chosen on a few samples is judged on many others of the same kind."""
    rng = np.random.default_rng(5)
    mixing, count = np.diag(np.geomspace(1, 0.3, 192)), 48
    model = single((192,), L.Dense(24, name="k"))
    call = read(model).calls[0]
    matrix = grid.to_matrix("Dense", call.weights[0])
    few, many = ((rng.normal(size=(rows, 192)) @ mixing).astype(np.float32) for rows in (count, 6000))
    scales, lost = grid.full_scales(matrix, bits=4, per_channel=True), []
    for share in (moments.shrinkage, lambda size, samples, rows: moments.DAMPING):
        monkeypatch.setattr(moments, "shrinkage", share)
        problem = quadratic(Site(call=call, expected=few, given=few), matrix)
        rounded = grid.real(ada.learned(matrix, scales, problem, ada.RoundingRecipe(bits=4)), scales)
        lost.append(float(np.square(many @ (rounded - matrix)[0]).mean()))
    assert lost[0] < 0.9 * lost[1]
