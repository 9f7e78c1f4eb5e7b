"""What disturbed a measurement: what happened, the likely cause, and what helps. Pure functions of records.

Thresholds are where the figure starts to matter beside the intervals that plans aim at; they change no result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgecv.bench import statistics
from edgecv.bench.cases import BenchPlan
from edgecv.bench.records import Run

INTERRUPTED_SHARE = 0.2
OUTLIER_SHARE = 0.1
LAUNCH_SPREAD = 0.1
UNSTABLE_SHARE = 0.3
STEADY_GOVERNORS = ("performance", "userspace")


def warnings(
    runs: Sequence[Run], governor: str | None, ratio: statistics.Ratio | None, plan: BenchPlan | None
) -> tuple[str, ...]:
    """Return warnings about one case's launches.

    Args:
        runs: The case's half of each launch.
        governor: Of the device's CPU frequency; None when unknown.
        ratio: To the baseline; None without one.
        plan: What was aimed at; None: no warning about the ratio.
    """
    found = [_interrupted(runs), _outliers(runs), _spread(runs), _unstable(runs), _governor(governor)]
    if ratio is not None and plan is not None:
        found.append(_wide(ratio, plan, len(runs)))
    return tuple(text for text in found if text)


def _interrupted(runs: Sequence[Run]) -> str:
    switches = [count for run in runs for count in run.switches if count is not None]
    share = float(np.mean([count > 0 for count in switches])) if switches else 0.0
    if share <= INTERRUPTED_SHARE:
        return ""
    return (
        f"{share:.0%} of the timed blocks were interrupted by other processes, which wanted the same CPU; "
        "p90 and p99 include the waiting, the ratio leaves such rounds out where enough others remain. "
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
