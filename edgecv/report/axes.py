"""Axes of charts: a range of values, its ticks, and where a value lies on the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        title: With the unit.
        low: Smallest value shown, > 0 when `log`.
        high: Largest value shown, > low.
        start: Page position of `low`, in pixels.
        end: Page position of `high`, in pixels; smaller than `start` on an axis that points up.
        log: Whether it is logarithmic.
        label: How a tick is written.
    """

    title: str
    low: float
    high: float
    start: float
    end: float
    log: bool
    label: Callable[[float], str]

    def place(self, value: float) -> float:
        """Return the page position of `value`; values outside the axis are put on its end."""
        low, high, v = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, v = math.log(low), math.log(high), math.log(v)
        return self.start + (v - low) / (high - low) * (self.end - self.start)

    def ticks(self, about: int = 6) -> tuple[float, ...]:
        """Return round values within the axis, about so many of them."""
        return log_ticks(self.low, self.high, about) if self.log else linear_ticks(self.low, self.high, about)


def make_axis(
    title: str, values: Sequence[float], *, start: float, end: float, label: Callable[[float], str], log: bool = False
) -> Axis:
    """Return an axis that shows all values with a margin at both ends.

    Logarithmic only where all values are positive and within nine decades.
    """
    low, high = min(values), max(values)
    if log and low > max(_TINY, 1e-9 * high):
        factor = max((high / low) ** 0.08, 1.08)
        return Axis(title, low / factor, high * factor, start, end, True, label)
    # Neighbouring floats have no room for ticks between them.
    span = high - low if high - low > max(_TINY, 1e-9 * abs(high)) else 0.0
    # Equal values get an axis as wide as they are; zeros one of a unit, not of rounding errors.
    margin = 0.08 * span or (0.05 * abs(high) if abs(high) > _TINY else 1.0)
    return Axis(title, low - margin, high + margin, start, end, False, label)


def linear_ticks(low: float, high: float, about: int = 6) -> tuple[float, ...]:
    """Return multiples of 1, 2 or 5 times a power of ten in [low, high], about `about` of them."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(i * step for i in range(first, last + 1))


def log_ticks(low: float, high: float, about: int = 6) -> tuple[float, ...]:
    """Return the powers of ten in [low, high], and 2 and 5 times them where decades are few.

    Where fewer than three fit, the ticks are linear ones.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    multiples = (1, 2, 5) if len(powers) <= 5 else (1,)
    found = tuple(m * 10.0**p for p in powers for m in multiples if low <= m * 10.0**p <= high)
    return found if len(found) >= 3 else linear_ticks(low, high, about)
