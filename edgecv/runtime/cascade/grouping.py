"""Windows that say the same thing as one, as OpenCV's `groupRectangles`. Pure numpy."""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ALIKE = 0.2
"""How far sides of windows that belong together may lie apart: a share of their mean width and height."""


def grouped(windows: Array, neighbours: int, alike: float = ALIKE) -> Tuple[Array, Array]:
    """Return the mean of each group of windows, and how many each has.

    A group that has no more than `neighbours` windows goes, and so does one inside a larger group of more than three.

    Args:
        windows: int64 (n, 4): x, y, width, height.
        neighbours: 0 returns the windows as they came.
        alike: See `ALIKE`.

    Returns:
        int64 (k, 4) and int64 (k,).
    """
    if neighbours <= 0 or not len(windows):
        return windows, np.ones(len(windows), np.int64)
    labels = _partition(windows, alike)
    sizes = np.bincount(labels)
    sums = np.stack([np.bincount(labels, weights=windows[:, axis]) for axis in range(4)], axis=1)
    share = (np.float32(1.0) / sizes.astype(np.float32))[:, None]
    means = np.rint(sums.astype(np.float32) * share).astype(np.int64)
    counts = sizes > neighbours
    kept = [
        index for index in np.flatnonzero(counts).tolist() if not _inside_another(index, means, sizes, counts, alike)
    ]
    return means[kept], sizes[kept].astype(np.int64)


def _inside_another(index: int, means: Array, sizes: Array, counts: Array, alike: float) -> bool:
    x, y, width, height = means[index]
    left, top, across, down = means.T
    slack_x, slack_y = np.rint(across * alike), np.rint(down * alike)
    inside = (x >= left - slack_x) & (y >= top - slack_y)
    inside &= (x + width <= left + across + slack_x) & (y + height <= top + down + slack_y)
    stronger = (sizes > max(3, int(sizes[index]))) | (sizes[index] < 3)
    others = np.arange(len(means)) != index
    return bool((inside & stronger & counts & others).any())


def _partition(windows: Array, alike: float) -> Array:
    """Return the number of each window's group, int64 (n,): whoever is like one of a group belongs to it."""
    x, y, width, height = windows.T
    right, bottom = x + width, y + height
    labels = np.full(len(windows), -1, np.int64)
    count = 0
    for first in range(len(windows)):
        if labels[first] >= 0:
            continue
        labels[first], pending = count, [first]
        while pending:
            one = pending.pop()
            apart = alike * (np.minimum(width, width[one]) + np.minimum(height, height[one])) * 0.5
            near = np.abs(x - x[one]) <= apart
            for side in (y, right, bottom):
                near &= np.abs(side - side[one]) <= apart
            fresh: List[int] = np.flatnonzero(near & (labels < 0)).tolist()
            labels[fresh] = count
            pending += fresh
        count += 1
    return labels
