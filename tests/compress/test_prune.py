"""Pruning reaches the share of zeros that was asked for, and leaves a plain model of the same layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.compress import PruneRecipe, measure, prune
from edgecv.compress.prune import check_reached, zeroed
from edgecv.compress.sparsity import Sparsity
from edgecv.core.errors import ConfigError, ConversionError, UnsupportedModelError
from edgecv.data import Dataset
from edgecv.modelio import env
from edgecv.train import train
from tests.train.small import RECIPE, SPEC, Listener, dataset, model


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def recipe(**changes: object) -> PruneRecipe:
    values = {"sparsity": 0.75, "epochs": 4, "learning_rate": 2e-3, "seed": 1}
    return PruneRecipe(**{**values, **changes})  # type: ignore[arg-type]


def test_the_asked_share_is_zero_and_accuracy_is_kept(digits: Dataset) -> None:
    source = train(model(), SPEC, digits, RECIPE)
    before = [w.copy() for w in source.model.get_weights()]
    done = prune(source.model, SPEC, digits, recipe())
    assert done.sparsity.share == pytest.approx(0.75, abs=0.01)
    assert measure(done.model).share == done.sparsity.share
    assert done.best_value > source.best_value - 0.15
    assert all(np.array_equal(a, b) for a, b in zip(before, source.model.get_weights(), strict=True))


def test_the_result_is_plain_and_named_like_its_source(digits: Dataset) -> None:
    source = model()
    done = prune(source, SPEC, digits, recipe(epochs=2))
    assert [layer.name for layer in done.model.layers] == [layer.name for layer in source.layers]
    assert [type(layer) for layer in done.model.layers] == [type(layer) for layer in source.layers]


def test_the_largest_weights_of_the_source_survive(digits: Dataset) -> None:
    source = train(model(), SPEC, digits, RECIPE).model
    done = prune(source, SPEC, digits, recipe(epochs=2, learning_rate=1e-6))
    before, after = source.get_layer("output").get_weights()[0], done.model.get_layer("output").get_weights()[0]
    assert np.abs(before[after != 0]).min() >= np.abs(before[after == 0]).max() - 1e-3


@pytest.mark.parametrize(
    ("changes", "share"), [({}, 0.75), ({"sparsity": 0.5, "pattern": (2, 4)}, 0.5)], ids=["share", "2:4"]
)
def test_without_training_it_has_the_zeros_that_pruning_ends_with(changes: dict[str, object], share: float) -> None:
    source = model()
    made = zeroed(source, recipe(**changes))
    zeros = measure(made)
    pruned = [name for name, found in zeros.by_layer.items() if found]
    assert pruned
    assert all(zeros.by_layer[name] == pytest.approx(share, abs=0.01) for name in pruned)
    for name in pruned:
        before, after = (one.get_layer(name).get_weights()[0] for one in (source, made))
        assert np.array_equal(after[after != 0], before[after != 0]), "what is left is the source's"
        if "pattern" not in changes:
            assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()


def test_excluded_layers_keep_their_weights_and_are_reported(digits: Dataset) -> None:
    listener = Listener()
    done = prune(model(), SPEC, digits, recipe(epochs=2, exclude=("output",)), reporter=listener)
    assert done.untouched == ("output",)
    assert "output" in listener.warnings[0]
    assert done.sparsity.zeros_by_layer["output"] == 0
    assert done.sparsity.by_layer["c1"] == pytest.approx(0.75, abs=0.02)


def test_only_fully_pruned_epochs_may_be_the_best(digits: Dataset) -> None:
    done = prune(model(), SPEC, digits, recipe(epochs=4, ramp=0.5))
    assert done.history[0].eligible is False
    assert done.history[done.best_epoch].eligible


@pytest.mark.parametrize("change", [{"sparsity": 0.0}, {"sparsity": 1.0}, {"ramp": 0.0}])
def test_bad_recipes_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        recipe(**change)


def test_an_unknown_layer_is_named(digits: Dataset) -> None:
    with pytest.raises(ConfigError, match="c9"):
        prune(model(), SPEC, digits, recipe(exclude=("c9",)))


def test_a_model_without_kernels_is_refused(digits: Dataset) -> None:
    keras = env.keras()
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(UnsupportedModelError, match="no layer to prune"):
        prune(keras.Model(inputs, outputs), SPEC, digits, recipe())


def test_it_resumes(digits: Dataset, tmp_path: Path) -> None:
    first = prune(model(), SPEC, digits, recipe(epochs=2), state=tmp_path / "state")
    listener = Listener()
    again = prune(model(), SPEC, digits, recipe(epochs=2), state=tmp_path / "state", reporter=listener)
    assert any("resuming after epoch 2" in remark for remark in listener.remarks)
    for a, b in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_equal_weights_at_the_threshold_may_stay() -> None:
    size = 4096 * 4096
    large = Sparsity(zeros_by_layer={"fc": size // 2 - 3}, size_by_layer={"fc": size})
    assert check_reached(large, frozenset({"fc"}), 0.5) is large
    small = Sparsity(zeros_by_layer={"fc": 497}, size_by_layer={"fc": 1000})
    with pytest.raises(ConversionError, match=r"0\.4970 zeros after pruning, asked for 0\.5000"):
        check_reached(small, frozenset({"fc"}), 0.5)


def test_a_pattern_leaves_two_zeros_in_each_four(digits: Dataset) -> None:
    keras = env.keras()
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="second")(x)
    x = keras.layers.Flatten()(x)
    source = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", name="output")(x), name="small")
    done = prune(source, SPEC, digits, recipe(sparsity=0.5, pattern=(2, 4), epochs=2))
    assert done.untouched == ("first",)
    for name in ("second", "output"):
        kernel = done.model.get_layer(name).get_weights()[0]
        blocks = np.moveaxis(kernel, -2, -1).reshape(-1, 4)
        assert ((blocks == 0).sum(axis=1) == 2).all()


@pytest.mark.parametrize("change", [{"pattern": (4, 4), "sparsity": 1.0}, {"pattern": (2, 4), "sparsity": 0.75}])
def test_bad_patterns_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        recipe(**change)
