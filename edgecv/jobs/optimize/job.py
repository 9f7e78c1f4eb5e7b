"""`edgecv optimize`: one command from a float model to the file to ship, with the reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import edgecv.bench as bench
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import float_islands, loss, models, sense
from edgecv.jobs.optimize import cluster, defaults, engine, optuna_study, rules, writing
from edgecv.jobs.optimize import space as spaces
from edgecv.jobs.optimize.candidates import AS_IT_IS, Candidate, candidate
from edgecv.jobs.optimize.driver import Result, Sampler, Search
from edgecv.jobs.optimize.objective import objective
from edgecv.jobs.optimize.records import Task
from edgecv.jobs.optimize.rules import Facts
from edgecv.jobs.optimize.serving import served
from edgecv.jobs.optimize.site import Site
from edgecv.jobs.optimize.space import Space
from edgecv.jobs.optimize.workbench import Workbench
from edgecv.jobs.trials.asking import Limits
from edgecv.jobs.trials.executor import Executor, Local
from edgecv.jobs.trials.judge import VALIDATION
from edgecv.targets import cpu
from edgecv.values.search import Objective, Outcome, Outcomes

WORK = "study"
"""Folder inside `out` of all that a search has made: what a killed run leaves, and goes on with."""


SAMPLERS = ("latency", "tpe", "nsga2")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizePlan:
    """What to look for, in what space. None takes the defaults.

    Attributes:
        data: Trains, calibrates and judges; None: what the model was trained on.
        space: A TOML file; None derives one from the model and the target.
        goal: "fastest", "smallest", "accurate" or "front"; None: what the limits say.
        max_drop: What may be lost, in points or the error's unit.
        latency_ms: Longest time; `size_bytes` largest file.
        trials: Accuracies that are asked for, at most; `seconds` time, likewise.
        target: What files are made for.
        device_seconds: Time that files are timed for, at most.
        device: Where they are timed; `further_devices` where too; `devices` the user's file of devices.
        coarse_samples: Of a first look, at most; `coarse_epochs` the share of the epochs; 1 takes no first looks.
        samples: Of the judgement in full, at most; None: the whole validation split.
        thorough: Look at everything that the limits do not rule out.
        sampler: What decides: "latency", our own; or Optuna's "tpe" or "nsga2".
        storage: Of an Optuna study that all trials go into: a journal file, or the address of a database; None keeps
            none, or one in `out` for Optuna's samplers.
        cluster: Address of a dask scheduler; None: all is done here.
        serve: Port on the loopback at which the page is shown while the search is under way; 0 takes any; None: none.
    """

    data: str | None = None
    space: Path | None = None
    goal: str | None = None
    max_drop: float | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None
    trials: int | None = None
    seconds: float | None = None
    device_seconds: float | None = None
    target: str = "cpu"
    device: str = "local"
    further_devices: tuple[str, ...] = ()
    devices: Path | None = None
    coarse_samples: int = 1000
    coarse_epochs: float = 0.34
    samples: int | None = None
    thorough: bool = False
    sampler: str = "latency"
    storage: str | None = None
    cluster: str | None = None
    serve: int | None = None
    seed: int = 0


def optimize_each(
    source: models.Source, plan: OptimizePlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> Outcomes:
    """Search for one file for each device of a plan, in a folder of its name; what they have in common is made once.

    Args, raises: As `optimize`.
    """
    names = dict.fromkeys((plan.device, *plan.further_devices))
    found = {}
    for name in names:
        own = replace(plan, device=name, further_devices=())
        reporter.info(f"a file for {name}")
        found[name] = optimize(source, own, out=out / name, work=out / WORK, force=force, reporter=reporter)
        if found[name].stopped == "interrupted":
            break
    return Outcomes(path=str(out), outcomes=found)


def optimize(
    source: models.Source,
    plan: OptimizePlan,
    *,
    out: Path,
    work: Path | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Outcome:
    """Search for the file to ship, and write it with its recipe and its reason. A killed run goes on where it was.

    Args:
        source: The float model.
        plan: What to look for.
        out: Folder; that of an earlier run of the same model goes on.
        work: Folder of all that is made on the way; None: `WORK` inside `out`.
        force: Begin anew in a folder that has other files.
        reporter: Told of every trial.

    Raises:
        ConfigError: The request is wrong, or `out` has files of something else.
        UnsupportedModelError: The model cannot be loaded.
        DeviceError: The device failed; the same command goes on.
    """
    sought = objective(plan.goal, max_drop=plan.max_drop, latency_ms=plan.latency_ms, size_bytes=plan.size_bytes)
    folder = work or out / WORK
    _check(plan, out, folder, force)
    site = Workbench(_site(source, plan), folder, reporter)
    if models.has_seen(site.loaded.manifest, site.dataset, VALIDATION):
        reporter.warn(loss.seen(VALIDATION, site.dataset.name))
    sense.check_sense(site.loaded, site.dataset, promised=sought.max_drop is not None, reporter=reporter)
    known = defaults.facts(site.loaded, plan.target, here=_all_here(plan), half=why_not_half(plan))
    given = spaces.read(plan.space) if plan.space else defaults.default_space(site.loaded, known)
    candidates, applied = rules.enumerated(given, known)
    reporter.info(f"{len(candidates)} candidates of {given.size:,} combinations")
    candidates = _beside_float32(candidates, known)
    coarse = frozenset(one.id for one in candidates if site.looks_twice(one))
    with contextlib.ExitStack() as held:
        search = Search(
            candidates,
            sought,
            held.enter_context(_executor(site, plan, reporter)),
            first=_first(candidates),
            coarse=coarse,
            thorough=plan.thorough,
            limits=Limits(trials=plan.trials, seconds=plan.seconds, device_seconds=plan.device_seconds),
            sampler=held.enter_context(_sampler(plan, given, candidates, sought, folder)),
            reporter=reporter,
            seen=writing.live(site, given, applied, out),
        )
        if plan.serve is not None:
            held.enter_context(served(out / writing.PAGE, plan.serve, reporter))
        done = search.run()
    found = writing.outcome(site, done, given, applied, out, reporter)
    writing.write(found, given, out)
    return found


def _all_here(plan: OptimizePlan) -> bool:
    """Say whether files are made and timed on this machine: a worker makes them by the times of its own."""
    return plan.cluster is None and (plan.device, *plan.further_devices) == (float_islands.HERE,)


def why_not_half(plan: OptimizePlan) -> str:
    """Say why no file that CPUs compute in float16 can be judged; "" when the devices can do that themselves."""
    if plan.cluster is not None:
        return "files that CPUs compute in float16 are judged on the device, which no worker that trains has"
    if float_islands.HERE in (plan.device, *plan.further_devices) and not cpu.computes_half("cpu"):
        return "this machine's CPU does not compute in float16: name the --device that does"
    return ""


def _site(source: models.Source, plan: OptimizePlan) -> Site:
    return Site(
        source=source, data=plan.data, target=plan.target, device=plan.device,
        further_devices=plan.further_devices, devices=plan.devices, seed=plan.seed,
        coarse_samples=plan.coarse_samples, coarse_epochs=plan.coarse_epochs, final_samples=plan.samples,
    )  # fmt: skip


def _executor(
    work: Workbench, plan: OptimizePlan, reporter: Reporter
) -> contextlib.AbstractContextManager[Executor[Task, Result]]:
    if plan.cluster is None:
        return contextlib.nullcontext(Local(work.perform, work.records))
    given = cluster.parcel(work)
    return cluster.executor(plan.cluster, work.records, given, devices=work.site.timing, reporter=reporter)


def _sampler(
    plan: OptimizePlan, given: Space, candidates: tuple[Candidate, ...], sought: Objective, folder: Path
) -> contextlib.AbstractContextManager[Sampler]:
    """Return what decides: our own search, or one of Optuna's samplers where it is asked for."""
    if plan.sampler == "latency" and plan.storage is None:
        return contextlib.nullcontext(engine.ask)
    storage = plan.storage or str(folder / "optuna.log")
    return optuna_study.opened(storage, given, candidates, sought, sampler=plan.sampler, seed=plan.seed)


def _check(plan: OptimizePlan, out: Path, folder: Path, force: bool) -> None:
    limits = {
        "--trials": plan.trials, "--time": plan.seconds, "--device-time": plan.device_seconds,
        "--samples": plan.samples,
    }  # fmt: skip
    for name, limit in limits.items():
        if limit is not None and not limit > 0:
            raise ConfigError(f"{name} must be above 0, got {limit}")
    if plan.cluster is None:
        for name in (plan.device, *plan.further_devices):
            bench.open_device(name, plan.devices)
    if plan.sampler not in SAMPLERS:
        raise unknown_name("sampler", plan.sampler, SAMPLERS)
    if not 0 < plan.coarse_epochs <= 1:
        raise ConfigError(f"the share of epochs of a first look must be above 0, 1 at most, got {plan.coarse_epochs}")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file", hint="name a folder")
    if out.exists() and any(out.iterdir()) and not folder.is_dir() and not force:
        raise ConfigError(f"{out} has files of something else", hint="name an empty folder, or pass --force")


def _beside_float32(candidates: tuple[Candidate, ...], known: Facts) -> tuple[Candidate, ...]:
    """Return the candidates with the model as it is, what a winner has to beat, where the target runs float32."""
    if AS_IT_IS in candidates or "float32" not in known.schemes:
        return candidates
    return (replace(AS_IT_IS, named=candidates[0].named), *candidates)


def _first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return what everything is compared with: the model in float32, and plain int8 after training."""
    known = (AS_IT_IS, candidate({"quantize.scheme": "int8"}))
    return [one for one in candidates if one in known]
