"""A sustained run: one process, inference without a pause, and what the device says of itself meanwhile.

For how a device holds out: clocks that fall as it warms up, and the energy of an inference. Blocks are timed one by
one, so between two of them lie a question and an answer over a pipe; `busy_share` tells how much that takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgecv.bench import statistics
from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Device
from edgecv.bench.launch import Clock, Side, may_pin
from edgecv.bench.link import AgentLink
from edgecv.bench.records import Launch, Reading, Run
from edgecv.bench.states import energies, energy_missing, read_state
from edgecv.tasks.paired import t_quantile95
from edgecv.values.latency import Sustained, Window

# Long enough that the question in between costs a per cent or so, short enough for hundreds in a window.
BLOCK_MS = 20.0
READING_EVERY_S = 1.0
# Parts of a window whose medians tell how steady it is; neighbouring blocks resemble one another, parts hardly do.
PARTS = 8
SIMULATED = "not available: the device is simulated, and the emulating host's energy is not its"


def run(case: BenchCase, device: Device, plan: BenchPlan, clock: Clock) -> Launch:
    """Run one case for `plan.sustained_s` seconds. Raises DeviceError when its process fails."""
    assert plan.sustained_s is not None
    begun = clock()
    with AgentLink(device.start(), case.name) as agent:
        side = Side(case, agent, device)
        agent.hello()
        if may_pin([case], plan):
            side.cpu = agent.pin(None)
        side.load(plan)
        side.warm_up(plan, BLOCK_MS)
        starts, readings = _blocks(side, plan.sustained_s, clock)
        counts = tuple(block.iterations for block in side.blocks)
        done = replace(side.run(), counts=counts, starts_s=starts, readings=readings)
    return Launch(case=done, baseline=None, seconds=clock() - begun)


def _blocks(side: Side, seconds: float, clock: Clock) -> tuple[tuple[float, ...], tuple[Reading, ...]]:
    start = clock()
    starts: list[float] = []
    readings = [Reading(at_s=0.0, state=read_state(side.agent))]
    while (now := clock() - start) < seconds:
        if now - readings[-1].at_s >= READING_EVERY_S:
            readings.append(Reading(at_s=now, state=read_state(side.agent)))
            now = clock() - start
        starts.append(round(now, 6))
        side.blocks.append(side.agent.run(side.iterations, 0))
    readings.append(Reading(at_s=clock() - start, state=read_state(side.agent)))
    return tuple(starts), tuple(readings)


def summarize(done: Run, window_s: float) -> Sustained:
    """Return what a sustained run shows: windows, drift, energy.

    Args:
        done: Of `run`.
        window_s: Length of a window; what is left over at the end joins the last one.
    """
    walls_s = np.array(done.wall_ms) * np.array(done.counts) / 1e3
    seconds = max(done.readings[-1].at_s, done.starts_s[-1] + float(walls_s[-1]))
    edges = np.arange(0.0, max(seconds - window_s, 0.0) + 1e-9, window_s)
    place = np.clip(np.searchsorted(edges, done.starts_s, side="right") - 1, 0, len(edges) - 1)
    chosen = [np.flatnonzero(place == index) for index in range(len(edges))]
    windows = [_window(done, rows, start, walls_s) for start, rows in zip(edges, chosen, strict=True) if rows.size]
    inferences = sum(done.counts)
    found = energies(done.readings, inferences) if done.kind == "measured" else ()
    missing = energy_missing(done.readings) if done.kind == "measured" else SIMULATED
    change = drift([np.array(done.wall_ms)[rows] for rows in (chosen[0], chosen[-1])])
    return Sustained(
        seconds=seconds,
        inferences=inferences,
        throughput_per_s=inferences / float(walls_s.sum()),
        busy_share=min(1.0, float(walls_s.sum()) / seconds),
        windows=tuple(windows),
        drift=None if change is None else change.value,
        drift_ci95=None if change is None or change.low is None or change.high is None else (change.low, change.high),
        energy=found,
        energy_missing=None if found else missing,
    )


def _window(done: Run, rows: np.typing.NDArray[np.intp], start: float, walls_s: statistics.Array) -> Window:
    times = [done.wall_ms[row] for row in rows]
    count = int(np.array(done.counts)[rows].sum())
    p50, p90, _ = statistics.percentiles(times)
    return Window(
        start_s=float(start),
        seconds=float(done.starts_s[rows[-1]] + walls_s[rows[-1]] - done.starts_s[rows[0]]),
        inferences=count,
        throughput_per_s=count / float(walls_s[rows].sum()),
        p50=p50,
        p90=p90,
    )


def drift(windows: Sequence[statistics.Array]) -> statistics.Ratio | None:
    """Return the last window's time over the first's, with a 95 % interval; None with fewer than `PARTS` blocks each.

    Each window is cut into parts; the interval is Welch's, for the means of the logs of the parts' medians.
    Source: Welch, "The generalization of Student's problem when several different population variances are
    involved", Biometrika 34, 1947.

    Args:
        windows: Times of the first and the last window's blocks, in order.
    """
    if min(times.size for times in windows) < PARTS:
        return None
    logs = [np.log([np.median(part) for part in np.array_split(times, PARTS)]) for times in windows]
    first, last = (float(part.mean()) for part in logs)
    spread = [float(part.var(ddof=1)) / PARTS for part in logs]
    variance = sum(spread)
    if variance == 0.0:
        return statistics.Ratio(value=math.exp(last - first), low=math.exp(last - first), high=math.exp(last - first))
    degrees = variance**2 / sum(part**2 / (PARTS - 1) for part in spread)
    half = t_quantile95(max(1, math.floor(degrees))) * math.sqrt(variance)
    low, high = math.exp(last - first - half), math.exp(last - first + half)
    return statistics.Ratio(value=math.exp(last - first), low=low, high=high)
