"""Making a network smaller but dense: `edgecv slim`, from paths to a saved `.keras` and what was taken out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgecv.compress import lowrank, units
from edgecv.compress import slim as channels
from edgecv.compress.slim import named
from edgecv.compress.slim import plan as plans
from edgecv.compress.units import Ablation
from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.core.files import check_output, sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.data import Dataset
from edgecv.evaluate import KerasPredictor, assess
from edgecv.jobs import contract, models
from edgecv.jobs.stopwatch import stopwatch
from edgecv.modelio import LoadedModel, env, manifest_for, save_keras
from edgecv.tasks.registry import task_of
from edgecv.values.manifest import Manifest
from edgecv.zoo.profiling import profile


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimPlan:
    """How small to make a network, and how. None takes the defaults; `data` None the data of training.

    One of the first seven is given.

    Attributes:
        macs: Share of the multiply-accumulates to leave, by removing channels.
        nbytes: Share of the weights' bytes to leave, by removing channels.
        latency: Share of the time that the float32 .tflite takes on this machine's CPU, by removing channels.
        channels: Those to take out, "LAYER=3,7" each; trained on for `epochs`, where these are given.
        plan: A channel plan to follow; nothing is trained then.
        low_rank: Share of the energy that factors of the large dense layers keep.
        drop_units: Number of residual units to drop.
    """

    macs: float | None = None
    nbytes: float | None = None
    latency: float | None = None
    channels: tuple[str, ...] = ()
    plan: Path | None = None
    low_rank: float | None = None
    drop_units: int | None = None
    score: str = "taylor"
    rounds: int = 3
    multiple: int = 1
    min_share: float = 0.1
    samples: int = 512
    data: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost and accuracy of a network.

    Attributes:
        macs: Multiply-accumulates of one inference.
        parameters: All weights.
        weight_bytes: Of them as float32.
        value: Of the metric on the validation split.
    """

    macs: int
    parameters: int
    weight_bytes: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimResult(Shown):
    """A smaller network that was written.

    Attributes:
        path: Of the `.keras`.
        way: "macs", "bytes", "latency", "channels", "plan", "low-rank" or "units".
        asked: The share or number that was asked for; None with a plan.
        split: On which both values of `metric` were computed, on `n` samples.
        plan: Path of the channel plan, where channels were removed.
        held: Layers that kept channels because something needs all of them, with the reason.
        ranks: Dense layers that are now products of two, with their rank.
        ablation: Residual units, with what the network is worth without each.
    """

    path: str
    name: str
    way: str
    asked: float | None
    split: str
    metric: str
    n: int
    before: Cost
    after: Cost
    size_bytes: int
    sha256: str
    plan: str | None = None
    held: Mapping[str, str] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    ablation: tuple[Ablation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One run: what goes in, where it goes, and who is told."""

    loaded: LoadedModel
    parent: Manifest
    dataset: Dataset
    plan: SlimPlan
    way: str
    asked: float | None
    out: Path
    force: bool
    reporter: Reporter


def slim(
    source: models.Source, plan: SlimPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> SlimResult:
    """Make a model smaller while training on, and save it. A killed run goes on from its last finished epoch.

    Raises:
        ConfigError: Not exactly one way, a budget that is out of reach, no data, or `out` cannot be written.
        UnsupportedModelError: The model has nothing to remove in this way.
    """
    models.check_keras(out)
    check_output(out, force=force)
    way, asked = _way(plan)
    loaded = contract.opened(source, plan.data, reporter=reporter)
    parent = models.require_manifest(loaded)
    job = _Job(
        loaded=loaded, parent=parent, dataset=models.open_data(plan.data, parent), plan=plan, way=way, asked=asked,
        out=out, force=force, reporter=reporter,
    )  # fmt: skip
    env.seed_everything(plan.seed)
    if way == "plan":
        return _follow(job)
    if way == "channels":
        return _remove(job)
    if way == "low-rank":
        return _factor(job)
    return _shorten(job) if way == "units" else _narrow(job)


def _way(plan: SlimPlan) -> tuple[str, float | None]:
    options = {
        "macs": plan.macs, "bytes": plan.nbytes, "latency": plan.latency, "plan": plan.plan,
        "channels": plan.channels or None, "low-rank": plan.low_rank, "units": plan.drop_units,
    }  # fmt: skip
    given = {way: asked for way, asked in options.items() if asked is not None}
    if len(given) != 1:
        raise ConfigError(
            f"slim goes one way at a time, got {', '.join(given) or 'none'}",
            hint="pass one of --macs, --bytes, --latency, --channels, --plan, --low-rank, --drop-units, and run it "
            "again on the result for another",
        )
    way, asked = next(iter(given.items()))
    return way, asked if isinstance(asked, (int, float)) else None


def _narrow(job: _Job) -> SlimResult:
    plan = job.plan
    # A run that was killed at its very end has written its plan already.
    path = check_output(plan_path(job.out), force=job.force or _unfinished(job.out))
    budget: Any = job.way
    recipe = channels.default_slim_recipe(
        job.parent.spec, budget=budget, share=float(job.asked or 0), score=plan.score, rounds=plan.rounds,
        multiple=plan.multiple, min_share=plan.min_share, samples=plan.samples, **_training(plan),
    )  # fmt: skip
    wanted = budget == "latency"
    with stopwatch(
        job.loaded.model, job.parent.spec, wanted=wanted, seed=plan.seed, custom_objects=job.loaded.custom_objects,
        reporter=job.reporter,
    ) as measure:  # fmt: skip
        done = channels.slim(
            job.loaded.model, job.parent.spec, job.dataset, recipe, measure=measure,
            state=models.state_path(job.out), reporter=job.reporter,
        )  # fmt: skip
    plans.save(replace(done.plan, parent_sha256=job.loaded.sha256), path)
    return _finished(job, done.model, recipe, plan=str(path), held=done.held)


def _unfinished(out: Path) -> bool:
    state = models.state_path(out)
    return state.with_name(f"{state.name}.1").exists()


def _follow(job: _Job) -> SlimResult:
    assert job.plan.plan is not None
    plan = plans.load(job.plan.plan)
    if plan.parent_sha256 not in ("", job.loaded.sha256):
        job.reporter.warn(f"{job.plan.plan} was made for another file of the same network: the weights differ")
    made = channels.apply(job.loaded.model, plan)
    return _finished(job, made, None, plan=str(job.plan.plan))


def _remove(job: _Job) -> SlimResult:
    asked = named.parsed(job.plan.channels)
    path = check_output(plan_path(job.out), force=job.force or models.state_path(job.out).exists())
    plan = replace(named.named_plan(job.loaded.model, asked, reporter=job.reporter), parent_sha256=job.loaded.sha256)
    made, recipe = named.remove(
        job.loaded.model, plan, job.parent.spec, job.dataset, epochs=job.plan.epochs,
        learning_rate=job.plan.learning_rate, seed=job.plan.seed, state=models.state_path(job.out),
        reporter=job.reporter,
    )  # fmt: skip
    plans.save(plan, path)
    return _finished(job, made, recipe, plan=str(path))


def _factor(job: _Job) -> SlimResult:
    recipe = lowrank.default_low_rank_recipe(job.parent.spec, energy=job.asked, **_training(job.plan))
    done = lowrank.factorise(
        job.loaded.model, job.parent.spec, job.dataset, recipe, state=models.state_path(job.out),
        reporter=job.reporter,
    )  # fmt: skip
    return _finished(job, done.model, recipe, ranks=done.ranks)


def _shorten(job: _Job) -> SlimResult:
    recipe = units.default_units_recipe(job.parent.spec, drop=int(job.asked or 0), **_training(job.plan))

    def score(candidate: Any) -> float:
        value, _ = evaluated(replace(job.loaded, model=candidate), job.dataset, reporter=QUIET)
        return -task_of(job.parent.spec.head).metric.loss(0.0, value)

    done = units.drop_units(
        job.loaded.model, job.parent.spec, job.dataset, recipe, score, state=models.state_path(job.out),
        reporter=job.reporter,
    )  # fmt: skip
    return _finished(job, done.model, recipe, ablation=done.table)


def _training(plan: SlimPlan) -> dict[str, Any]:
    return {"epochs": plan.epochs, "learning_rate": plan.learning_rate, "seed": plan.seed}


def _finished(job: _Job, made: Any, recipe: Any, **more: Any) -> SlimResult:
    """Save the result, and put together what it cost and costs."""
    step = {"step": "slim", "way": job.way, **(codec.encode(recipe) if recipe is not None else {})}
    manifest = manifest_for(
        job.parent.spec, recipe=step, seed=job.plan.seed, dataset=job.dataset.name,
        dataset_sha256=job.dataset.split("train").sha256, source_sha256=job.loaded.sha256,
        parents=models.ancestry(job.loaded),
    )  # fmt: skip
    save_keras(made, job.out, manifest, force=job.force)
    models.forget_state(job.out)
    costs = [_cost(job, model) for model in (job.loaded.model, made)]
    return SlimResult(
        path=str(job.out), name=job.parent.spec.name, way=job.way, asked=job.asked, split="validation",
        metric=task_of(job.parent.spec.head).metric.name, n=len(job.dataset.split("validation")),
        before=costs[0], after=costs[1],
        size_bytes=job.out.stat().st_size, sha256=sha256(job.out), **more,
    )  # fmt: skip


def _cost(job: _Job, model: Any) -> Cost:
    known = profile(model)
    value, _ = evaluated(replace(job.loaded, model=model), job.dataset, reporter=job.reporter)
    return Cost(macs=known.macs, parameters=known.parameters, weight_bytes=known.weight_bytes, value=value)


def plan_path(out: Path) -> Path:
    """Return where the channel plan of a slimmed model lies: beside it."""
    return out.with_suffix(".channels.json")


def evaluated(loaded: LoadedModel, dataset: Dataset, *, reporter: Reporter) -> tuple[float, int]:
    """Return the metric of a model on the validation split, and the number of samples."""
    found = assess(KerasPredictor(loaded), dataset, "validation", reporter=reporter)
    return found.value, found.n
