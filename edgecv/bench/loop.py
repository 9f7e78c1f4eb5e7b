"""The measuring loop: launches of case and baseline side by side, until the ratio is known well enough.

It knows devices, clocks and random numbers only through its arguments, and nothing of printing. A launch is in
edgecv.bench.launch, a sustained run in edgecv.bench.sustained.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from edgecv.bench import launch, summary, sustained
from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Device
from edgecv.bench.launch import Clock
from edgecv.bench.records import CaseResult, Launch, Measurement
from edgecv.bench.store import Save, measurement_key
from edgecv.core.errors import ConfigError, DeviceError, PartialAccelerationError
from edgecv.core.progress import QUIET, Advance, Reporter

T = TypeVar("T")
Pair = tuple[BenchCase, BenchCase | None]
"""A case, and what it alternates with."""

RETRY_WAIT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how to measure: what all cases on one device share.

    Attributes:
        save: Called after each launch with all that is known of its case: what a killed run leaves.
        known: Measurements of earlier runs by key; those of the same contents, plan and device go on.
        retries: How often in a row a launch in which the device fails is tried again, with fresh processes.
        reporter: Takes progress and warnings.
        clock: Seconds, for the plan's budgets; inferences are timed by the device.
        sleep: Waits seconds before a retry.
    """

    device: Device
    plan: BenchPlan
    save: Save | None = None
    known: Mapping[str, Measurement] = field(default_factory=dict)
    retries: int = 0
    reporter: Reporter = QUIET
    clock: Clock = time.monotonic
    sleep: launch.Sleep = time.sleep


def bench(
    cases: Sequence[BenchCase],
    *,
    baseline: BenchCase | None,
    device: Device,
    plan: BenchPlan | None = None,
    save: Save | None = None,
    earlier: Iterable[Measurement] = (),
    retries: int = 0,
    reporter: Reporter = QUIET,
    clock: Clock = time.monotonic,
) -> tuple[CaseResult, ...]:
    """Measure every case, each alternating with the baseline; in sustained runs, one after the other.

    Args:
        cases: What to measure, in order.
        baseline: What ratios are to; None measures absolute times only.
        device: Where.
        plan: How long; None: BenchPlan's defaults.
        save, retries, reporter, clock: See Setting.
        earlier: What `save` was given by earlier runs; measurements of the same contents, plan and device go on.

    Returns:
        The baseline's result first when there is one, then one per case. A case's ratio has an interval once there
        are three launches. Its `samples` are all blocks, undisturbed or not.

    Raises:
        ConfigError: There is nothing to measure, two cases share a name, or a file is missing.
        UnsupportedModelError, MissingDependencyError: The device cannot run a file.
        DeviceError: A process or the device dropped out; finished launches have been saved.
    """
    chosen = plan or BenchPlan()
    check(cases, baseline)
    known = {measurement.key: measurement for measurement in earlier}
    setting = Setting(
        device=device, plan=chosen, save=save, known=known, retries=retries, reporter=reporter, clock=clock
    )
    done: list[Measurement] = []
    todo = pairs(cases, baseline, chosen)
    with reporter.bar("bench", len(todo)) as advance:
        for pair in todo:
            done.append(measure(pair, setting, advance))
            advance(1, note=pair[0].name)
    return summary.results(cases, baseline, done, device, chosen)


def check(cases: Sequence[BenchCase], baseline: BenchCase | None) -> None:
    """Raise ConfigError when there is nothing to measure, two cases share a name, or a file is missing."""
    if not cases and baseline is None:
        raise ConfigError("nothing to measure: neither cases nor a baseline")
    names = [case.name for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"two bench cases are called '{repeated[0]}'", hint="name files apart")
    for case in (*cases, *([baseline] if baseline else [])):
        if not Path(case.path).exists():
            raise ConfigError(f"model file {case.path} does not exist", hint="check the path")


def pairs(cases: Sequence[BenchCase], baseline: BenchCase | None, plan: BenchPlan) -> tuple[Pair, ...]:
    """Return what to measure, in order: in bursts, each case with the baseline; sustained, the baseline first."""
    if baseline is not None and not cases:
        return ((baseline, None),)
    if plan.sustained_s is None:
        return tuple((case, baseline) for case in cases)
    return (*(((baseline, None),) if baseline else ()), *((case, None) for case in cases))


def measure(pair: Pair, setting: Setting, advance: Advance) -> Measurement:
    """Make the launches of one case that are not known yet, and save each.

    Raises:
        DeviceError: A launch failed, and so did its retries; the launches before it have been saved.
    """
    case, baseline = pair
    key = _persistently(setting, lambda: measurement_key(case, baseline, setting.plan, setting.device))
    found = setting.known.get(key, Measurement(key=key, name=case.name, launches=(), complete=False))
    while not found.complete:
        attempt = functools.partial(_launch, pair, setting, len(found.launches))
        launches = (*found.launches, _persistently(setting, attempt))
        complete = setting.plan.sustained_s is not None or summary.is_enough(launches, setting.plan)
        found = replace(found, launches=launches, complete=complete)
        if setting.save is not None:
            setting.save(found)
        advance(0, note=f"{case.name}: launch {len(launches)}")
    return found


def _persistently(setting: Setting, attempt: Callable[[], T]) -> T:
    """Call `attempt`, and again when the device fails, as often as the setting allows."""
    for number in range(setting.retries + 1):
        try:
            return attempt()
        except DeviceError as error:
            if number == setting.retries or isinstance(error, PartialAccelerationError):
                raise  # an accelerator that refuses operators refuses them again
            again = f"trying again with fresh processes ({number + 1} of {setting.retries})"
            setting.reporter.warn(f"{setting.device.name}: {error.message}; {again}")
            setting.sleep(RETRY_WAIT_S * (number + 1))
    raise AssertionError("the loop above returns or raises")


def _launch(pair: Pair, setting: Setting, index: int) -> Launch:
    if setting.plan.sustained_s is not None:
        return sustained.run(pair[0], setting.device, setting.plan, setting.clock)
    return launch.run(pair, setting.device, setting.plan, index, setting.clock)
