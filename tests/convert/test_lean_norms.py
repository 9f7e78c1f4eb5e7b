"""Normalisation over groups: the same answers as keras', in operators that read maps of four axes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from edgecv.convert.freeze import freeze
from edgecv.convert.lean_norms import lean
from edgecv.convert.tflite.converter import convert_float
from edgecv.graphs import read_tflite
from edgecv.modelio import env
from edgecv.modelio.boundary import call


def network(groups: int, shape: tuple[int, ...] = (6, 5, 8), **settings: Any) -> Any:
    layers, rng = env.keras().layers, np.random.default_rng(0)
    image = env.keras().Input(shape)
    model = env.keras().Model(image, layers.GroupNormalization(groups, name="norm", **settings)(image))
    model.set_weights([value + rng.normal(0, 0.5, value.shape) for value in model.get_weights()])
    return model


@pytest.mark.parametrize("groups", [1, 2, 4, 8, -1])
@pytest.mark.parametrize("settings", [{}, {"center": False}, {"scale": False}, {"scale": False, "center": False}])
def test_answers_are_those_of_keras(groups: int, settings: dict[str, Any]) -> None:
    model = network(groups, **settings)
    x = np.random.default_rng(1).normal(3, 2, (1, 6, 5, 8)).astype(np.float32)
    wanted = call(model, [x])[0]
    with lean():
        got = call(model, [x])[0]
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    assert np.allclose(call(model, [x])[0], wanted, atol=0)  # keras' own is back


def test_a_case_by_hand() -> None:
    """Two groups of two channels over two places: values 0, 2 beside 4, 6 have the mean 3 and the variance 5."""
    model = env.keras().Sequential([env.keras().layers.GroupNormalization(2, epsilon=0.0, input_shape=(2, 1, 4))])
    x = np.array([[[[0, 4, 1, 1]], [[2, 6, 3, 3]]]], np.float32)
    with lean():
        got = np.asarray(call(model, [x])[0])
    np.testing.assert_allclose(got[0, :, 0, 0], np.array([-3, -1]) / np.sqrt(5), atol=1e-6)
    np.testing.assert_allclose(got[0, :, 0, 2], [-1, 1], atol=1e-6)


def test_a_large_mean_does_not_swallow_the_variance() -> None:
    model = network(4)
    x = (1000 + np.random.default_rng(2).normal(0, 1, (1, 6, 5, 8))).astype(np.float32)
    wanted = call(model, [x])[0]
    with lean():
        np.testing.assert_allclose(call(model, [x])[0], wanted, atol=5e-3)


@pytest.mark.parametrize(("groups", "most"), [(-1, 10), (4, 18)])
def test_the_file_reads_maps_of_four_axes(groups: int, most: int) -> None:
    file = read_tflite(convert_float(freeze(network(groups)), "float32"))
    assert max(len(tensor.shape) for tensor in file.tensors) == 4
    kinds = Counter(op.op for op in file.ops)
    assert sum(kinds.values()) <= most, kinds
    assert kinds["SQUARED_DIFFERENCE"] >= 1
    assert not kinds["SUM"]


@pytest.mark.parametrize(("shape", "axis", "images"), [((8,), -1, 1), ((6, 5, 8), 1, 1), ((6, 5, 8), -1, 2)])
def test_what_it_does_not_know_stays_keras_own(shape: tuple[int, ...], axis: int, images: int) -> None:
    """Vectors have no places; channels first have no last axis; of several images each has statistics of its own."""
    model = network(2, shape, axis=axis)
    x = np.random.default_rng(1).normal(0, 2, (images, *shape)).astype(np.float32)
    wanted = call(model, [x])[0]
    with lean():
        assert np.array_equal(call(model, [x])[0], wanted)
