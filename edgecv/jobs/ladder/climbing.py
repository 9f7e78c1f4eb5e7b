"""Climbing: the request, the order of steps, and the best file so far."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgecv.core.errors import ConfigError, GateFailure
from edgecv.core.files import atomic_path, check_output
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import contract, loss, models, sense
from edgecv.jobs import convert as artifacts
from edgecv.jobs.ladder.rungs import LAST, at_most, rungs
from edgecv.jobs.ladder.steps import Rung, Steps
from edgecv.jobs.ladder.values import Climb, LadderPlan, Trial, lost_least
from edgecv.jobs.trials.asking import Limits, asked, rest
from edgecv.jobs.trials.executor import Done, Local
from edgecv.jobs.verdicts import verdicts
from edgecv.values.evaluation import Evaluation
from edgecv.values.scores import Drop


def climb(
    source: models.Source, request: LadderPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> Climb:
    """Climb until a file passes, the budget ends, or there is no step left; the best file so far stands at `out`.

    Args:
        source: The float model.
        request: How far.
        out: The .tflite; its steps are kept in a folder beside it until one passes.
        force: Replace an `out` of something else.
        reporter: Told of every step.

    Raises:
        ConfigError: The request is wrong, or `out` exists and is not of an unfinished climb.
        UnsupportedModelError: The model cannot be loaded.
    """
    _check(request, out)
    folder = out.with_name(f".{out.name}.ladder")
    check_output(out, force=force or folder.exists())
    artifacts.check_plan(request.plan)
    given = contract.opened(source, request.plan.data, reporter=reporter)
    loaded = artifacts.ending(given, request.plan, reporter=reporter)
    dataset = models.open_data(request.plan.data, models.require_manifest(loaded))
    sense.check_sense(given, dataset, promised=True)
    folder.mkdir(parents=True, exist_ok=True)
    ladder = Steps(source.path, loaded, request, dataset, folder, reporter)
    done = _up(ladder, out)
    done = replace(done, seen=models.has_seen(loaded.manifest, dataset, done.split))
    _doubt(done, reporter)
    if done.chosen:
        done = replace(done, verdicts=verdicts(out, request.plan.targets, reporter=reporter))
    if done.passed:
        shutil.rmtree(folder)
    return done


def require_passed(done: Climb) -> None:
    """Raise GateFailure, saying what to try, when no file was good enough."""
    if done.passed:
        return
    best = min((t.drop for t in done.trials if t.drop is not None), default=None)
    found = "no file could be made" if best is None else f"the best of {len(done.trials)} loses {best:.2f} {done.unit}"
    hints = {"top": "train longer with --epochs, or allow a larger --max-drop"}
    raise GateFailure(
        f"{found}, allowed {done.max_drop:g} (stopped: {done.stopped})",
        hint=hints.get(done.stopped, "run the same command with a larger budget: it goes on from here"),
    )


def _doubt(done: Climb, reporter: Reporter) -> None:
    best = next((trial for trial in done.trials if trial.step == done.chosen), None)
    if best is not None and best.drop is not None and best.drop_ci95 is not None and done.verdict == "not shown":
        found = Drop(value=best.drop, ci95=best.drop_ci95)
        reporter.warn(loss.not_shown(found, done.max_drop, done.n, metric=done.metric, unit=done.unit))
    if done.seen:
        reporter.warn(loss.seen(done.split, done.dataset))


def _check(request: LadderPlan, out: Path) -> None:
    plan = request.plan
    if not request.max_drop >= 0:
        raise ConfigError(f"--max-drop must be 0 or more, got {request.max_drop}")
    if plan.names_a_way:
        raise ConfigError(
            "--max-drop chooses scheme, method and steps itself", hint="leave the others out, or leave out --max-drop"
        )
    if out.suffix != ".tflite":
        raise ConfigError(f"the ladder makes .tflite files, --out is {out}", hint="end it in .tflite")
    for name, value in (("--budget-seconds", request.budget_seconds), ("--max-trials", request.max_trials)):
        if value is not None and not value > 0:
            raise ConfigError(f"{name} must be above 0, got {value}")


def _up(ladder: Steps, out: Path) -> Climb:
    """Take steps while there are any; keep the best file at `out`."""
    trials: list[Trial] = []
    left, request = rungs(ladder, trials), ladder.request
    limits = Limits(trials=request.max_trials, seconds=request.budget_seconds)
    whole = at_most(request.plan, len(ladder.loaded.model.layers))
    base = ladder.judge.baseline  # data that cannot judge are found before any file is made

    def ask() -> Rung | str:
        best = lost_least(trials)
        if best is not None and best.drop is not None and best.drop <= request.max_drop:
            return "passed"
        if trials and trials[-1].step == LAST:
            return "top"
        # Before the next step is known: choosing its layers can take minutes.
        spent = ladder.ranking_seconds + sum(trial.seconds for trial in trials)
        return limits.over(trials=len(trials), seconds=spent) or next(left)

    with ladder.reporter.bar("climb", whole) as advance:

        def tell(done: Done[Rung, Trial]) -> Sequence[Rung]:
            trials.append(_beside(done.result, lost_least(trials)))
            _say(trials[-1], ladder)
            if trials[-1] is lost_least(trials):
                _put(ladder.file(trials[-1].step), out)
            advance(1, note=rest(max(0, whole - len(trials)), [trial.seconds for trial in trials]))
            return ()

        stopped = asked(Local(ladder.make, ladder.records), ask, tell)
    return _come_to(request, base, tuple(trials), stopped, out)


def _beside(trial: Trial, best: Trial | None) -> Trial:
    """Return a trial with what it gained over the best one before."""
    if best is None or best.drop is None or trial.drop is None:
        return trial
    return replace(trial, gained=best.drop - trial.drop)


def _say(trial: Trial, ladder: Steps) -> None:
    if trial.drop is None:
        ladder.reporter.warn(f"{trial.step}: {trial.failure}")
    else:
        ladder.reporter.info(f"{trial.step}: loses {trial.drop:+.2f} {ladder.judge.unit}")


def _come_to(request: LadderPlan, base: Evaluation, trials: tuple[Trial, ...], stopped: str, out: Path) -> Climb:
    best, allowed = lost_least(trials), request.max_drop
    shown = Drop(value=best.drop, ci95=best.drop_ci95) if best and best.drop is not None and best.drop_ci95 else None
    return Climb(
        path=str(out), chosen=best.step if best else "", passed=stopped == "passed", stopped=stopped,
        max_drop=allowed, unit=base.metric.drop_unit, metric=base.metric.name, baseline=base.value,
        dataset=base.dataset, split=base.split, n=base.n, trials=trials,
        verdict=shown.against(allowed) if shown else "failed",
        needed=shown.samples_to_show(allowed, base.n) if shown else None,
    )  # fmt: skip


def _put(file: Path, out: Path) -> None:
    with atomic_path(out) as partial:
        shutil.copyfile(file, partial)
