"""A cascade as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Tuple

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Features:
    """The n features of a cascade: each a weighted sum of up to three rectangles of the window.

    Attributes:
        boxes: int64 (n, 3, 4): x, y, width, height in pixels of the window; zeros where there are fewer rectangles.
            A tilted one begins at its uppermost corner: its sides go `width` steps down right and `height` down left.
        weights: float32 (n, 3); 0 where there are fewer.
        tilted: bool (n,).
    """

    boxes: Array
    weights: Array
    tilted: Array

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage: t decision trees of at most m nodes, whose leaves add up.

    Attributes:
        threshold: float32; a window whose sum is below it is rejected.
        feature: int64 (t, m); unused nodes hold 0.
        split: float32 (t, m): a feature below it goes left.
        left: int64 (t, m): the next node when it is positive, else the negative of a leaf; `right` likewise.
        leaves: float32 (t, m + 1).
    """

    threshold: float
    feature: Array
    split: Array
    left: Array
    right: Array
    leaves: Array


@dataclass(frozen=True, eq=False)
class Cascade:
    """A trained cascade.

    Attributes:
        window: (height, width) that it looks at.
        features: All that its trees ask for.
        stages: In order; a window is an object when it passes all of them.
    """

    window: Tuple[int, int]
    features: Features
    stages: Tuple[Stage, ...]
