"""Dropping whole residual units: an ablation table of what each is worth, and the network without the least of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.compress.layer_graph import Call, LayerGraph, build, flattened, read
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.modelio.env import seed_everything
from edgecv.train.loop import Hooks
from edgecv.train.recipe_files import default_recipe
from edgecv.train.recipes import TrainRecipe, check, fine_tuning
from edgecv.train.state import Epoch
from edgecv.train.training import run_stage
from edgecv.values.specs import ModelSpec
from edgecv.zoo.profiling import profile

if TYPE_CHECKING:
    from edgecv.data import Dataset

Score = Callable[[Any], float]
"""From a model to its metric on the validation split, higher is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsRecipe(TrainRecipe):
    """Dropping units, and the fine-tuning after it. `drop`: how many units go, the least useful first."""

    drop: int
    epochs: int = 8

    def __post_init__(self) -> None:
        TrainRecipe.__post_init__(self)
        check("drop", self.drop, self.drop >= 1, ">= 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """The network without one unit, before any training.

    Attributes:
        unit: Name of the sum that ends it.
        value: Of the validation metric.
        macs: Of the network without it; `parameters` likewise.
        dropped: Whether the result lacks it.
    """

    unit: str
    value: float
    macs: int
    parameters: int
    dropped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortened:
    """A network without some of its residual units, fine-tuned.

    Attributes:
        model: New, with the names of the layers that are left.
        table: Every unit that could go, in the order of the network.
        history: One entry per finished epoch.
        best_epoch: 0-based; -1 when no epoch was better than the start.
        best_value: Its validation metric.
    """

    model: Any
    table: tuple[Ablation, ...]
    history: tuple[Epoch, ...]
    best_epoch: int
    best_value: float


def default_units_recipe(spec: ModelSpec, *, drop: int, **given: Any) -> UnitsRecipe:
    """Return the recipe for a model: its training recipe at half the rate and a quarter of the epochs."""
    values = fine_tuning(default_recipe(spec), rate=0.5, epochs=0.25)
    return UnitsRecipe(**values | {name: value for name, value in given.items() if value is not None}, drop=drop)


def residual_units(graph: LayerGraph) -> dict[str, int]:
    """Return the sums of two terms of which one is also where the other comes from, with the key of that term.

    Without such a unit its input goes on unchanged, since both have the same shape.
    """
    makers = graph.maker()
    found = {}
    for call in graph.calls:
        if call.kind == "Add" and len(call.inputs) == 2 and call.name not in graph.shared:
            for skip, branch in (call.inputs, reversed(call.inputs)):
                if skip != branch and skip in _sources(branch, makers):
                    found[call.name] = skip
    return found


def _sources(key: int, makers: dict[int, Call]) -> set[int]:
    """Return the keys of all tensors that one comes from."""
    seen: set[int] = set()
    waiting = [key]
    while waiting:
        maker = makers.get(waiting.pop())
        for taken in maker.inputs if maker else ():
            if taken not in seen:
                seen.add(taken)
                waiting.append(taken)
    return seen


def dropped(graph: LayerGraph, units: tuple[str, ...]) -> LayerGraph:
    """Return a graph without some residual units, and without what nothing reads then."""
    skips = residual_units(graph)
    sums = {call.output: skips[call.name] for call in graph.calls if call.name in units}

    def source(key: int) -> int:
        while key in sums:
            key = sums[key]
        return key

    outputs = [source(key) for key in graph.outputs]
    needed, calls = set(outputs), list[Call]()
    for call in reversed(graph.calls):
        if call.output in needed and call.output not in sums:
            inputs = [source(key) for key in call.inputs]
            needed.update(inputs)
            calls.append(replace(call, inputs=inputs))
    return LayerGraph(name=graph.name, inputs=graph.inputs, calls=calls[::-1], outputs=outputs, shared=graph.shared)


def ablation(model: Any, score: Score) -> tuple[Ablation, ...]:
    """Return what the network is worth without each of its residual units, untrained.

    Raises:
        UnsupportedModelError: It has none that can go.
    """
    names = residual_units(read(model))
    if not names:
        raise UnsupportedModelError(
            f"model '{model.name}' has no residual unit that can go: none adds a branch to its own input",
            hint="make it narrower with edgecv slim --macs",
        )
    table = []
    for name in names:
        without = build(dropped(read(model), (name,)))
        cost = profile(without)
        table.append(Ablation(unit=name, value=score(without), macs=cost.macs, parameters=cost.parameters))
    return tuple(table)


def drop_units(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: UnitsRecipe,
    score: Score,
    *,
    state: Path | None = None,
    reporter: Reporter = QUIET,
) -> Shortened:
    """Return a copy of `model` without the units that cost least, fine-tuned with `model` as teacher.

    Units go one after the other: what each of the others is worth is measured again after each.

    Raises:
        UnsupportedModelError: The network has fewer units that can go.
        ConfigError: As `edgecv.train.train`.
    """
    seed_everything(recipe.seed)
    model = flattened(model)
    table, gone = ablation(model, score), list[str]()
    if len(table) < recipe.drop:
        raise UnsupportedModelError(
            f"model '{model.name}' has {len(table)} residual units that can go, asked for {recipe.drop}",
            hint=f"drop {len(table)} at most",
        )
    current, left = model, table
    for _ in range(recipe.drop):
        gone.append(max(left, key=lambda entry: entry.value).unit)
        reporter.info(f"dropping '{gone[-1]}'")
        current = build(dropped(read(current), (gone[-1],)))
        left = ablation(current, score) if len(gone) < recipe.drop else ()
    hooks = Hooks(stage="units", facts={"dropped": gone}, teacher=model, start_counts=True)
    done = run_stage(current, spec, dataset, recipe, hooks, state=state, reporter=reporter)
    return Shortened(
        model=current, table=tuple(replace(entry, dropped=entry.unit in gone) for entry in table),
        history=done.history, best_epoch=done.best_epoch, best_value=done.best_value,
    )  # fmt: skip
