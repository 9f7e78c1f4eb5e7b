"""Rounds of removing and training: the budget holds, a killed run goes on, the same seed gives the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.compress.slim import SlimRecipe, apply, slim
from edgecv.compress.slim.rounds import epochs_of
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.data import Dataset
from edgecv.modelio import env
from edgecv.train import train
from edgecv.zoo.profiling import profile
from tests.train.small import RECIPE, SPEC, Listener, dataset


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def network() -> Any:
    keras = env.keras()
    keras.utils.set_random_seed(0)
    layers, image = keras.layers, keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(8, 3, activation="relu", padding="same", name="c1")(image)
    x = layers.Add(name="sum")([x, layers.Conv2D(8, 3, activation="relu", padding="same", name="c2")(x)])
    x = layers.Dense(16, activation="relu", name="fc")(layers.Flatten(name="flatten")(x))
    return keras.Model(image, layers.Dense(10, activation="softmax", name="output")(x), name="small")


@pytest.fixture(scope="module")
def parent(digits: Dataset) -> Any:
    return train(network(), SPEC, digits, RECIPE).model


def recipe(**changes: Any) -> SlimRecipe:
    values = {"budget": "macs", "share": 0.5, "rounds": 2, "epochs": 4, "learning_rate": 2e-3, "samples": 64, "seed": 1}
    return SlimRecipe(**{**values, **changes})


def weights(model: Any) -> list[np.ndarray[Any, Any]]:
    return [np.array(one) for one in model.get_weights()]


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_half_the_macs_keep_the_accuracy_and_the_parent_is_untouched(parent: Any, digits: Dataset) -> None:
    before = weights(parent)
    done = slim(parent, SPEC, digits, recipe())
    assert profile(done.model).macs == done.after.macs <= 0.5 * done.before.macs
    assert done.after.parameters == done.model.count_params()
    assert [layer.name for layer in done.model.layers] == [layer.name for layer in parent.layers]
    assert done.best_value > train(network(), SPEC, digits, RECIPE).best_value - 0.15
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(parent), strict=True))
    # The plan alone gives the same widths.
    assert [w.shape for w in weights(apply(parent, done.plan))] == [w.shape for w in weights(done.model)]
    assert len(done.plan.layers["c1"].kept) < 8


@pytest.mark.slow
def test_a_second_run_resumes_and_gives_the_same_weights(parent: Any, digits: Dataset, tmp_path: Path) -> None:
    listener = Listener()
    measured: list[int] = []

    def measure(candidate: Any) -> float:
        measured.append(candidate.count_params())
        return float(profile(candidate).macs / profile(parent).macs)

    first = slim(parent, SPEC, digits, recipe(budget="latency"), measure=measure, state=tmp_path / "state")
    assert measured
    tries = len(measured)
    again = slim(
        parent, SPEC, digits, recipe(budget="latency"), measure=measure, state=tmp_path / "state", reporter=listener
    )
    assert len(measured) == tries, "the plan of a finished round is not measured again"
    assert sum("resuming after epoch 2" in remark for remark in listener.remarks) == 2
    assert same(first.model, again.model)
    fresh = slim(parent, SPEC, digits, recipe(), state=tmp_path / "other")
    assert same(fresh.model, slim(parent, SPEC, digits, recipe()).model)


def test_a_torn_plan_file_is_made_again(parent: Any, digits: Dataset, tmp_path: Path) -> None:
    once = recipe(rounds=1, epochs=1, score="l1")
    first = slim(parent, SPEC, digits, once, state=tmp_path / "state")
    plan = tmp_path / "state.1.plan"
    assert plan.exists()
    plan.write_text(plan.read_text()[:40])
    assert same(first.model, slim(parent, SPEC, digits, once, state=tmp_path / "state").model)


@pytest.mark.parametrize("score", ["l1", "fpgm", "similarity"])
def test_every_score_reaches_the_budget(parent: Any, digits: Dataset, score: str) -> None:
    done = slim(parent, SPEC, digits, recipe(score=score, rounds=1, epochs=1, budget="bytes", share=0.4))
    assert done.after.weight_bytes <= 0.4 * done.before.weight_bytes


def test_a_score_that_says_nothing_is_refused(parent: Any, digits: Dataset) -> None:
    with pytest.raises(UnsupportedModelError, match="says nothing"):
        slim(parent, SPEC, digits, recipe(score="bn"))


def test_a_model_whose_channels_are_all_needed_is_refused(digits: Dataset) -> None:
    keras = env.keras()
    image = keras.Input((8, 8, 1))
    output = keras.layers.Dense(10, activation="softmax", name="output")(keras.layers.Flatten()(image))
    with pytest.raises(UnsupportedModelError, match="output: it is an output"):
        slim(keras.Model(image, output), SPEC, digits, recipe())


def test_epochs_are_shared_out() -> None:
    assert [epochs_of(recipe(rounds=3, epochs=16), index) for index in (1, 2, 3)] == [4, 4, 8]
    assert [epochs_of(recipe(rounds=3, epochs=1), index) for index in (1, 2, 3)] == [1, 1, 1]
    assert epochs_of(recipe(rounds=1, epochs=5), 1) == 5


@pytest.mark.parametrize(
    "change",
    [{"share": 1.0}, {"score": "taylr"}, {"rounds": 0}, {"multiple": 0}, {"budget": "watts"}, {"min_share": 2.0}],
)
def test_bad_recipes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        recipe(**change)


def test_a_latency_budget_needs_a_stopwatch(parent: Any, digits: Dataset) -> None:
    with pytest.raises(ConfigError, match="measure"):
        slim(parent, SPEC, digits, replace(recipe(), budget="latency"))
