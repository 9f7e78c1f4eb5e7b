"""Training keeps its best epoch, follows its seed, and survives being killed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.data import Dataset
from edgecv.train import TrainRecipe, default_recipe, train
from edgecv.train.recipes import learning_rate_at
from tests.train.killing import killed_and_whole
from tests.train.small import RECIPE, SPEC, Listener, dataset, model

TRAIN = """
import sys, numpy as np
from pathlib import Path
from dataclasses import replace
from edgecv.data import open_divided
from edgecv.train import train
from tests.train.killing import killed_and_whole
from tests.train.small import RECIPE, SPEC, model
folder = Path(sys.argv[1])
data = open_divided(f"npz:{folder / 'small.npz'}")
done = train(model(), SPEC, data, replace(RECIPE, epochs=int(sys.argv[2])), state=folder / "state")
np.savez(folder / sys.argv[3], *done.model.get_weights())
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def weights(digits: Dataset, recipe: TrainRecipe = RECIPE, **options: object) -> list[np.ndarray]:
    return train(model(), SPEC, digits, recipe, **options).model.get_weights()  # type: ignore[arg-type]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_it_learns_and_the_same_seed_gives_the_same_weights(digits: Dataset) -> None:
    first = train(model(), SPEC, digits, RECIPE)
    assert first.best_value > 0.6
    assert len(first.history) == RECIPE.epochs
    assert same(first.model.get_weights(), weights(digits))
    assert not same(first.model.get_weights(), weights(digits, replace(RECIPE, seed=4)))


def test_the_best_epochs_weights_are_what_is_left(digits: Dataset) -> None:
    # Steps so large that accuracy jumps about: the last epoch is not the best one.
    wild = replace(RECIPE, learning_rate=0.3, epochs=6, schedule="constant")
    done = train(model(), SPEC, digits, wild)
    values = [epoch.val_value for epoch in done.history]
    assert done.best_value == max(values)
    assert done.best_epoch == values.index(max(values)) or values.count(max(values)) > 1
    until_best = replace(wild, epochs=done.best_epoch + 1)
    assert same(done.model.get_weights(), weights(digits, until_best))


def test_patience_stops_early(digits: Dataset) -> None:
    wild = replace(RECIPE, learning_rate=0.5, epochs=20, schedule="constant", patience=2)
    done = train(model(), SPEC, digits, wild)
    assert len(done.history) < 20
    assert len(done.history) - 1 - done.best_epoch == 2


def test_a_killed_run_resumes_and_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    dataset(tmp_path)
    command = [sys.executable, "-c", TRAIN, str(tmp_path), "40"]
    assert same(*killed_and_whole(command, tmp_path))


def test_a_finished_state_is_taken_up_without_training_again(digits: Dataset, tmp_path: Path) -> None:
    first = weights(digits, state=tmp_path / "state")
    listener = Listener()
    assert same(first, weights(digits, state=tmp_path / "state", reporter=listener))
    assert "resuming after epoch 4" in listener.remarks[0]


@pytest.mark.parametrize("broken", ["other recipe", "garbage"])
def test_a_state_that_does_not_fit_is_explained_and_not_used(broken: str, digits: Dataset, tmp_path: Path) -> None:
    state = tmp_path / "state"
    weights(digits, replace(RECIPE, seed=9), state=state)
    if broken == "garbage":
        state.write_bytes(state.read_bytes()[:100])
    listener = Listener()
    assert same(weights(digits, state=state, reporter=listener), weights(digits))
    assert "starting over" in listener.warnings[0]


@pytest.mark.parametrize(
    "change",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"optimizer": "adm"}, {"schedule": "linear"},
     {"patience": 0}, {"label_smoothing": 1.0}, {"seed": -1}],
)  # fmt: skip
def test_bad_recipes_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TrainRecipe(**change)  # type: ignore[arg-type]


def test_the_cosine_schedule_starts_at_the_rate_and_halves_it_half_way() -> None:
    recipe = TrainRecipe(learning_rate=0.2, epochs=10, schedule="cosine")
    assert learning_rate_at(recipe, 0) == pytest.approx(0.2)
    assert learning_rate_at(recipe, 5) == pytest.approx(0.1)
    assert learning_rate_at(replace(recipe, schedule="constant"), 5) == 0.2


def test_recipes_go_by_variant_then_by_name() -> None:
    book = replace(SPEC, name="lenet5", variant="book")
    assert default_recipe(book) != default_recipe(replace(book, variant="canonical"))
    assert default_recipe(replace(SPEC, name="unheard of")) == TrainRecipe()
