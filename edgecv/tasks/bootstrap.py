"""Paired bootstrap: the interval of a drop of any statistic of images, or of identities. Pure numpy.

A metric such as the mean IoU or the average precision is no mean over samples, so neither Tango's interval nor the t
test fits it. The bootstrap draws the units again, with replacement, and asks both models about the same draw.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.tasks.paired import t_quantile95
from edgecv.values.scores import Drop, Metric

Array = NDArray[Any]
#: From weights, float64 (B, n), to values (B,): weights say how often each of the n units was drawn, and add up to n.
Statistic = Callable[[Array], Array]

REPEATS = 1000
WEIGHTS_AT_ONCE = 1 << 20  # 8 MiB of float64


def bootstrap_drop(
    base: Statistic, candidate: Statistic, n: int, metric: Metric, *, repeats: int = REPEATS, seed: int = 0
) -> Drop:
    """Return how much worse the candidate is on the same units, with a 95 % interval by the paired bootstrap.

    The interval is the expanded percentile interval. Plain percentiles are too narrow for few units: they lack the
    factor sqrt(n / (n - 1)) of the variance and the heavier tails of Student's t. The interval has no width when the
    two models answer alike on every unit.

    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 371-386,
    section 5.3: the quantiles at Phi(-sqrt(n / (n - 1)) t(0.975, n - 1)) and its complement.

    Args:
        base: Values of the baseline, in the metric's unit, for each row of weights; NaN where they are undefined.
            Weights of 1 must give the value of the whole split. It is called many times, with many rows at once.
        candidate: The candidate's, on the same units in the same order.
        n: Number of units that are drawn, >= 2: images, or identities.
        metric: What the values are; says which way is worse.
        repeats: Number of draws.
        seed: Of the draws. The same seed gives the same interval.

    Raises:
        DataError: There are fewer than two units, or the drop is undefined for the whole split.
    """
    if n < 2:
        raise DataError(f"a paired interval needs at least 2 samples, got {n}", hint="evaluate on more samples")
    value = float(_losses(base, candidate, np.ones((1, n)), metric)[0])
    if not math.isfinite(value):
        raise DataError(
            f"{metric.name} is undefined on these {n} samples, so there is no drop of it",
            hint="evaluate on samples that hold what the metric counts",
        )
    drawn = [_losses(base, candidate, weights, metric) for weights in draws(n, repeats=repeats, seed=seed)]
    tail = expanded_tail(n)
    # A draw may miss what the metric needs, such as one of two classes; it says nothing then.
    low, high = np.nanquantile(np.concatenate(drawn), [tail, 1.0 - tail])
    return Drop(value=value, ci95=(float(low), float(high)))


def draws(n: int, *, repeats: int = REPEATS, seed: int = 0) -> Iterator[Array]:
    """Yield how often each of n units is drawn, float64 (B, n), until there are `repeats` rows; rows add up to n."""
    rng = np.random.default_rng(seed)
    rows = max(1, min(repeats, WEIGHTS_AT_ONCE // n))
    for first in range(0, repeats, rows):
        count = min(rows, repeats - first)
        units = rng.integers(0, n, size=(count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(units.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def expanded_tail(n: int) -> float:
    """Return the probability below the lower end of an expanded 95 % percentile interval of n >= 2 units."""
    return NormalDist().cdf(-math.sqrt(n / (n - 1)) * t_quantile95(n - 1))


def _losses(base: Statistic, candidate: Statistic, weights: Array, metric: Metric) -> Array:
    first = np.asarray(base(weights), np.float64)
    second = np.asarray(candidate(weights), np.float64)
    return first - second if metric.better == "higher" else second - first
