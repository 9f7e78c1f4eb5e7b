"""Structured pruning with fine-tuning: score, remove, train on with the dense parent as teacher; several rounds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from edgecv.compress.layer_graph import Array, build, flattened, read
from edgecv.compress.slim import plan as plans
from edgecv.compress.slim import scores
from edgecv.compress.slim.channels import INPUT, OUTPUT, Dependencies, dependencies
from edgecv.compress.slim.choice import BudgetKind, Limits, fewest_measured, fewest_steps, removed_after, steps
from edgecv.compress.slim.cost import CostModel, Size
from edgecv.compress.slim.plan import ChannelPlan, plan_of
from edgecv.compress.slim.surgery import without
from edgecv.core import codec, files
from edgecv.core.errors import ConfigError, UnsupportedModelError, unknown_name
from edgecv.core.progress import QUIET, Reporter
from edgecv.data.matching import match_targets
from edgecv.modelio.env import seed_everything
from edgecv.train.batches import Samples
from edgecv.train.loop import Hooks
from edgecv.train.losses import Heads
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, check, fine_tuning
from edgecv.train.state import Epoch, fingerprint, weights_digest
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Dataset

SCORING_BATCH = 32

Measure = Callable[[Any], float]
"""From a candidate model to its latency as a share of the dense parent's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimRecipe(TrainRecipe):
    """A structured pruning run: the fine-tuning of TrainRecipe, and what goes when.

    Attributes:
        budget: What is limited: "macs", "bytes" (of the weights) or "latency" (measured).
        share: Of the parent's, that may be left, 0 < x < 1.
        score: What tells important channels from others; one of `scores.SCORES`.
        rounds: In how many rounds; after each the share left falls by the same factor, and the network is trained on.
            The last round has half of the epochs, the others share the rest.
        multiple: Widths that kernels like: groups of at least so many channels keep a multiple of it.
        min_share: Share of each group of channels that stays.
        samples: Training images that the scores of data are computed on.
        epochs: Of all rounds together; at least one for each is trained.
    """

    budget: BudgetKind
    share: float
    score: str = "taylor"
    rounds: int = 3
    multiple: int = 1
    min_share: float = 0.1
    samples: int = 512
    epochs: int = 12

    def __post_init__(self) -> None:
        TrainRecipe.__post_init__(self)
        if self.budget not in get_args(BudgetKind):
            raise unknown_name("budget", self.budget, get_args(BudgetKind))
        if self.score not in scores.SCORES:
            raise unknown_name("score", self.score, scores.SCORES)
        check("share", self.share, 0 < self.share < 1, "> 0 and < 1")
        check("rounds", self.rounds, self.rounds >= 1, ">= 1")
        check("multiple", self.multiple, self.multiple >= 1, ">= 1")
        check("min_share", self.min_share, 0 <= self.min_share <= 1, "in [0, 1]")
        check("samples", self.samples, self.samples >= 1, ">= 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slimmed:
    """A network with fewer channels.

    Attributes:
        model: A new dense model, of the source's layers and names.
        plan: Which channels of the source it has.
        before: What the source costs.
        after: What the result costs.
        held: Layers that kept channels because something needs all of them, with the reason.
        history: Of the last round.
        best_epoch: Of the last round, 0-based.
        best_value: Its validation metric.
    """

    model: Any
    plan: ChannelPlan
    before: Size
    after: Size
    held: dict[str, str]
    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def default_slim_recipe(spec: ModelSpec, *, budget: BudgetKind, share: float, **more: Any) -> SlimRecipe:
    """Return the recipe for a model: its training recipe at half the rate and half the epochs. `more`: other fields."""
    given = {name: value for name, value in more.items() if value is not None}
    values = fine_tuning(default_recipe(spec), rate=0.5, epochs=0.5) | given
    return SlimRecipe(**values, budget=budget, share=share)


def slim(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: SlimRecipe,
    *,
    measure: Measure | None = None,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> Slimmed:
    """Return a copy of `model` with fewer channels, fine-tuned on the train split; `model` itself is not changed.

    Seeds and resuming work as in `edgecv.train.train`: a round that was finished is not trained again.

    Args:
        model: A trained functional or sequential model; also the teacher of every round.
        spec: Its contract.
        dataset: Its train and validation splits are used, its test split never.
        recipe: The run.
        measure: For a latency budget; required then.
        state: Resume file; those of the rounds, and their plans, lie beside it with ".1", ".2", … appended.
        reporter: Progress and remarks.

    Raises:
        ConfigError: The budget is out of reach, a latency budget has no `measure`, or as `train` does.
        UnsupportedModelError: The model is subclassed, or no channel of it can be removed.
    """
    if recipe.budget == "latency" and measure is None:
        raise ConfigError("a latency budget needs something to measure with", hint="pass `measure`")
    seed_everything(recipe.seed)
    parent = current = flattened(model)
    start = dependencies(read(parent))
    _check_removable(start, parent, reporter)
    before = CostModel(start).size(CostModel(start).sizes)
    done, plan = None, plan_of(start, np.zeros(len(start.removable), bool))
    for index in range(1, recipe.rounds + 1):
        place = None if state is None else state.with_name(f"{state.name}.{index}")
        chosen = _remembered(current, spec, dataset, recipe, index, before, measure, place, reporter)
        current, plan = plans.apply(current, chosen), plans.composed(plan, chosen)
        own = replace(recipe, epochs=epochs_of(recipe, index))
        hooks = Hooks(stage=f"slim {index}/{recipe.rounds}", teacher=parent)
        done = run_stage(current, spec, dataset, own, hooks, state=place, reporter=reporter)
    assert done is not None
    left = dependencies(read(current))
    return Slimmed(
        model=current, plan=plan, before=before, after=CostModel(left).size(CostModel(left).sizes),
        held=dict(start.held), history=done.history, best_epoch=done.best_epoch, best_value=done.best_value,
    )  # fmt: skip


def untrained(model: Any, spec: ModelSpec, dataset: Dataset, recipe: SlimRecipe, *, reporter: Reporter = QUIET) -> Any:
    """Return what is left of a model when the recipe's share is reached in one round, without any training.

    It has about the shape, and so the time, of what `slim` makes, whose later rounds score channels anew.

    Raises:
        ConfigError, UnsupportedModelError: As `slim`, for a budget of MACs or bytes.
    """
    seed_everything(recipe.seed)
    parent = flattened(model)
    known = dependencies(read(parent))
    _check_removable(known, parent, reporter)
    before = CostModel(known).size(CostModel(known).sizes)
    return plans.apply(parent, _choose(parent, spec, dataset, recipe, recipe.share, before, None, reporter))


def _check_removable(known: Dependencies, model: Any, reporter: Reporter) -> None:
    if not known.groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in known.held.items())
        raise UnsupportedModelError(
            f"model '{model.name}' has no channel that can be removed: {reasons}",
            hint="prune single weights with edgecv prune --sparsity",
        )
    held = {name: reason for name, reason in known.held.items() if reason not in (INPUT, OUTPUT)}
    for name, reason in held.items():
        reporter.warn(f"layer '{name}' keeps its channels: {reason}")


def epochs_of(recipe: SlimRecipe, index: int) -> int:
    """Return the epochs of round `index`, 1-based."""
    if recipe.rounds == 1:
        return recipe.epochs
    if index == recipe.rounds:
        return max(1, recipe.epochs - (recipe.rounds - 1) * epochs_of(recipe, 1))
    return max(1, recipe.epochs // 2 // (recipe.rounds - 1))


def share_of(recipe: SlimRecipe, index: int) -> float:
    """Return the share of the parent's cost that is left after round `index`, 1-based."""
    return float(recipe.share ** (index / recipe.rounds))


def _remembered(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: SlimRecipe,
    index: int,
    before: Size,
    measure: Measure | None,
    place: Path | None,
    reporter: Reporter,
) -> ChannelPlan:
    """Return a round's plan: the one on disk of a killed run, which a second measurement might not find again."""
    identity = fingerprint({"recipe": asdict(recipe), "round": index, "spec": asdict(spec)}, [])
    identity += weights_digest(model) + dataset.split("train").sha256
    path = None if place is None else place.with_name(f"{place.name}.plan")
    found = _read_plan(path, identity)
    if found is not None:
        return found
    reporter.info(f"round {index} of {recipe.rounds}: down to {share_of(recipe, index):.1%} of the {recipe.budget}")
    chosen = _choose(model, spec, dataset, recipe, share_of(recipe, index), before, measure, reporter)
    if path is not None:
        files.write_text(path, json.dumps({"run": identity, "plan": codec.encode(chosen)}))
    return chosen


def _read_plan(path: Path | None, identity: str) -> ChannelPlan | None:
    if path is None or not path.exists():
        return None
    try:
        stored = json.loads(path.read_text())
        same = stored["run"] == identity
        return codec.decode(ChannelPlan, stored["plan"], where=str(path)) if same else None
    except (ValueError, KeyError, TypeError):
        return None


def _choose(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: SlimRecipe,
    share: float,
    before: Size,
    measure: Measure | None,
    reporter: Reporter,
) -> ChannelPlan:
    known = dependencies(read(model))
    found = importance(known, spec, dataset, recipe)
    _report_unscored(known, found, recipe, reporter)
    limits = Limits(multiple=recipe.multiple, min_share=recipe.min_share)
    order = steps(known, found, limits, by="bytes" if recipe.budget == "bytes" else "macs")
    if recipe.budget == "latency" and measure is not None:
        timed = measure

        def fast_enough(count: int) -> bool:
            return timed(build(without(known, removed_after(known, order, count)))) <= share

        count = fewest_measured(order, fast_enough)
    else:
        field = "weight_bytes" if recipe.budget == "bytes" else "macs"
        limit = share * getattr(before, field)
        count = fewest_steps(known, order, lambda size: getattr(size, field) <= limit)
    return plan_of(known, removed_after(known, order, count))


def importance(known: Dependencies, spec: ModelSpec, dataset: Dataset, recipe: SlimRecipe) -> Array:
    """Return the score of each component by the recipe's score, on its images when it needs some."""
    if recipe.score in scores.WEIGHT_SCORES:
        return scores.weight_scores(known, recipe.score)
    split = dataset.split("train")
    order = match_targets(spec.heads, dataset.targets, dataset=dataset.name)
    samples = Samples(split, spec, order=order, cache_bytes=0)
    rng = np.random.default_rng((recipe.seed, 1))
    chosen = np.sort(rng.permutation(len(split))[: recipe.samples])
    rng.shuffle(chosen)

    def batches() -> Iterator[tuple[Any, tuple[Any, ...]]]:
        for first in range(0, len(chosen), SCORING_BATCH):
            rows = chosen[first : first + SCORING_BATCH]
            inputs, targets = samples.batch(rows)
            yield inputs[0], targets

    if recipe.score == "similarity":
        return scores.similarity_scores(known, batches)
    heads = Heads(build(known.graph), spec, replace(recipe, label_smoothing=0.0))
    return scores.taylor_scores(known, batches, heads.loss)


def _report_unscored(known: Dependencies, found: Array, recipe: SlimRecipe, reporter: Reporter) -> None:
    names = [group.producers[0] for group in known.groups if np.isnan(found[list(group.components)]).any()]
    if len(names) == len(known.groups):
        raise UnsupportedModelError(
            f"the score '{recipe.score}' says nothing of any channel of this model",
            hint=f"use another one: {', '.join(scores.SCORES)}",
        )
    if names:
        reporter.warn(f"the score '{recipe.score}' says nothing of {', '.join(names)}: they keep their channels")
