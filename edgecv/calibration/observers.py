"""Range observers: each sees an activation batch by batch and says which range to quantise.

`observe(batch)` takes float values of any shape and raises DataError for an empty or non-finite batch. It is
`merge(summarise(batch))`: `summarise` touches nothing of the observer, so threads may call it for several batches at
once, and `merge` takes the summaries in the batches' order; ranges are equal then, to the last bit, whatever the number
of threads. `result()` returns (min, max) with min <= 0 <= max, since zero must be exactly representable (padding), in
the values' unit; it raises ConfigError before the first batch. Memory never depends on how many values are seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from edgecv.calibration.clipping import Range, entropy_range, mse_range, percentile_range
from edgecv.calibration.histogram import StreamingHistogram, finite_range
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.values.profiles import CalibrationRecipe

Array = np.ndarray[Any, Any]
ESTIMATORS = ("minmax", "moving_average", "percentile", "mse", "entropy")


class RangeObserver(Protocol):
    """See the module's first lines."""

    def summarise(self, batch: Array) -> Any:
        """Return what `merge` needs to know of a batch of values, any shape, float; the observer stays as it is."""

    def merge(self, summary: Any) -> None:
        """Take the summary of the next batch."""

    def observe(self, batch: Array) -> None:
        """Take a batch of values, any shape, float."""

    def result(self) -> Range:
        """Return (min, max), min <= 0 <= max."""


class MinMaxObserver:
    """The smallest and largest value seen.

    Source: Jacob et al. 2018 (arXiv 1712.05877), section 3, and the TensorFlow Lite calibrator's default.
    """

    def __init__(self) -> None:
        self._low = math.inf
        self._high = -math.inf

    def summarise(self, batch: Array) -> Range:
        return finite_range(batch)

    def merge(self, summary: Range) -> None:
        self._low, self._high = min(self._low, summary[0]), max(self._high, summary[1])

    def observe(self, batch: Array) -> None:
        self.merge(self.summarise(batch))

    def result(self) -> Range:
        return _around_zero(self._low, self._high)


class MovingAverageObserver:
    """An exponential moving average of each batch's smallest and largest value; the first batch starts it.

    Args:
        momentum: Share of the old range that a new batch leaves, in 0..1.

    Source: Jacob et al. 2018 (arXiv 1712.05877), section 3.1.
    """

    def __init__(self, momentum: float) -> None:
        if not 0 <= momentum < 1:
            raise ConfigError(f"momentum is {momentum}, expected at least 0 and below 1")
        self._momentum = momentum
        self._low = math.inf
        self._high = -math.inf

    def summarise(self, batch: Array) -> Range:
        return finite_range(batch)

    def merge(self, summary: Range) -> None:
        low, high = summary
        keep = self._momentum if math.isfinite(self._low) else 0.0
        self._low = keep * self._low + (1 - keep) * low if keep else low
        self._high = keep * self._high + (1 - keep) * high if keep else high

    def observe(self, batch: Array) -> None:
        self.merge(self.summarise(batch))

    def result(self) -> Range:
        return _around_zero(self._low, self._high)


class HistogramObserver:
    """A range that follows from the histogram of all values.

    Args:
        estimate: From the full histogram to (min, max).
    """

    def __init__(self, estimate: Callable[[StreamingHistogram], Range]) -> None:
        self._estimate = estimate
        self._histogram = StreamingHistogram()

    def summarise(self, batch: Array) -> StreamingHistogram:
        histogram = StreamingHistogram()
        histogram.add(batch)
        return histogram

    def merge(self, summary: StreamingHistogram) -> None:
        self._histogram.merge(summary)

    def observe(self, batch: Array) -> None:
        self.merge(self.summarise(batch))

    def result(self) -> Range:
        _require_values(self._histogram.low)
        return _around_zero(*self._estimate(self._histogram))


class PercentileObserver(HistogramObserver):
    """Percentiles at both ends, from a streaming histogram; see `clipping.percentile_range` for the source.

    A tensor that is zero almost everywhere keeps its full range: its percentiles lie in the bins beside zero, and clip
    all that it has to say.

    Args:
        percentile: 50..100.
    """

    def __init__(self, percentile: float) -> None:
        if not 50 <= percentile <= 100:
            raise ConfigError(f"percentile is {percentile}, expected 50 to 100", hint="99.99 clips 0.01 % at each end")
        super().__init__(lambda histogram: _unless_empty(histogram, percentile_range(histogram, percentile)))


def _unless_empty(histogram: StreamingHistogram, found: Range) -> Range:
    low, high = found
    return found if max(-low, high) > histogram.width else (histogram.low, histogram.high)


class MseObserver(HistogramObserver):
    """The range with the least squared quantisation error; see `clipping.mse_range` for the source."""

    def __init__(self) -> None:
        super().__init__(mse_range)


class EntropyObserver(HistogramObserver):
    """The clipping with the least KL divergence; see `clipping.entropy_range` for the source."""

    def __init__(self) -> None:
        super().__init__(entropy_range)


def make_observer(recipe: CalibrationRecipe) -> RangeObserver:
    """Return a fresh observer of the recipe's estimator.

    Raises:
        ConfigError: The estimator is unknown, or its parameter out of range.
    """
    if recipe.estimator == "minmax":
        return MinMaxObserver()
    if recipe.estimator == "moving_average":
        return MovingAverageObserver(recipe.momentum)
    if recipe.estimator == "percentile":
        return PercentileObserver(recipe.percentile)
    if recipe.estimator == "mse":
        return MseObserver()
    if recipe.estimator == "entropy":
        return EntropyObserver()
    raise unknown_name("range estimator", recipe.estimator, ESTIMATORS)


def _require_values(low: float) -> None:
    if not math.isfinite(low):
        raise ConfigError("a range observer was asked for its result before it saw a value")


def _around_zero(low: float, high: float) -> Range:
    _require_values(low)
    return min(low, 0.0), max(high, 0.0)
