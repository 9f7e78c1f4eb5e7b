"""Choosing samples that differ: cheap features of an image, and the samples that cover them best."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
GRID = 4
"""Blocks along each side of an image."""


def features(sample: Array) -> Array:
    """Return what tells samples apart: brightness, colour and contrast over a coarse grid.

    Args:
        sample: uint8 (H, W) or (H, W, C), H and W of any size; or a feature vector, any float type.

    Returns:
        float32: of an image, the mean and the standard deviation of each channel in each of 4 x 4 blocks, in grey
        levels, (32 * C,); a vector as it is.
    """
    if sample.ndim == 1:
        return sample.astype(np.float32)
    image = sample.reshape(*sample.shape[:2], -1)
    rows, columns = (_cuts(size) for size in image.shape[:2])
    blocks = [
        image[top : max(bottom, top + 1), left : max(right, left + 1)].reshape(-1, image.shape[2])
        for top, bottom in rows
        for left, right in columns
    ]
    found: Array = np.concatenate([part for block in blocks for part in (block.mean(axis=0), block.std(axis=0))])
    return found.astype(np.float32)


def _cuts(size: int) -> list[tuple[int, int]]:
    return [(size * i // GRID, size * (i + 1) // GRID) for i in range(GRID)]


def farthest_first(points: Array, count: int, first: int) -> Array:
    """Return `count` points, each the farthest from those before it: a cover at most twice as wide as the best one.

    Args:
        points: Float (n, d), n >= count.
        count: At least 1.
        first: Index to start from.

    Returns:
        int64 indices (count,), in the order of choice; of equally far points the first. Points that are equal to
        chosen ones come last.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance", section 3; as a core-set of a
    data set, Sener & Savarese 2018 (arXiv 1708.00489), algorithm 1.
    """
    places = np.asarray(points, np.float64)
    chosen, distance = [first], np.full(len(places), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.square(places - places[chosen[-1]]).sum(axis=1))
        # Below every distance, so that a point is taken once even where all are equal.
        distance[chosen[-1]] = -1.0
        chosen.append(int(np.argmax(distance)))
    return np.array(chosen, np.int64)
