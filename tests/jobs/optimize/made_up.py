"""A space of which everything is known: times and drops are formulas, so that searches can be judged, and killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecv.jobs.optimize.candidates import Candidate
from edgecv.jobs.optimize.objective import objective
from edgecv.jobs.optimize.records import SearchRecords, Task
from edgecv.jobs.optimize.rules import Facts, enumerated
from edgecv.jobs.optimize.space import Space, space
from edgecv.values.search import Cost, Finding

SPACE: Space = space(
    {
        "slim.macs": [1.0, 0.8, 0.65, 0.5, 0.4, 0.3],
        "slim.epochs": [2, 8],
        "quantize.scheme": ["float32", "dynamic", "int8"],
        "quantize.rung": ["plain", "equalise", "adaround"],
    }
)
CANDIDATES = enumerated(SPACE, Facts())[0]
SOUGHT = objective(None, max_drop=2.0)
SPEED = {"float32": 1.0, "dynamic": 0.6, "int8": 0.3}


def cost(one: Candidate, seed: int = 0) -> Cost:
    """The same for candidates of one shape."""
    noise = np.random.default_rng((seed, int(one.shape, 16))).normal(0, 0.02)
    ratio = SPEED[one["quantize.scheme"]] * (0.15 + 0.85 * one["slim.macs"]) * float(np.exp(noise))
    return Cost(ratio=ratio, ratio_ci95=(0.98 * ratio, 1.02 * ratio), size_bytes=int(1e5 * ratio), latency_ms=ratio)


def finding(one: Candidate, seed: int = 0) -> Finding:
    noise = np.random.default_rng((seed, int(one.id, 16))).normal(0, 0.1)
    share = one["slim.macs"]
    slimmed = 0.0 if share == 1.0 else (1 / share - 1) * (1.0 if one["slim.epochs"] == 8 else 2.5)
    rounded = {"float32": 0.0, "dynamic": 0.1, "int8": 0.5}[one["quantize.scheme"]]
    won = {"plain": 0.0, "equalise": 0.2, "bias": 0.1, "adaround": 0.4}[one["quantize.rung"]]
    drop = slimmed + rounded * (1 - won) + float(noise)
    return Finding(
        candidate=one.id, level="full", n=5000, value=0.9 - drop / 100, drop=drop, drop_ci95=(drop - 0.3, drop + 0.3),
        before=0.9,
    )  # fmt: skip


def perform(task: Task) -> Cost | Finding:
    """Do a task at once."""
    return finding(task.candidate) if task.kind == "accuracy" else cost(task.candidate)


def key(task: Task) -> str:
    """What a task is called on disk."""
    return f"{task.kind}-{task.candidate.shape if task.kind == 'shape' else task.candidate.id}-{task.level}"


def records(folder: Path) -> SearchRecords:
    return SearchRecords(folder, key)


def optimum(seed: int = 0) -> Candidate:
    """The fastest candidate whose whole interval is within the budget."""
    passed = [one for one in CANDIDATES if finding(one, seed).against(2.0) == "passed"]
    return min(passed, key=lambda one: cost(one, seed).ratio or 9.0)
