"""Training a float model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.core.progress import QUIET, Reporter
from edgecv.data import fitted, match_targets
from edgecv.modelio.env import seed_everything
from edgecv.train.batches import Samples, Source
from edgecv.train.features import cached, cut
from edgecv.train.freezing import frozen
from edgecv.train.logs import logger
from edgecv.train.loop import Fitted, Hooks, fit
from edgecv.train.recipes import NO_AUGMENTATION, Stage, TrainRecipe
from edgecv.train.state import Epoch, weights_digest
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained model.

    Attributes:
        model: The model that was passed in, holding the weights of its best epoch.
        history: One entry per finished epoch.
        best_epoch: Index of the best epoch in `history`; -1 when the weights before the last stage were better.
        best_value: Its validation value, in the unit of the first head's metric.
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
    teacher: Any = None,
    log_dir: Path | None = None,
    reporter: Reporter = QUIET,
) -> Trained:
    """Train `model` in place on the train split and keep its best epoch on the validation split.

    The same arguments give the same weights on the same machine. After a kill, the same call with the same `state`
    goes on from the last finished epoch and ends with the weights of an uninterrupted run; a state of another run
    (recipe, data or initial weights differ) is explained to the reporter and not used.

    Args:
        model: A tf_keras model with one output per head; further outputs are auxiliary classifiers.
        spec: Its contract: preprocessing, and the heads that pick the losses.
        dataset: Its train and validation splits are used, its test split is never touched.
        recipe: The run; with stages, they follow one another, each from the best epoch of the one before, whose weights
            are kept when no epoch is better.
        state: Resume file, rewritten after each epoch; the caller deletes it, and those of stages beside it (its name
            with ".1", ".2", … appended), once the model is saved.
        teacher: Model of the same inputs whose first output the first head follows.
        log_dir: Folder for a CSV table and TensorBoard events; None writes none.
        reporter: Progress and remarks.

    Returns:
        The history of the last stage; its best epoch is -1 when the weights that it started from were better.

    Raises:
        ConfigError: A head has no training loss, the loss is no longer finite, a stage freezes unknown layers, or
            `state` cannot be written.
        DataError: A split is empty or its targets do not fit the model.
    """
    for index, stage in enumerate(recipe.stages or (None,)):
        name = "train" if stage is None else f"train_{index + 1}"
        hooks = Hooks(stage=name, teacher=teacher, start_counts=index > 0)
        if log_dir is not None:
            hooks = replace(hooks, log=logger(log_dir, spec, stage=name))
        place = state if not index or state is None else state.with_name(f"{state.name}.{index}")
        if stage is None:
            done = run_stage(model, spec, dataset, recipe, hooks, state=place, reporter=reporter)
        else:
            _advise(index, recipe, reporter)
            done = _staged(model, spec, dataset, recipe, stage, hooks, state=place, reporter=reporter)
    return Trained(model=model, history=done.history, best_epoch=done.best_epoch, best_value=done.best_value)


def _staged(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: TrainRecipe,
    stage: Stage,
    hooks: Hooks,
    *,
    state: Path | None,
    reporter: Reporter,
) -> Fitted:
    rate = stage.learning_rate or recipe.learning_rate
    own = replace(recipe, epochs=stage.epochs, learning_rate=rate, stages=())
    with frozen(model, stage) as names:
        marked = replace(hooks, facts={**hooks.facts, "frozen": names, "cached": stage.cache_features})
        if stage.cache_features and hooks.teacher is not None:
            reporter.info(f"{hooks.stage}: the teacher needs the images, so features are not computed once")
        if not stage.cache_features or hooks.teacher is not None:
            return run_stage(model, spec, dataset, own, marked, state=state, reporter=reporter)
        if not own.augmentation.none:
            reporter.info(f"{hooks.stage}: features are computed once, so images are not augmented in this stage")
            own = replace(own, augmentation=NO_AUGMENTATION)
        if own.sizes:
            reporter.info(f"{hooks.stage}: features are computed once, so images have one size in this stage")
            own = replace(own, sizes=())
        parts = cut(model)
        # The head alone is what the loop sees; another backbone makes another run.
        marked = replace(marked, facts={**marked.facts, "backbone": weights_digest(parts.backbone)})
        return run_stage(
            parts.head, spec, dataset, own, marked, state=state, reporter=reporter, backbone=parts.backbone
        )


def _advise(index: int, recipe: TrainRecipe, reporter: Reporter) -> None:
    """Warn of a fine-tuning stage that steps as far as the head's."""
    if index == 0:
        return
    pair = recipe.stages[index - 1 : index + 1]
    before, here = (stage.learning_rate or recipe.learning_rate for stage in pair)
    held, holds = (bool(stage.freeze) or stage.train_last is not None for stage in pair)
    if held and not holds and here >= before:
        reporter.warn(
            f"stage {index + 1} unfreezes layers at a learning rate of {here:g}, no lower than the {before:g} before: "
            "that can undo what they learnt"
        )


def run_stage(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: TrainRecipe,
    hooks: Hooks,
    *,
    state: Path | None,
    reporter: Reporter,
    backbone: Any = None,
) -> Fitted:
    """Run the shared loop of training, pruning and QAT on a data set; see `train` for the promises it keeps.

    With a `backbone`, `model` takes what that gives, computed once for every sample.
    """
    seed_everything(recipe.seed)
    dataset = fitted(dataset, spec)
    training, validation = dataset.split("train"), dataset.split("validation")
    order = match_targets(spec.heads, dataset.targets, dataset=dataset.name)
    sources: list[Source] = [Samples(split, spec, order=order) for split in (training, validation)]
    if backbone is not None:
        sources = [
            cached(source, backbone, title=f"features of {name}", reporter=reporter)
            for source, name in zip(sources, ("train", "validation"), strict=True)
        ]
    return fit(
        model,
        spec,
        sources[0],
        sources[1],
        recipe,
        hooks,
        data_sha256=(training.sha256, validation.sha256),
        state=state,
        reporter=reporter,
    )
