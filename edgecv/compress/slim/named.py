"""Taking out channels that are named, layer by layer: what a person, or `edgecv view`, saw to be of no use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.compress.layer_graph import Array, flattened, read
from edgecv.compress.slim import plan as plans
from edgecv.compress.slim.channels import MIXERS, Dependencies, dependencies, layer_calls
from edgecv.compress.slim.plan import ChannelPlan, plan_of
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.core.progress import QUIET, Reporter
from edgecv.train.loop import Hooks
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, fine_tuning
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec

if TYPE_CHECKING:
    from edgecv.data import Dataset


def parsed(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return the channels of each layer from "conv1=3,7" and the like. Raises ConfigError for anything else."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        layer, _, listed = text.rpartition("=")
        numbers = listed.split(",")
        if not layer or not all(number.strip().isdecimal() for number in numbers):
            raise ConfigError(f"'{text}' names no channels", hint="write LAYER=3,7 with the channels' numbers, from 0")
        found[layer] = tuple(sorted({*found.get(layer, ()), *map(int, numbers)}))
    return found


def named_plan(model: Any, named: Mapping[str, Sequence[int]], *, reporter: Reporter = QUIET) -> ChannelPlan:
    """Return the plan that takes these channels out, and with them those of other layers that are tied to them.

    Args:
        model: Functional or sequential.
        named: Layer that computes channels to the positions of those that go.
        reporter: Told of tied channels that go too.

    Raises:
        ConfigError: A layer or channel is not there, must stay, or is the last one of its layer.
    """
    known = dependencies(read(flattened(model)))
    removed = removed_named(known, named)
    plan = plan_of(known, removed)
    for layer, channels in plan.layers.items():
        gone = channels.channels - len(channels.kept)
        if gone > len(named.get(layer, ())):
            reporter.info(f"layer '{layer}' loses {gone} of {channels.channels} channels: they are tied to named ones")
    return plan


def removed_named(known: Dependencies, named: Mapping[str, Sequence[int]]) -> Array:
    """Return, per component, whether it goes. Raises ConfigError as `named_plan` does."""
    calls = {name: call for name, call in layer_calls(known.graph).items() if call.kind in MIXERS}
    removed = np.zeros(len(known.removable), bool)
    for layer, channels in named.items():
        if layer not in calls:
            raise unknown_name("layer that computes channels", layer, calls)
        labels = known.tensors[calls[layer].output]
        over = [channel for channel in channels if channel >= len(labels)]
        if over:
            raise ConfigError(f"layer '{layer}' has the channels 0 to {len(labels) - 1}, got {over[0]}")
        chosen = labels[list(channels)]
        if not known.removable[chosen].all():
            reason = known.held.get(layer, "they are tied to channels that must stay")
            raise ConfigError(f"the channels of layer '{layer}' stay: {reason}", hint="leave the layer out")
        removed[chosen] = True
    for layer, call in calls.items():
        if removed[known.tensors[call.output]].all():
            raise ConfigError(f"nothing would be left of layer '{layer}'", hint="name fewer of its channels")
    return removed


def remove(
    model: Any,
    plan: ChannelPlan,
    spec: ModelSpec,
    dataset: Dataset,
    *,
    epochs: int | None,
    learning_rate: float | None = None,
    seed: int = 0,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> tuple[Any, TrainRecipe | None]:
    """Return the model that a plan leaves, trained on with its parent as teacher, and how; without `epochs`, as it is.

    Raises:
        ConfigError: The plan is of another network, or as `edgecv.train.train`.
    """
    parent = flattened(model)
    small = plans.apply(parent, plan)
    if epochs is None:
        return small, None
    given = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed}
    values = fine_tuning(default_recipe(spec), rate=0.5, epochs=0.5)
    recipe = TrainRecipe(**values | {name: value for name, value in given.items() if value is not None})
    hooks = Hooks(stage="slim", teacher=parent, start_counts=True)
    run_stage(small, spec, dataset, recipe, hooks, state=state, reporter=reporter)
    return small, recipe
