"""One launch: fresh processes for case and baseline, warmed up, then short blocks of the two in random order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Device
from edgecv.bench.link import AgentLink, Block, Loaded, Warm
from edgecv.bench.records import Launch, Reading, Run
from edgecv.bench.states import read_state
from edgecv.values.kind import Kind
from edgecv.values.latency import DeviceState

Clock = Callable[[], float]
Sleep = Callable[[float], None]

MIN_ROUNDS = 3
# Below this an inference can fit into caches that the other process has just emptied, so one goes untimed first.
SETTLE_BELOW_NS = 5e6


def run(pair: tuple[BenchCase, BenchCase | None], device: Device, plan: BenchPlan, index: int, clock: Clock) -> Launch:
    """Run one launch.

    Args:
        pair: The case and the baseline, None when the case runs alone.
        device: Where.
        plan: How long.
        index: Of the launch among its case's: with the plan's seed it decides the order of everything.
        clock: Seconds.

    Raises:
        DeviceError: A process failed; both are ended.
    """
    start = clock()
    rng = np.random.default_rng((plan.seed, index))
    with ExitStack() as held:
        sides = [
            Side(case, held.enter_context(AgentLink(device.start(), case.name)), device)
            for case in pair
            if case is not None
        ]
        _prepare(sides, plan, rng)
        _rounds(sides, plan, rng, clock)
        sides[0].after = read_state(sides[0].agent)
        runs = [side.run() for side in sides]
    return Launch(case=runs[0], baseline=runs[1] if len(runs) > 1 else None, seconds=clock() - start)


class Side:
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
        self.before: DeviceState | None = None
        self.after: DeviceState | None = None

    def load(self, plan: BenchPlan) -> None:
        """Open the case's model."""
        self.loaded = self.agent.load(self.case, self.device.put(Path(self.case.path)), plan.seed)

    def warm_up(self, plan: BenchPlan, block_ms: float) -> None:
        """Warm up, and choose how many inferences make a block of `block_ms`."""
        self.warm = self.agent.warm_up(plan)
        self.iterations = max(1, round(block_ms * 1e6 / max(1.0, self.warm.iteration_ns)))

    def run(self) -> Run:
        """Return what was measured."""
        per_ms = [(b.wall_ns / b.iterations / 1e6, b.cpu_ns / b.iterations / 1e6) for b in self.blocks]
        states = [state for state in (self.before, self.after) if state is not None]
        return Run(
            engine=self.loaded.engine,
            accelerator=self.loaded.accelerator,
            kind=_weaker(self.loaded.kind, self.device.kind),
            cpu=self.cpu,
            # A device whose clock is coarse makes more than it was asked for.
            iterations=max((block.iterations for block in self.blocks), default=self.iterations),
            load_ms=self.loaded.load_ms,
            first_ms=self.warm.first_ms,
            peak_rss_bytes=self.agent.peak_rss_bytes(),
            stable=self.warm.stable,
            wall_ms=tuple(round(wall, 7) for wall, _ in per_ms),
            cpu_ms=tuple(round(cpu, 7) for _, cpu in per_ms),
            switches=tuple(block.switches for block in self.blocks),
            adapter=self.loaded.adapter,
            readings=tuple(Reading(at_s=0.0, state=state) for state in states),
        )


def may_pin(cases: list[BenchCase], plan: BenchPlan) -> bool:
    """Say whether processes are bound to one CPU: all run in one thread, on the CPU."""
    return plan.pin and all(case.accelerator == "cpu" and case.threads == 1 for case in cases)


def _weaker(first: Kind, second: Kind) -> Kind:
    return first if first != "measured" else second


def _prepare(sides: list[Side], plan: BenchPlan, rng: np.random.Generator) -> None:
    """Bind, load and warm up; every step in its own random order, so that neither side always comes first."""
    for side in sides:
        side.agent.hello()
    sides[0].before = read_state(sides[0].agent)
    if may_pin([side.case for side in sides], plan):
        cpu = None
        for side in _shuffled(sides, rng):
            cpu = side.cpu = side.agent.pin(cpu)
    for side in _shuffled(sides, rng):
        side.load(plan)
    for side in _shuffled(sides, rng):
        side.warm_up(plan, plan.block_ms)


def _rounds(sides: list[Side], plan: BenchPlan, rng: np.random.Generator, clock: Clock) -> None:
    start = clock()
    settle = 1 if min(side.warm.iteration_ns for side in sides) < SETTLE_BELOW_NS else 0
    fair_share = plan.max_seconds / plan.min_launches
    for done in range(plan.max_rounds):
        now = clock()
        satisfied = done >= plan.min_rounds and now - start >= plan.launch_seconds
        if satisfied or (done >= MIN_ROUNDS and now - start >= fair_share):
            return
        for side in _shuffled(sides, rng):
            side.blocks.append(side.agent.run(side.iterations, settle))


def _shuffled(sides: list[Side], rng: np.random.Generator) -> list[Side]:
    return [sides[i] for i in rng.permutation(len(sides))]
