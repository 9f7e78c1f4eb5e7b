"""Training a float model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.data import match_targets
from edgecv.modelio.env import seed_everything
from edgecv.progress import QUIET, Reporter
from edgecv.specs import ModelSpec
from edgecv.train.batches import Samples
from edgecv.train.loop import Fitted, Hooks, fit
from edgecv.train.recipes import TrainRecipe
from edgecv.train.state import Epoch

if TYPE_CHECKING:
    from edgecv.data import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained model.

    Attributes:
        model: The model that was passed in, holding the weights of its best epoch.
        history: One entry per finished epoch.
        best_epoch: Index of the best epoch in `history`.
        best_value: Its validation metric: accuracy 0..1, or mean absolute error for regression.
    """

    model: Any
    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def train(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: TrainRecipe,
    *,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> Trained:
    """Train `model` in place on the train split and keep its best epoch on the validation split.

    The same arguments give the same weights on the same machine. After a kill, the same call with the same `state`
    goes on from the last finished epoch and ends with the weights of an uninterrupted run; a state of another run
    (recipe, data or initial weights differ) is explained to the reporter and not used.

    Args:
        model: A tf_keras model with one output.
        spec: Its contract: preprocessing, and the head that picks the loss.
        dataset: Its train and validation splits are used, its test split is never touched.
        recipe: The run.
        state: Resume file, rewritten after each epoch; the caller deletes it once the model is saved.
        reporter: Progress and remarks.

    Raises:
        ConfigError: The head has no training loss, the loss is no longer finite, or `state` cannot be written.
        DataError: A split is empty or its labels do not fit the model.
    """
    done = run_stage(model, spec, dataset, recipe, Hooks(stage="train"), state=state, reporter=reporter)
    return Trained(model=model, history=done.history, best_epoch=done.best_epoch, best_value=done.best_value)


def run_stage(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: TrainRecipe,
    hooks: Hooks,
    *,
    state: Path | None,
    reporter: Reporter,
) -> Fitted:
    """Run the shared loop of training, pruning and QAT on a data set; see `train` for the promises it keeps."""
    seed_everything(recipe.seed)
    training, validation = dataset.split("train"), dataset.split("validation")
    order = match_targets(spec.heads, dataset.targets, dataset=dataset.name)
    return fit(
        model,
        spec,
        Samples(training, spec, order=order),
        Samples(validation, spec, order=order),
        recipe,
        hooks,
        data_sha256=(training.sha256, validation.sha256),
        state=state,
        reporter=reporter,
    )
