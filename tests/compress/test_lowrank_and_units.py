"""Factored dense layers answer like the best matrices of their rank; a network without a unit skips it exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.compress.layer_graph import build, read
from edgecv.compress.lowrank import LowRankRecipe, factored, factorise, ranks_for
from edgecv.compress.units import UnitsRecipe, ablation, drop_units, dropped, residual_units
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.data import Dataset
from edgecv.modelio import env
from edgecv.train import train
from tests.compress.slim.networks import NETWORKS, randomised
from tests.train.small import RECIPE, SPEC, dataset, model


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def low_rank(**changes: Any) -> LowRankRecipe:
    return LowRankRecipe(**{"energy": 0.9, "smallest": 64, "epochs": 2, "learning_rate": 1e-3, **changes})


def dense(rank: int) -> Any:
    """A dense layer whose matrix has a known rank."""
    keras = env.keras()
    image = keras.Input((12,))
    made = keras.Model(image, keras.layers.Dense(20, activation="relu", name="fc")(image), name="dense")
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(12, rank)) @ rng.normal(size=(rank, 20))
    made.get_layer("fc").set_weights([kernel.astype(np.float32), rng.normal(size=20).astype(np.float32)])
    return made


def test_a_matrix_of_low_rank_is_factored_without_loss() -> None:
    made = dense(3)
    graph = read(made)
    ranks = ranks_for(graph, low_rank(energy=1 - 1e-9))
    assert ranks == {"fc": 3}
    small = build(factored(graph, ranks))
    assert [layer.name for layer in small.layers][1:] == ["fc..low", "fc"]
    assert small.count_params() == 3 * (12 + 20) + 20
    x = np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)
    np.testing.assert_allclose(small(x), made(x), atol=1e-4)


def test_the_energy_is_that_of_the_singular_values() -> None:
    made = dense(12)
    kernel = made.get_layer("fc").get_weights()[0]
    values = np.linalg.svd(kernel, compute_uv=False)
    (rank,) = ranks_for(read(made), low_rank(energy=0.8)).values()
    energy = np.cumsum(values**2) / np.sum(values**2)
    assert energy[rank - 1] >= 0.8 > energy[rank - 2]
    first, second = build(factored(read(made), {"fc": rank})).get_weights()[:2]
    assert np.linalg.norm(kernel - first @ second) ** 2 == pytest.approx(
        (1 - energy[rank - 1]) * np.sum(values**2), rel=1e-3
    )


def test_a_share_of_the_parameters_is_reached_and_an_impossible_one_refused() -> None:
    graph = read(NETWORKS["vgg"]())
    total = NETWORKS["vgg"]().count_params()
    small = build(factored(graph, ranks_for(graph, low_rank(energy=None, share=0.6))))
    assert 0.3 * total < small.count_params() <= 0.6 * total
    with pytest.raises(UnsupportedModelError, match="cannot bring"):
        ranks_for(graph, low_rank(energy=None, share=0.05))
    with pytest.raises(UnsupportedModelError, match="no dense layer"):
        ranks_for(graph, low_rank(energy=1.0, smallest=10**6))
    with pytest.raises(ConfigError, match="one of the two"):
        low_rank(energy=0.5, share=0.5)


@pytest.mark.slow
def test_fine_tuning_keeps_the_accuracy(digits: Dataset) -> None:
    parent = train(model(), SPEC, digits, RECIPE)
    done = factorise(parent.model, SPEC, digits, low_rank(energy=0.8, epochs=4, learning_rate=5e-3))
    assert done.model.count_params() < parent.model.count_params()
    assert done.best_value > parent.best_value - 0.1


def test_a_unit_is_a_sum_with_its_own_input() -> None:
    units = residual_units(read(NETWORKS["se_resnet20"]()))
    # The first units of groups 2 and 3 have a shortcut with weights.
    expected = [f"group{g}_unit{u}_add" for g in (1, 2, 3) for u in (1, 2, 3) if (g, u) not in ((2, 1), (3, 1))]
    assert list(units) == expected
    assert residual_units(read(NETWORKS["vgg"]())) == {}


def test_a_network_without_units_skips_them_exactly() -> None:
    """Where the branch of a unit gives zeros, the network without it answers the same."""
    made = NETWORKS["se_resnet20"]()
    units = ("group1_unit2_add", "group1_unit3_add", "group3_unit2_add")
    for name in units:
        norm = made.get_layer(name.replace("_add", "_conv2_bn"))
        gamma, beta, mean, variance = norm.get_weights()
        norm.set_weights([0 * gamma, 0 * beta, mean, variance])
    short = build(dropped(read(made), units))
    assert len(short.layers) < len(made.layers)
    assert not any(name[:-4] in layer.name and "out" not in layer.name for name in units for layer in short.layers)
    x = np.random.default_rng(1).normal(size=(2, *made.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(short(x), made(x), atol=1e-5)


def residual() -> Any:
    keras = env.keras()
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(6, 3, activation="relu", padding="same", name="stem")(image)
    for name in ("a", "b", "c"):
        branch = keras.layers.Conv2D(6, 3, padding="same", name=f"{name}_conv")(x)
        x = keras.layers.Add(name=name)([branch, x])
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(10, activation="softmax", name="output")(x), name="residual")


def test_the_units_that_cost_least_go(digits: Dataset) -> None:
    env.keras().utils.set_random_seed(0)
    made = randomised(residual())
    worth = {"a": 0.9, "b": 0.2, "c": 0.8}
    asked: list[set[str]] = []

    def score(candidate: Any) -> float:
        left = {layer.name for layer in candidate.layers} & set(worth)
        asked.append(left)
        return sum(0.1 * (1 - worth[name]) for name in left)

    done = drop_units(made, SPEC, digits, UnitsRecipe(drop=2, epochs=1), score)
    assert {entry.unit for entry in done.table if entry.dropped} == {"a", "c"}
    assert [entry.unit for entry in done.table] == ["a", "b", "c"]
    assert asked == [{"b", "c"}, {"a", "c"}, {"a", "b"}, {"c"}, {"b"}]
    assert "b_conv" in {layer.name for layer in done.model.layers}
    assert all(entry.parameters == made.count_params() - (9 * 36 + 6) for entry in done.table)
    with pytest.raises(UnsupportedModelError, match="3 residual units"):
        drop_units(made, SPEC, digits, UnitsRecipe(drop=4, epochs=1), score)
    with pytest.raises(UnsupportedModelError, match="no residual unit"):
        ablation(model(), score)
