"""Training with quantisation keeps zeros, 2:4 blocks and clusters: in float terms and in the int8 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.compress import PruneRecipe, QatRecipe, measure, prune, quantize_aware
from edgecv.compress.cluster import ClusterRecipe, cluster, distinct_values
from edgecv.compress.preserved import Clusters, kept, nearest
from edgecv.compress.rewrite import standardised
from edgecv.compress.sparsity import prunable_weights
from edgecv.convert import convert
from edgecv.convert.check.weight_census import held_weights
from edgecv.core.errors import ConfigError
from edgecv.data import Dataset
from edgecv.modelio import LoadedModel, env, manifest_for
from edgecv.train import train
from tests.train.small import RECIPE, SPEC, dataset, model

QAT = QatRecipe(epochs=2, learning_rate=2e-3, seed=1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def parent(digits: Dataset) -> Any:
    return train(normed(), SPEC, digits, RECIPE)


@pytest.fixture(scope="module")
def clustered(digits: Dataset, parent: Any) -> Any:
    return cluster(parent.model, SPEC, digits, ClusterRecipe(clusters=8, epochs=1, learning_rate=1e-3))


def normed() -> Any:
    """Return a net whose first kernel is folded with a batch normalisation, and whose others are not."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, use_bias=False, name="c1")(inputs)
    x = layers.ReLU(name="r1")(layers.BatchNormalization(name="bn1")(x))
    x = layers.Conv2D(12, 3, activation="relu", name="c2")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="output")(x), name="normed")


def in_file(net: Any, digits: Dataset, out: Path) -> Path:
    manifest = manifest_for(SPEC, recipe={"step": "qat"}, seed=0, method="qat")
    source = LoadedModel(model=net, manifest=manifest, path=Path("qat.keras"), sha256="0" * 64)
    return convert(source, format="tflite", scheme="int8", method="qat", out=out, dataset=digits).path


def test_clusters_stay_through_training_and_in_the_file(digits: Dataset, clustered: Any, tmp_path: Path) -> None:
    source = clustered.model
    plain = quantize_aware(source, SPEC, digits, QAT)
    few = quantize_aware(source, SPEC, digits, QatRecipe(epochs=2, learning_rate=2e-3, seed=1, clusters=8))
    assert (few.clustered, plain.clustered) == (("c1", "c2", "output"), ())
    assert few.best_epoch >= 0
    assert few.best_value > clustered.best_value - 0.05
    before, after = distinct_values(source), distinct_values(few.model)
    assert after["c2"] <= before["c2"] <= 8
    assert after["output"] <= before["output"] <= 8
    kernel = prunable_weights(few.model)["c1"].numpy()
    assert max(len(np.unique(kernel[..., channel])) for channel in range(8)) <= 8
    moved = np.abs(kernel - prunable_weights(standardised(source).model)["c1"].numpy()).max()
    assert moved > 1e-4
    files = [in_file(done.model, digits, tmp_path / f"{name}.tflite") for name, done in (("f", few), ("p", plain))]
    held, loose = (held_weights(path) for path in files)
    assert held.values_per_channel <= 8 < loose.values_per_channel
    assert held.gzip_bytes < 0.8 * loose.gzip_bytes


def test_a_clusters_value_moves_by_the_mean_of_its_members() -> None:
    clusters = Clusters(index=np.array([[0, 1], [0, 0]], np.int32), scales=np.array([[1.0, 2.0]], np.float32), count=2)
    # Cluster 0 has 1 and 3 in the first channel and 8 = 2 * 4 in the second: (1 + 3 + 2 * 8) / (1 + 1 + 4) = 10/3.
    found = nearest(np.array([[1.0, 6.0], [3.0, 8.0]], np.float32), clusters).numpy()
    np.testing.assert_allclose(found, [[10 / 3, 6.0], [10 / 3, 20 / 3]], rtol=1e-6)
    np.testing.assert_allclose(nearest(found, clusters).numpy(), found, rtol=1e-6)


@pytest.mark.parametrize("pattern", [None, pytest.param((2, 4), marks=pytest.mark.slow)])
def test_zeros_and_blocks_stay_in_place_down_to_the_file(
    pattern: tuple[int, int] | None, digits: Dataset, parent: Any, tmp_path: Path
) -> None:
    recipe = PruneRecipe(sparsity=0.5, epochs=2, learning_rate=2e-3, pattern=pattern)
    pruned = prune(parent.model, SPEC, digits, recipe).model
    done = quantize_aware(pruned, SPEC, digits, QAT)
    before, after = prunable_weights(pruned), prunable_weights(done.model)
    for name, kernel in before.items():
        np.testing.assert_array_equal(after[name].numpy() == 0, kernel.numpy() == 0, err_msg=name)
    held = held_weights(in_file(done.model, digits, tmp_path / "m.tflite"))
    assert held.zeros >= measure(pruned).share
    plain = quantize_aware(
        pruned, SPEC, digits, QatRecipe(epochs=2, learning_rate=2e-3, seed=1, preserve_sparsity=False)
    )
    loose = held_weights(in_file(plain.model, digits, tmp_path / "plain.tflite"))
    assert held.gzip_bytes < loose.gzip_bytes
    if pattern:
        assert {"c2", "output"} <= {name for name in before if np.all(_zeros_in_blocks(after[name].numpy()) >= 2)}
        assert (held.patterned, loose.patterned) == (2, 0)


def _zeros_in_blocks(kernel: Any) -> Any:
    if kernel.shape[-2] % 4:
        return np.zeros(1)
    return (np.moveaxis(kernel, -2, -1).reshape(-1, 4) == 0).sum(axis=1)


@pytest.mark.slow
def test_a_model_pruned_then_clustered_keeps_both(digits: Dataset, parent: Any) -> None:
    pruned = prune(parent.model, SPEC, digits, PruneRecipe(sparsity=0.5, epochs=2, learning_rate=2e-3)).model
    both = cluster(pruned, SPEC, digits, ClusterRecipe(clusters=8, keep_zeros=True, epochs=1)).model
    done = quantize_aware(both, SPEC, digits, QatRecipe(epochs=1, learning_rate=2e-3, clusters=8))
    assert done.sparsity.share == measure(both).share >= 0.49
    assert max(value for name, value in distinct_values(done.model).items() if name != "c1") <= 8


def test_a_model_with_many_values_has_no_clusters_to_keep(digits: Dataset) -> None:
    with pytest.raises(ConfigError, match="16 values"):
        quantize_aware(model(), SPEC, digits, QatRecipe(epochs=1, clusters=16))
    with pytest.raises(ConfigError, match="clusters"):
        QatRecipe(clusters=1)


def test_facts_name_what_is_kept_and_plain_runs_are_told_as_before(parent: Any, clustered: Any) -> None:
    assert kept(parent.model, standardised(parent.model), zeros=True, clusters=None).facts == {"masked": [], "tied": ()}
    assert kept(clustered.model, standardised(clustered.model), zeros=True, clusters=8).facts["clustered"] == [
        "c1",
        "c2",
        "output",
    ]
