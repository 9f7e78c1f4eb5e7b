"""Scores against values by hand, against finite differences, and on filters that are copies of one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgecv.compress.layer_graph import read
from edgecv.compress.slim.channels import Dependencies, dependencies
from edgecv.compress.slim.scores import similarity_scores, taylor_scores, weight_scores
from edgecv.modelio import env
from tests.compress.slim.networks import NETWORKS


def chain(*, norm: bool = False) -> Any:
    """Two 1x1 convolutions and a classifier, with few enough weights to score by hand."""
    keras = env.keras()
    keras.utils.set_random_seed(3)
    layers, image = keras.layers, keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 1, name="a", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization(name="bn")(x) if norm else x)
    x = layers.Conv2D(4, 1, name="b", activation="relu")(x)
    return keras.Model(image, layers.Dense(2, name="output")(layers.GlobalAveragePooling2D()(x)), name="chain")


def of_layer(known: Dependencies, layer: str, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return scores[next(known.tensors[call.output] for call in known.graph.calls if call.name == layer)]


def set_kernel(model: Any, layer: str, filters: list[list[float]]) -> None:
    kernel = np.array(filters, np.float32).T[None, None]
    model.get_layer(layer).set_weights([kernel, *model.get_layer(layer).get_weights()[1:]])


def test_l1_is_the_magnitude_over_the_layers_mean() -> None:
    model = chain()
    set_kernel(model, "a", [[1, -1], [0, 0], [3, 1]])
    known = dependencies(read(model))
    np.testing.assert_allclose(of_layer(known, "a", weight_scores(known, "l1")), [1.0, 0.0, 2.0])


def test_fpgm_prefers_what_others_can_stand_for() -> None:
    model = chain()
    set_kernel(model, "a", [[0, 0], [3, 4], [6, 8]])
    known = dependencies(read(model))
    # Distances: 5 and 10, 5 and 5, 10 and 5; their mean is 40 / 3.
    expected = np.array([15, 10, 15]) / (40 / 3)
    np.testing.assert_allclose(of_layer(known, "a", weight_scores(known, "fpgm")), expected)


def test_bn_reads_the_scale_and_says_nothing_without_one() -> None:
    model = chain(norm=True)
    norm = model.get_layer("bn")
    norm.set_weights([np.array([1.0, -2.0, 0.0], np.float32), *norm.get_weights()[1:]])
    known = dependencies(read(model))
    scores = weight_scores(known, "bn")
    np.testing.assert_allclose(of_layer(known, "a", scores), [1.0, 2.0, 0.0])
    assert np.isnan(of_layer(known, "b", scores)).all()


def images(shape: tuple[int, ...], count: int = 2) -> list[tuple[Any, tuple[Any, ...]]]:
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(8, *shape)).astype(np.float32), (rng.normal(size=(8, 2)).astype(np.float32),))
        for _ in range(count)
    ]


def squared_error(targets: tuple[Any, ...], outputs: list[Any]) -> Any:
    tf = env.tensorflow()
    return tf.reduce_mean(tf.square(targets[0] - outputs[0]))


def test_taylor_is_the_derivative_by_what_consumers_read() -> None:
    model = chain()
    known = dependencies(read(model))
    batches = images((4, 4, 2))
    scores = of_layer(known, "b", taylor_scores(known, lambda: iter(batches), squared_error))
    output, step = model.get_layer("output"), 1e-2
    kernel, bias = output.get_weights()
    for channel in range(4):
        slopes = []
        for inputs, targets in batches:
            losses = []
            for factor in (1 - step, 1 + step):
                changed = kernel.copy()
                changed[channel] *= factor
                output.set_weights([changed, bias])
                losses.append(float(squared_error(targets, [model(inputs)])))
            slopes.append(abs(losses[1] - losses[0]) / (2 * step))
        output.set_weights([kernel, bias])
        assert scores[channel] == pytest.approx(np.mean(slopes), rel=2e-2, abs=1e-5)


def test_taylor_adds_up_what_a_residual_channel_does_in_all_places() -> None:
    """A channel that nothing reads has no effect; one that feeds a sum has."""
    model = NETWORKS["shared"]()
    output = model.get_layer("output")
    kernel, bias = output.get_weights()
    # Flatten of 8 x 8 pixels with 16 joined channels: 3 and 11 are the shared convolution's channel 3.
    kernel.reshape(64, 16, 3)[:, [3, 11]] = 0.0
    output.set_weights([kernel, bias])
    known = dependencies(read(model))
    rng = np.random.default_rng(1)
    batches = [(rng.normal(size=(4, 8, 8, 3)).astype(np.float32), (rng.normal(size=(4, 3)).astype(np.float32),))]
    scores = of_layer(known, "twice", taylor_scores(known, lambda: iter(batches), squared_error))
    assert scores[3] == 0.0
    assert (np.delete(scores, 3) > 0).all()


def test_of_equal_maps_one_is_redundant() -> None:
    model = chain()
    set_kernel(model, "a", [[1, 0.5], [2, 1], [0.3, -1]])
    known = dependencies(read(model))

    def batches() -> Iterator[tuple[Any, tuple[Any, ...]]]:
        return iter(images((4, 4, 2)))

    scores = of_layer(known, "a", similarity_scores(known, batches))
    assert scores[0] == pytest.approx(0.0, abs=1e-6)
    assert scores[1] == 1.0
    assert 0.2 < scores[2] < 1.0


def test_a_dead_channel_scores_nothing() -> None:
    model = chain()
    set_kernel(model, "a", [[1, 0.5], [0, 0], [0.3, -1]])
    known = dependencies(read(model))
    scores = of_layer(known, "a", similarity_scores(known, lambda: iter(images((4, 4, 2)))))
    assert scores[1] == 0.0
    assert scores[0] > 0.2
    assert scores[2] > 0.2
