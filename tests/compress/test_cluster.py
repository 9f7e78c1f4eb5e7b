"""Clustered kernels have few values, compress well, and the network still answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv.compress.cluster import ClusterRecipe, cluster, distinct_values, gzip_bytes
from edgecv.core.errors import ConfigError
from edgecv.data import Dataset
from edgecv.modelio import env
from edgecv.train import train
from tests.train.small import RECIPE, SPEC, dataset, model


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def test_kernels_have_the_asked_number_of_values_and_files_compress(digits: Dataset, tmp_path: Path) -> None:
    parent = train(model(), SPEC, digits, RECIPE)
    recipe = ClusterRecipe(clusters=8, epochs=2, learning_rate=1e-3)
    done = cluster(parent.model, SPEC, digits, recipe, state=tmp_path / "state")
    assert max(done.values.values()) <= 8 < min(distinct_values(parent.model).values())
    assert [layer.name for layer in done.model.layers] == [layer.name for layer in parent.model.layers]
    assert done.best_value > parent.best_value - 0.1
    again = cluster(parent.model, SPEC, digits, recipe, state=tmp_path / "state")
    sizes = []
    for one, other in zip(done.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for made in (done.model, parent.model):
        sizes.append(gzip_bytes(b"".join(weight.tobytes() for weight in made.get_weights())))
    assert sizes[0] < 0.4 * sizes[1]


def test_zeros_of_a_pruned_model_stay(digits: Dataset) -> None:
    parent = train(model(), SPEC, digits, RECIPE).model
    layer = parent.get_layer("output")
    kernel, bias = layer.get_weights()
    kernel[np.abs(kernel) < np.median(np.abs(kernel))] = 0.0
    layer.set_weights([kernel, bias])
    done = cluster(parent, SPEC, digits, ClusterRecipe(clusters=8, epochs=1, keep_zeros=True))
    assert (done.model.get_layer("output").get_weights()[0][kernel == 0] == 0).all()


def test_outputs_that_clustered_layers_give_keep_their_names(digits: Dataset) -> None:
    keras = env.keras()
    image = keras.Input(SPEC.input.shape, name=SPEC.input.name)
    x = keras.layers.Flatten()(image)
    outputs = [keras.layers.Dense(len(SPEC.labels), name=name)(x) for name in ("first", "second")]
    # The second one is an auxiliary classifier: with two outputs, a head has to find its own by name.
    spec = replace(SPEC, heads=(replace(SPEC.head, name="first", outputs=("first",), activation="logits"),))
    done = cluster(keras.Model(image, outputs), spec, digits, ClusterRecipe(clusters=4, epochs=1))
    assert done.model.output_names == ["first", "second"]
    assert max(done.values.values()) <= 4


@pytest.mark.parametrize("clusters", [1, 257])
def test_bad_numbers_are_refused(clusters: int) -> None:
    with pytest.raises(ConfigError):
        ClusterRecipe(clusters=clusters)
