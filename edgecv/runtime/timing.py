"""Timing calls of one function: blocks, single calls, and warming up. The inner loops of every benchmark."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Callable, List, Optional

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

STABLE_BLOCKS = 5
STABLE_GAIN = 0.02


@dataclass(frozen=True)
class Timed:
    """One timed block.

    Attributes:
        iterations: Calls in it.
        wall_ns: Elapsed time of all calls.
        cpu_ns: CPU time of the whole process meanwhile; less than `wall_ns` in one thread means that it waited.
        switches: How often the kernel took the CPU away (involuntary context switches); None where it cannot say.
        each_ns: Elapsed time of each call, when asked for.
    """

    iterations: int
    wall_ns: int
    cpu_ns: int
    switches: Optional[int]
    each_ns: Optional[List[int]] = None


@dataclass(frozen=True)
class Warmup:
    """How a warm-up went: the first call, and nanoseconds per call of the fastest of the last blocks."""

    first_ns: int
    iteration_ns: float
    blocks: int
    stable: bool
    elapsed_ns: int


def time_block(call: Callable[[], object], iterations: int, settle: int = 0) -> Timed:
    """Time `iterations` calls under one pair of clock readings, after `settle` untimed calls."""
    clock, cpu_clock = time.perf_counter_ns, time.process_time_ns
    for _ in itertools.repeat(None, settle):
        call()
    turns = itertools.repeat(None, iterations)
    switches = _switches()
    cpu = cpu_clock()
    start = clock()
    for _ in turns:
        call()
    wall = clock() - start
    cpu = cpu_clock() - cpu
    after = _switches()
    return Timed(iterations, wall, cpu, None if switches is None or after is None else after - switches)


def time_each(call: Callable[[], object], iterations: int, settle: int = 0) -> Timed:
    """Time `iterations` calls one by one. Each includes one clock reading, tens of nanoseconds."""
    clock = time.perf_counter_ns
    stamps = [0] * (iterations + 1)

    def stamped() -> None:
        call()
        stamps[next(position)] = clock()

    for _ in itertools.repeat(None, settle):
        call()
    position = iter(range(1, iterations + 1))
    stamps[0] = clock()
    whole = time_block(stamped, iterations)
    each = [after - before for before, after in zip(stamps, stamps[1:])]
    return Timed(iterations, whole.wall_ns, whole.cpu_ns, whole.switches, each)


def warm_up(call: Callable[[], object], *, min_ns: int, max_ns: int, block_ns: int) -> Warmup:
    """Call until blocks stop getting faster: the best of the last five is within 2 % of the best of the five before.

    The best of a few blocks is compared, not their mean, so that other processes' work does not look like warming up.

    Args:
        call: What to warm up; its first call is timed apart.
        min_ns: Go on at least so long.
        max_ns: Give up here, with `stable` false; a single slow call may overrun it.
        block_ns: Length of a block.
    """
    start = time.perf_counter_ns()
    first = time_block(call, 1).wall_ns
    once = time_block(call, 1).wall_ns
    blocks: List[float] = [float(once)]
    iterations = max(1, int(block_ns / max(1, once)))
    while True:
        elapsed = time.perf_counter_ns() - start
        stable = is_stable(blocks)
        if (stable and elapsed >= min_ns) or elapsed >= max_ns:
            return Warmup(first, min(blocks[-STABLE_BLOCKS:]), len(blocks), stable, elapsed)
        blocks.append(time_block(call, iterations).wall_ns / iterations)
        iterations = max(1, int(block_ns / max(1.0, min(blocks[-STABLE_BLOCKS:]))))


def is_stable(blocks: List[float]) -> bool:
    """Say whether the last five values (of fewer than ten: the last half) are at most 2 % faster than those before."""
    width = min(STABLE_BLOCKS, len(blocks) // 2)
    if width < 2:
        return False
    return min(blocks[-width:]) >= (1 - STABLE_GAIN) * min(blocks[-2 * width : -width])


def _switches() -> Optional[int]:
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
