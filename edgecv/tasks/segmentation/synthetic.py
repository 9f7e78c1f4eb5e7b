"""Random label maps, for tests and for files without data."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BLOBS = 6


def blobs(rng: np.random.Generator, size: Tuple[int, int], classes: int, ignore_index: Optional[int] = None) -> Array:
    """Return ellipses of random classes on class 0, uint8 (height, width); one is void where there is an index for it.

    Args:
        rng: Of places, sizes and classes.
        size: (height, width).
        classes: 2..256.
        ignore_index: 0..255, of one small blob; None for none.
    """
    labels = np.zeros(size, np.uint8)
    for _ in range(BLOBS):
        labels[_ellipse(rng, size, largest=0.35)] = rng.integers(1, classes)
    if ignore_index is not None:
        labels[_ellipse(rng, size, largest=0.15)] = ignore_index
    return labels


def _ellipse(rng: np.random.Generator, size: Tuple[int, int], *, largest: float) -> Array:
    """Whether each pixel lies in an ellipse whose half axes are up to a share of the sides: bool (H, W)."""
    height, width = size
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    down, across = (max(1.0, side * rng.uniform(0.3 * largest, largest)) for side in size)
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width)[None, :] + 0.5
    return np.asarray(((rows - y) / down) ** 2 + ((columns - x) / across) ** 2 <= 1.0)
