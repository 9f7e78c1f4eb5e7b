"""What there is to know of a data set's truths: how often labels come, and how values spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Spread:
    """The distribution of one value, in its own unit; `std` is of the population."""

    min: float
    mean: float
    std: float
    max: float


@dataclass(frozen=True)
class Description:
    """The truths of one split; what a kind of truth does not have is left empty.

    Attributes:
        counts: Per label or identity: samples of a class, positive samples of a label, or objects. None where nothing
            is counted.
        measures: What `spread` tells of, by name.
        spread: One per measure; empty without a value of each.
        shares: Each class's share of the pixels that have a class.
        ignored: Share of all pixels that have none.
    """

    counts: Optional[Tuple[int, ...]] = None
    measures: Tuple[str, ...] = ()
    spread: Tuple[Spread, ...] = ()
    shares: Tuple[float, ...] = ()
    ignored: float = 0.0


def counted(values: Any, labels: Sequence[str]) -> Tuple[int, ...]:
    """Return how often each index is among `values`, whole numbers >= 0; zeros for labels that never come."""
    return tuple(np.bincount(np.asarray(values, np.int64).reshape(-1), minlength=len(labels)).tolist())


def spread(measures: Mapping[str, Any]) -> Tuple[Spread, ...]:
    """Return the distribution of each measure's values (n,); nothing when one has none."""
    exact = [np.asarray(values, np.float64).reshape(-1) for values in measures.values()]
    if not all(values.size for values in exact):
        return ()
    return tuple(Spread(float(c.min()), float(c.mean()), float(c.std()), float(c.max())) for c in exact)


def measured(measures: Mapping[str, Any], counts: Optional[Tuple[int, ...]] = None) -> Description:
    """Return the description of truths with values (n,) under the name of what they measure."""
    return Description(counts=counts, measures=tuple(measures), spread=spread(measures))
