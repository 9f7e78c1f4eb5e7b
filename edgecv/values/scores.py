"""The frozen values of how good answers are: a metric, the scores of one head on one split, and a paired drop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Mapping, Optional, Tuple

SHARE = "share"

Verdict = Literal["passed", "failed", "not shown"]
"""Of a drop against what is allowed: "not shown" where it is small enough, and its interval reaches beyond."""


@dataclass(frozen=True)
class Metric:
    """What a task is judged by.

    Attributes:
        name: "top1", "mae", "miou", …
        unit: "share" for 0..1, whose differences are told in percentage points; else the unit of the values.
        better: Which way is good.
    """

    name: str
    unit: str = SHARE
    better: Literal["higher", "lower"] = "higher"

    @property
    def is_share(self) -> bool:
        """Whether values lie in 0..1."""
        return self.unit == SHARE

    @property
    def drop_unit(self) -> str:
        """What drops are told in: "points", percentage points, of a share; else the metric's name."""
        return "points" if self.is_share else self.name

    def told(self, drop: Drop) -> Drop:
        """Return a drop in `drop_unit`."""
        factor = 100.0 if self.is_share else 1.0
        return Drop(value=factor * drop.value, ci95=(factor * drop.ci95[0], factor * drop.ci95[1]))

    def loss(self, base: float, candidate: float) -> float:
        """Return how much worse `candidate` is than `base`; negative when it is better."""
        return base - candidate if self.better == "higher" else candidate - base


@dataclass(frozen=True)
class Table:
    r"""Counts or figures with names on both sides, for a report: a confusion matrix, figures per class.

    Attributes:
        title: What it shows.
        rows: One name per row; `columns` one per column.
        cells: Row by row; None where a figure is undefined.
        corner: What rows and columns are: "true \\ predicted".
    """

    title: str
    rows: Tuple[str, ...]
    columns: Tuple[str, ...]
    cells: Tuple[Tuple[Optional[float], ...], ...]
    corner: str = ""


@dataclass(frozen=True)
class Scores:
    """How good the answers of one head are.

    Attributes:
        value: Of the task's metric.
        figures: Further figures of the whole head by name; None where undefined.
        per_label: Label or value to its own figures by name; None where undefined.
        tables: What a report shows beside the figures.
    """

    value: float
    figures: Mapping[str, Optional[float]] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, Optional[float]]] = field(default_factory=dict)
    tables: Tuple[Table, ...] = ()


@dataclass(frozen=True)
class Drop:
    """How much worse the candidate is on the same samples, in the metric's unit, with a paired 95 % interval.

    Above 0 is worse, whichever way the metric is good.
    """

    value: float
    ci95: Tuple[float, float]

    def against(self, allowed: float) -> Verdict:
        """Return whether the samples show that no more than `allowed` is lost, in the drop's unit."""
        if self.value > allowed:
            return "failed"
        return "passed" if self.ci95[1] <= allowed else "not shown"

    def samples_to_show(self, allowed: float, n: int) -> Optional[int]:
        """Return how many samples would show that no more than `allowed` is lost, if the drop stays what it is.

        An interval of n samples is as wide as 1 / sqrt(n).

        Returns:
            None when no number would: the drop is all that is allowed, or more.
        """
        room = allowed - self.value
        if room <= 0:
            return None
        return max(n, math.ceil(n * (max(self.ci95[1] - self.value, 0.0) / room) ** 2))
