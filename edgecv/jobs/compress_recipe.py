"""Recipes of compression: TOML of steps, each a command with its options, for `edgecv compress` and for Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgecv.core import codec
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.core.progress import Reporter
from edgecv.jobs import convert as artifacts
from edgecv.jobs import ladder, models
from edgecv.jobs import prune as pruning
from edgecv.jobs import retrain as retraining
from edgecv.jobs import slim as slimming
from edgecv.values.profiles import read_toml

SPELLED = {"bytes": "nbytes", "io": "io_dtype", "by": "method"}
"""Options of commands that are fields of another name; `method` is what a step is called by."""

LIMITS = ("max_drop", "budget_seconds", "max_trials")
"""Keys of a quantize step that climb the ladder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionStep:
    """One step of a recipe.

    Attributes:
        method: "retrain", "slim", "prune", "quantize" or "convert".
        options: As the command of that name takes them, with underscores: {"macs": 0.5, "rounds": 2}.
    """

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionRecipe:
    """What is done to a model, in order.

    Attributes:
        title: One line for people.
        data: For all steps that do not name their own; None: the training data, where it is a bundled set.
        seed: Likewise.
        max_drop: What the result may lose against the model that the recipe begins with, in percentage points or the
            error's unit. A quantize step that says neither how nor what it may lose climbs the ladder within what the
            steps before it left. None: no limit.
    """

    title: str = ""
    data: str | None = None
    seed: int = 0
    max_drop: float | None = None
    steps: tuple[CompressionStep, ...] = ()


Request = retraining.RetrainPlan | slimming.SlimPlan | pruning.PrunePlan | artifacts.Plan | ladder.LadderPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What a step can be.

    Attributes:
        keras: Whether it makes a .keras, which a further step can start from.
        request: From a step's options, with the recipe's data and seed, and where they were read, to what `run` takes.
        run: From the model before, the request and the place of the result to what the command of that name prints.
    """

    keras: bool
    request: Callable[[Mapping[str, Any], str], Request]
    run: Callable[[models.Source, Any, Path, Reporter], Any]


def _slim_request(options: Mapping[str, Any], where: str) -> Request:
    followed = options.get("plan")
    rest = {key: value for key, value in options.items() if key != "plan"}
    plan = codec.decode(slimming.SlimPlan, rest, where=where, known=_spelled(slimming.SlimPlan))
    return replace(plan, plan=Path(followed) if followed else None)


def _retrain_request(options: Mapping[str, Any], where: str) -> Request:
    return codec.decode(retraining.RetrainPlan, options, where=where, known=_spelled(retraining.RetrainPlan))


def _prune_request(options: Mapping[str, Any], where: str) -> Request:
    return codec.decode(pruning.PrunePlan, options, where=where, known=_spelled(pruning.PrunePlan))


def _quantize_request(options: Mapping[str, Any], where: str) -> Request:
    limits = {key: options[key] for key in LIMITS if key in options}
    rest = {"scheme": "int8"} | {key: value for key, value in options.items() if key not in limits}
    plan = codec.decode(artifacts.Plan, rest, where=where, known=(*_spelled(artifacts.Plan), *LIMITS))
    if "max_drop" in limits:
        return ladder.LadderPlan(plan=plan, **limits)
    if limits:
        raise ConfigError(f"{where}: {', '.join(limits)} belongs to max_drop", hint="give max_drop as well")
    return plan


def _convert_request(options: Mapping[str, Any], where: str) -> Request:
    given = {"scheme": "float32"} | dict(options)
    return codec.decode(artifacts.Plan, given, where=where, known=_spelled(artifacts.Plan))


def _spelled(plan: type[Any]) -> tuple[str, ...]:
    """Return what a recipe calls the fields of a plan."""
    options = {name: option for option, name in SPELLED.items()}
    return tuple(options.get(field.name, field.name) for field in fields(plan))


def _run_slim(source: models.Source, request: slimming.SlimPlan, out: Path, reporter: Reporter) -> Any:
    return slimming.slim(source, request, out=out, force=True, reporter=reporter)


def _run_retrain(source: models.Source, request: retraining.RetrainPlan, out: Path, reporter: Reporter) -> Any:
    return retraining.retrain(source, request, out=out, force=True, reporter=reporter)


def _run_prune(source: models.Source, request: pruning.PrunePlan, out: Path, reporter: Reporter) -> Any:
    return pruning.prune(source, request, out=out, force=True, reporter=reporter)


def _run_file(source: models.Source, request: Any, out: Path, reporter: Reporter) -> Any:
    if isinstance(request, ladder.LadderPlan):
        return ladder.climb(source, request, out=out, force=True, reporter=reporter)
    return artifacts.make(source, request, out=out, force=True, reporter=reporter)


METHODS = {
    "retrain": Method(keras=True, request=_retrain_request, run=_run_retrain),
    "slim": Method(keras=True, request=_slim_request, run=_run_slim),
    "prune": Method(keras=True, request=_prune_request, run=_run_prune),
    "quantize": Method(keras=False, request=_quantize_request, run=_run_file),
    "convert": Method(keras=False, request=_convert_request, run=_run_file),
}


def within(request: Request, left: float | None) -> Request:
    """Return a step's request inside the budget of the whole recipe.

    Args:
        request: As `request_of` gives it.
        left: What may still be lost, in the unit of `max_drop`; None without a budget.
    """
    if left is None or not isinstance(request, artifacts.Plan) or request.scheme != "int8" or request.names_a_way:
        return request
    return ladder.LadderPlan(plan=request, max_drop=max(left, 0.0))


def request_of(step: CompressionStep, recipe: CompressionRecipe, where: str) -> Request:
    """Return what a step asks for, with the recipe's data and seed where it has none.

    Raises:
        ConfigError: The method or an option is unknown, or a value is wrong.
    """
    if step.method not in METHODS:
        raise unknown_name("method", step.method, METHODS)
    shared = {"seed": recipe.seed} | ({"data": recipe.data} if recipe.data is not None else {})
    options = shared | {SPELLED.get(key, key): value for key, value in step.options.items()}
    return METHODS[step.method].request(options, where)


def read(path: Path) -> CompressionRecipe:
    """Read a recipe from TOML: `title`, `data`, `seed`, and `[[step]]` tables of a method and its options.

    Raises:
        ConfigError: It cannot be read, or a step, key or value is wrong.
    """
    document = dict(read_toml(path, what="compression recipe"))
    tables = document.pop("step", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path}: 'step' must be a list of tables", hint="begin each step with [[step]]")
    steps = [
        CompressionStep(
            method=str(table.get("method", "")), options={key: v for key, v in table.items() if key != "method"}
        )
        for table in tables
    ]
    named = [field.name for field in fields(CompressionRecipe) if field.name != "steps"]
    recipe = replace(
        codec.decode(CompressionRecipe, document, where=str(path), known=(*named, "step")), steps=tuple(steps)
    )
    check(recipe, where=str(path))
    return recipe


def check(recipe: CompressionRecipe, *, where: str = "recipe") -> None:
    """Raise ConfigError when a recipe has no steps, an unknown one, a wrong option, or a file before the last step."""
    if recipe.max_drop is not None and not recipe.max_drop >= 0:
        raise ConfigError(f"{where}: max_drop must be 0 or more, got {recipe.max_drop}")
    if not recipe.steps:
        raise ConfigError(f"{where} has no steps", hint='add a table: [[step]] with method = "slim", for example')
    for index, step in enumerate(recipe.steps, start=1):
        request_of(step, recipe, f"{where}, step {index}")
        if index < len(recipe.steps) and not METHODS[step.method].keras:
            raise ConfigError(
                f"{where}: step {index}, {step.method}, makes a file for a device, and a step comes after it",
                hint="put it last",
            )
