"""Statistics of timings. Pure functions of arrays; no clock, no printing.

A process that has just been started is faster or slower than its twin by a per cent or so for all of its life: where
its memory lies decides which cache lines collide (Mytkowicz et al., "Producing wrong data without doing anything
obviously wrong!", ASPLOS 2009). More rounds of the same process do not average that away. So the launch, a fresh
pair of processes, is the unit of replication, and the interval's width comes from how launches differ
(Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecv.tasks.paired import t_quantile95

Array = npt.NDArray[np.float64]

RESAMPLES = 600
MIN_CLEAN_ROUNDS = 5
MIN_CLEAN_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of two times with its 95 % interval.

    Attributes:
        low: Lower bound, and `high` the upper one; None when there are fewer than three launches.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def width(self) -> float:
        """Width of the interval relative to the ratio; infinite when there is none."""
        return math.inf if self.low is None or self.high is None else (self.high - self.low) / self.value


def percentiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p90 and p99 of `samples`, interpolated linearly between order statistics."""
    p50, p90, p99 = np.percentile(np.asarray(samples, np.float64), (50, 90, 99))
    return float(p50), float(p90), float(p99)


def midmean(values: Array) -> Array:
    """Return the mean of the middle half along the last axis: values beyond the quartiles have no pull.

    Robust like the median against a quarter of bad values at each end, with less noise of its own.
    Source: Tukey, "Exploratory Data Analysis", 1977 (interquartile mean).
    """
    n = values.shape[-1]
    cut = n // 4
    ordered = np.sort(values, axis=-1)
    return np.asarray(ordered[..., cut : n - cut].mean(axis=-1))


def log_ratios(case: Sequence[float], baseline: Sequence[float], disturbed: npt.NDArray[np.bool_]) -> Array:
    """Return log(case / baseline) per round of one launch, without disturbed rounds while enough others remain.

    Both halves of a round go together, so what is left out does not depend on which of the two was hit.

    Args:
        case: The case's time per inference in each round.
        baseline: The baseline's, in the same unit.
        disturbed: Whether the kernel took the CPU away in either half of each round.
    """
    ratios = np.log(np.asarray(case, np.float64)) - np.log(np.asarray(baseline, np.float64))
    clean = ratios[~disturbed]
    return clean if clean.size >= max(MIN_CLEAN_ROUNDS, MIN_CLEAN_SHARE * ratios.size) else ratios


def ratio_interval(launches: Sequence[Array], rng: np.random.Generator) -> Ratio:
    """Return the ratio over launches with a 95 % interval from a hierarchical bootstrap.

    The estimate is exp of the mean over launches of the midmean of a launch's log ratios. Its standard error comes
    from resampling launches, and rounds within each. A bootstrap of n launches sees only (n-1)/n of their variance
    and its percentiles know nothing of how badly few launches tell their spread, so the error is scaled by
    sqrt(n/(n-1)) and the bounds use Student's t with n-1 degrees of freedom.
    Source: Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69(4), 2015,
    section 4.2; Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.

    Args:
        launches: Log ratios of each launch's rounds.
        rng: Source of the resampling.
    """
    centres = np.array([midmean(launch) for launch in launches])
    centre, n = float(centres.mean()), len(launches)
    if n < 3:
        return Ratio(value=math.exp(centre), low=None, high=None)
    error = _bootstrap_error(launches, rng) * math.sqrt(n / (n - 1))
    half = t_quantile95(n - 1) * error
    return Ratio(value=math.exp(centre), low=math.exp(centre - half), high=math.exp(centre + half))


def _bootstrap_error(launches: Sequence[Array], rng: np.random.Generator) -> float:
    pools = np.stack([_resampled_midmeans(launch, rng) for launch in launches])
    n = len(launches)
    chosen = rng.integers(n, size=(RESAMPLES, n))
    replicas = pools[chosen, rng.integers(RESAMPLES, size=(RESAMPLES, n))].mean(axis=1)
    return float(replicas.std(ddof=1))


def _resampled_midmeans(rounds: Array, rng: np.random.Generator) -> Array:
    return midmean(rounds[rng.integers(rounds.size, size=(RESAMPLES, rounds.size))])


def outlier_share(samples: Sequence[float]) -> float:
    """Return the share of samples more than 5 robust standard deviations above the median, 0..1.

    Source: Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993 (modified z-score; 0.6745 scales the
    median absolute deviation to a normal's standard deviation).
    """
    values = np.asarray(samples, np.float64)
    centre = np.median(values)
    deviation = np.median(np.abs(values - centre))
    if deviation == 0:
        return float(np.mean(values > 1.05 * centre))
    return float(np.mean(0.6745 * (values - centre) / deviation > 5.0))


def launch_spread(centres: Sequence[float]) -> float:
    """Return the standard deviation of launches' typical times relative to their mean; 0 for fewer than two."""
    values: Any = np.asarray(centres, np.float64)
    return float(values.std(ddof=1) / values.mean()) if values.size > 1 else 0.0
