"""A histogram of values as they stream by, in memory that does not grow with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgecv.core.errors import DataError

Array = np.ndarray[Any, Any]
BINS = 4096
"""Bins on each side of zero."""
_LOWEST_EXPONENT = -120
_CHUNK = 1 << 15
"""Values binned at a time: their doubles and bins stay in a core's cache."""


def finite_range(batch: Array) -> tuple[float, float]:
    """Return the smallest and largest value of a batch.

    Raises:
        DataError: It is empty, or holds NaN or infinity.
    """
    if batch.size == 0:
        raise DataError("a range observer got an empty batch")
    low, high = float(batch.min()), float(batch.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataError(f"calibration met non-finite values (range {low} to {high})", hint="check the data and weights")
    return low, high


class StreamingHistogram:
    """Counts of values in bins of one width, 2**exponent, anchored at zero.

    The width doubles when a value falls outside, merging neighbours: bin i becomes bin floor(i / 2), which is where
    its values would have gone with the new width. So the counts depend on the values alone, neither on their order
    nor on how they were cut into batches, and the memory is 2 * BINS counts. At most half of the bins of the
    longer side are empty, so a bin is no wider than 1/2048 of the largest magnitude.

    Attributes:
        counts: int64 (2 * BINS,); bin i holds values in [(i - BINS) * width, (i - BINS + 1) * width).
        low: Smallest value seen; +inf before any.
        high: Largest value seen; -inf before any.
    """

    def __init__(self) -> None:
        self.counts: Array = np.zeros(2 * BINS, np.int64)
        self.low = math.inf
        self.high = -math.inf
        self._exponent = _LOWEST_EXPONENT

    @property
    def width(self) -> float:
        """Width of a bin, a power of two, in the values' unit."""
        return math.ldexp(1.0, self._exponent)

    @property
    def centers(self) -> Array:
        """Middle of each bin, float64 (2 * BINS,)."""
        return (np.arange(-BINS, BINS) + 0.5) * self.width

    @property
    def total(self) -> int:
        """Number of values seen."""
        return int(self.counts.sum())

    def add(self, batch: Array) -> None:
        """Count the values of a batch, any shape. Raises DataError when it is empty or not finite."""
        low, high = finite_range(batch)
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._fit(max(abs(low), abs(high)))
        values, per_unit = batch.reshape(-1), math.ldexp(1.0, -self._exponent)
        count = _count_positive if low >= 0.0 and batch.dtype == np.float32 else _count_signed
        for start in range(0, values.size, _CHUNK):
            count(self.counts, values[start : start + _CHUNK], per_unit)

    def merge(self, other: StreamingHistogram) -> None:
        """Count what another histogram has counted; the result is that of one histogram over both."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self._widen(other._exponent)
        self.counts += _merged_bins(other.counts, self._exponent - other._exponent)

    def _fit(self, magnitude: float) -> None:
        # Strictly below BINS * width, since the bins are half open.
        _, exponent = math.frexp(magnitude)
        self._widen(exponent - int(math.log2(BINS)) if magnitude else _LOWEST_EXPONENT)

    def _widen(self, exponent: int) -> None:
        if exponent > self._exponent:
            self.counts = _merged_bins(self.counts, exponent - self._exponent)
            self._exponent = exponent


def _count_signed(counts: Array, values: Array, per_unit: float) -> None:
    # In double, so that even subnormal values keep their sign; the factor is a power of two, thus exact.
    scaled = values.astype(np.float64)
    scaled *= per_unit
    np.floor(scaled, out=scaled)
    bins = scaled.astype(np.int64)
    bins += BINS
    counts += np.bincount(bins, minlength=2 * BINS)


def _count_positive(counts: Array, values: Array, per_unit: float) -> None:
    """Count float32 values >= 0, whose sign is safe: half of the work, and most activations follow a ReLU."""
    bins = (values * np.float32(per_unit)).astype(np.int64)
    counts[BINS:] += np.bincount(bins, minlength=BINS)


def _merged_bins(counts: Array, doublings: int) -> Array:
    """Return the counts for bins that are 2**doublings times as wide."""
    if not doublings:
        return counts
    bins = np.arange(-BINS, BINS) >> min(doublings, 62)
    return np.bincount(bins + BINS, weights=counts, minlength=2 * BINS).astype(np.int64)
