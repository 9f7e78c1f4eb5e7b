"""What disturbed a measurement: what happened, the likely cause, and what helps. Pure functions of records.

Thresholds are where the figure starts to matter beside the intervals that plans aim at; they change no result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgecv.bench import statistics
from edgecv.bench.cases import BenchPlan
from edgecv.bench.records import Launch, Run
from edgecv.values.latency import Sustained

MOST_INTERRUPTED = 0.5
INTERRUPTED_SHARE = 0.2
OUTLIER_SHARE = 0.1
LAUNCH_SPREAD = 0.1
UNSTABLE_SHARE = 0.3
DRIFT = 0.03
BUSY_SHARE = 0.9
STEADY_GOVERNORS = ("performance", "userspace")


def uses_cpu_time(case: Run, baseline: Run) -> bool:
    """Say whether a launch's ratio is of CPU times: both halves bound to a CPU, and most rounds interrupted.

    Slow inferences on a busy machine are always interrupted, since the scheduler's slices are a few milliseconds.
    """
    hit = [bool(a or b) for a, b in zip(case.switches, baseline.switches, strict=True)]
    return case.cpu is not None and baseline.cpu is not None and sum(hit) > MOST_INTERRUPTED * len(hit)


def run_warnings(runs: Sequence[Run], governor: str | None) -> tuple[str, ...]:
    """Return warnings about one case's processes.

    Args:
        runs: One per launch.
        governor: Of the device's CPU frequency; None when unknown.
    """
    found = (_interrupted(runs), _outliers(runs), _spread(runs), _unstable(runs), _governor(governor))
    return tuple(text for text in found if text)


def ratio_warnings(launches: Sequence[Launch], ratio: statistics.Ratio | None, plan: BenchPlan) -> tuple[str, ...]:
    """Return warnings about a case's ratio to its baseline, as `plan` meant it to be; None: there is none."""
    if ratio is None:
        return _incomparable(launches)
    found = (_cpu_times(launches), _wide(ratio, plan, len(launches)))
    return tuple(text for text in found if text)


def sustained_warnings(
    runs: Sequence[Run], found: Sustained, governor: str | None, *, compared: bool
) -> tuple[str, ...]:
    """Return warnings about a sustained run.

    Args:
        runs: The one process.
        found: What it showed.
        governor: Of the device's CPU frequency; None when unknown.
        compared: Whether there is a baseline that a reader will look for a ratio to.
    """
    several = (_drift(found), _busy(found), _interrupted(runs), _outliers(runs), _governor(governor))
    ratio = "ratio to the baseline unknown: sustained runs come one after the other; --mode burst compares"
    texts = (*several, ratio if compared else "", "" if found.energy else f"energy {found.energy_missing}")
    return tuple(text for text in texts if text)


def _drift(found: Sustained) -> str:
    if found.drift is None or found.drift_ci95 is None:
        return "drift unknown: a window holds too few blocks; run longer, or with longer windows"
    low, high = found.drift_ci95
    if not (low > 1.0 + DRIFT or high < 1.0 - DRIFT):
        return ""
    how = "slower" if low > 1.0 else "faster"
    times = f"{found.drift:.2f} times as long in the last window as in the first [{low:.2f}, {high:.2f}]"
    cause = "by heat, its clock or other programs; compare `conditions` before and after"
    return f"an inference took {times}: the device became {how}, {cause}"


def _busy(found: Sustained) -> str:
    if found.busy_share >= BUSY_SHARE:
        return ""
    return (
        f"the device computed {found.busy_share:.0%} of the time only, the rest went into asking it; the load was "
        "lighter than an application without pauses would be"
    )


def _incomparable(launches: Sequence[Launch]) -> tuple[str, ...]:
    baseline = launches[0].baseline
    if baseline is None:
        return ()
    kinds = f"{launches[0].case.kind}, and the baseline's is {baseline.kind}"
    return (f"no ratio to the baseline: this file's time is {kinds}; only figures of one kind compare",)


def _cpu_times(launches: Sequence[Launch]) -> str:
    n = sum(uses_cpu_time(launch.case, launch.baseline) for launch in launches if launch.baseline is not None)
    if n == 0:
        return ""
    return (
        f"the ratio is of CPU times, not elapsed ones, in {n} of {len(launches)} launches: other processes "
        "interrupted most of their rounds. Close other programs for a ratio of elapsed times"
    )


def _interrupted(runs: Sequence[Run]) -> str:
    switches = [count for run in runs for count in run.switches if count is not None]
    share = float(np.mean([count > 0 for count in switches])) if switches else 0.0
    if share <= INTERRUPTED_SHARE:
        return ""
    return (
        f"{share:.0%} of the timed blocks were interrupted by other processes, which wanted the same CPU; "
        "p90 and p99 include the waiting, the ratio leaves it out. "
        "Close other programs and measure again"
    )


def _outliers(runs: Sequence[Run]) -> str:
    share = statistics.outlier_share([sample for run in runs for sample in run.wall_ms])
    if share <= OUTLIER_SHARE:
        return ""
    return (
        f"{share:.0%} of the samples are far above the median: other programs, interrupts or changes of the clock "
        "frequency. Close other programs, or look at p50 and the ratio only"
    )


def _spread(runs: Sequence[Run]) -> str:
    spread = statistics.launch_spread([float(np.median(run.wall_ms)) for run in runs])
    if spread <= LAUNCH_SPREAD:
        return ""
    return (
        f"launches of the same file differ by {spread:.0%} (standard deviation of their medians): the machine changed "
        "speed during the run, by load, heat or a neighbour on the same hardware. Absolute times are not "
        "comparable with other runs; compare ratios"
    )


def _unstable(runs: Sequence[Run]) -> str:
    unstable = sum(not run.stable for run in runs)
    if unstable <= UNSTABLE_SHARE * len(runs):
        return ""
    return (
        f"{unstable} of {len(runs)} processes were still getting faster when warm-up ended, by the plan's limit of "
        "time: a slow model or a clock that ramps up. A plan with a larger max_warmup_ms (--plan thorough) helps"
    )


def _governor(governor: str | None) -> str:
    if governor is None or governor in STEADY_GOVERNORS:
        return ""
    return (
        f"the CPU frequency governor is '{governor}', which changes the clock with the load; "
        "'cpupower frequency-set -g performance' makes times steadier"
    )


def _wide(ratio: statistics.Ratio, plan: BenchPlan, launches: int) -> str:
    if ratio.width <= plan.target_width:
        return ""
    width = f"{ratio.width:.1%} wide" if math.isfinite(ratio.width) else "unknown"
    return (
        f"the ratio's 95 % interval is {width} after {launches} launches, the plan aimed at {plan.target_width:.1%}: "
        "its time or launches were spent on a noisy machine. Close other programs, or use --plan thorough"
    )
