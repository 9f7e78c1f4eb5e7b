"""The measuring loop: launches of case and baseline side by side, until the ratio is known well enough.

For each case: start a fresh process for it and one for the baseline, warm both up, then alternate short blocks, in
random order within each round; repeat with fresh processes. It knows devices, clocks and random numbers only through
its arguments, and nothing of printing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecv.bench import summary
from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Device
from edgecv.bench.link import AgentLink, Block, Loaded, Warm
from edgecv.bench.records import CaseResult, Launch, Measurement, Run
from edgecv.bench.store import measurement_key
from edgecv.errors import ConfigError
from edgecv.progress import QUIET, Advance, Reporter
from edgecv.results import Kind

Clock = Callable[[], float]
Save = Callable[[Measurement], None]

MIN_ROUNDS = 3
# Below this an inference can fit into caches that the other process has just emptied, so one goes untimed first.
SETTLE_BELOW_NS = 5e6


def bench(
    cases: Sequence[BenchCase],
    *,
    baseline: BenchCase | None,
    device: Device,
    plan: BenchPlan | None = None,
    save: Save | None = None,
    earlier: Iterable[Measurement] = (),
    reporter: Reporter = QUIET,
    clock: Clock = time.monotonic,
) -> tuple[CaseResult, ...]:
    """Measure every case, each alternating with the baseline.

    Args:
        cases: What to measure, in order.
        baseline: What ratios are to; None measures absolute times only.
        device: Where.
        plan: How long; None: BenchPlan's defaults.
        save: Called after each launch with all that is known of its case: what a killed run leaves.
        reporter: Takes progress.
        earlier: What `save` was given by earlier runs; measurements of the same contents, plan and device go on.
        clock: Seconds, for the plan's budgets; inferences are timed by the device.

    Returns:
        The baseline's result first when there is one, then one per case. A case's ratio has an interval once there
        are three launches. Its `samples` are all blocks, undisturbed or not.

    Raises:
        ConfigError: There is nothing to measure, two cases share a name, or a file is missing.
        UnsupportedModelError, MissingDependencyError: The device cannot run a file.
        DeviceError: A process or the device dropped out; finished launches have been saved.
    """
    chosen = plan or BenchPlan()
    _check(cases, baseline)
    known = {measurement.key: measurement for measurement in earlier}
    alone = baseline is not None and not cases
    done: list[Measurement] = []
    with reporter.bar("bench", len(cases) or 1) as advance:
        for case in cases or ([baseline] if baseline else []):
            job = _Job(case=case, baseline=None if alone else baseline, device=device, plan=chosen, clock=clock)
            key = measurement_key(case, job.baseline, chosen, device)
            start = known.get(key, Measurement(key=key, name=case.name, launches=(), complete=False))
            done.append(_measure(job, start, save, advance))
            advance(1, note=case.name)
    return summary.results(cases, baseline, done, device, chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    case: BenchCase
    baseline: BenchCase | None
    device: Device
    plan: BenchPlan
    clock: Clock


def _check(cases: Sequence[BenchCase], baseline: BenchCase | None) -> None:
    if not cases and baseline is None:
        raise ConfigError("nothing to measure: neither cases nor a baseline")
    names = [case.name for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"two bench cases are called '{repeated[0]}'", hint="name files apart")
    for case in (*cases, *([baseline] if baseline else [])):
        if not Path(case.path).exists():
            raise ConfigError(f"model file {case.path} does not exist", hint="check the path")


def _measure(job: _Job, measurement: Measurement, save: Save | None, advance: Advance) -> Measurement:
    while not measurement.complete:
        launches = (*measurement.launches, _launch(job, len(measurement.launches)))
        complete = summary.is_enough(launches, job.plan)
        measurement = Measurement(key=measurement.key, name=measurement.name, launches=launches, complete=complete)
        if save is not None:
            save(measurement)
        advance(0, note=f"{job.case.name}: launch {len(launches)}")
    return measurement


def _launch(job: _Job, index: int) -> Launch:
    start = job.clock()
    rng = np.random.default_rng((job.plan.seed, index))
    with ExitStack() as held:
        sides = [
            _Side(case, held.enter_context(AgentLink(job.device.start(), case.name)), job.device)
            for case in (job.case, job.baseline)
            if case is not None
        ]
        _prepare(sides, job.plan, rng)
        _rounds(sides, job, rng)
        runs = [side.run() for side in sides]
    return Launch(case=runs[0], baseline=runs[1] if job.baseline else None, seconds=job.clock() - start)


class _Side:
    """One half of a launch: a case, its agent, and what was measured so far."""

    loaded: Loaded
    warm: Warm

    def __init__(self, case: BenchCase, agent: AgentLink, device: Device) -> None:
        self.case = case
        self.agent = agent
        self.device = device
        self.cpu: int | None = None
        self.iterations = 1
        self.blocks: list[Block] = []

    def run(self) -> Run:
        per_ms = [(b.wall_ns / b.iterations / 1e6, b.cpu_ns / b.iterations / 1e6) for b in self.blocks]
        return Run(
            engine=self.loaded.engine,
            accelerator=self.loaded.accelerator,
            kind=_weaker(self.loaded.kind, self.device.kind),
            cpu=self.cpu,
            iterations=self.iterations,
            load_ms=self.loaded.load_ms,
            first_ms=self.warm.first_ms,
            peak_rss_bytes=self.agent.peak_rss_bytes(),
            stable=self.warm.stable,
            wall_ms=tuple(round(wall, 7) for wall, _ in per_ms),
            cpu_ms=tuple(round(cpu, 7) for _, cpu in per_ms),
            switches=tuple(block.switches for block in self.blocks),
        )


def _weaker(first: Kind, second: Kind) -> Kind:
    return first if first != "measured" else second


def _prepare(sides: list[_Side], plan: BenchPlan, rng: np.random.Generator) -> None:
    """Bind, load and warm up; every step in its own random order, so that neither side always comes first."""
    for side in sides:
        side.agent.hello()
    if plan.pin and all(side.case.accelerator == "cpu" and side.case.threads == 1 for side in sides):
        cpu = None
        for side in _shuffled(sides, rng):
            cpu = side.cpu = side.agent.pin(cpu)
    for side in _shuffled(sides, rng):
        side.loaded = side.agent.load(side.case, side.device.put(Path(side.case.path)), plan.seed)
    for side in _shuffled(sides, rng):
        side.warm = side.agent.warm_up(plan)
        side.iterations = max(1, round(plan.block_ms * 1e6 / max(1.0, side.warm.iteration_ns)))


def _rounds(sides: list[_Side], job: _Job, rng: np.random.Generator) -> None:
    plan, start = job.plan, job.clock()
    settle = 1 if min(side.warm.iteration_ns for side in sides) < SETTLE_BELOW_NS else 0
    fair_share = plan.max_seconds / plan.min_launches
    for done in range(plan.max_rounds):
        now = job.clock()
        satisfied = done >= plan.min_rounds and now - start >= plan.launch_seconds
        if satisfied or (done >= MIN_ROUNDS and now - start >= fair_share):
            return
        for side in _shuffled(sides, rng):
            side.blocks.append(side.agent.run(side.iterations, settle))


def _shuffled(sides: list[_Side], rng: np.random.Generator) -> list[_Side]:
    return [sides[i] for i in rng.permutation(len(sides))]
