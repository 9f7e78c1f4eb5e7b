"""Integral images, and the Haar features that are computed from them. Pure numpy."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.runtime.cascade.values import Features

Array = NDArray[Any]

FEATURE_SHAPES: Mapping[str, Tuple[int, int]] = {
    "two beside each other": (1, 2),
    "two above each other": (2, 1),
    "three beside each other": (1, 3),
    "three above each other": (3, 1),
    "four": (2, 2),
}
"""The features of Viola and Jones as (rows, columns) of rectangles of one size."""


def feature_count(shape: Tuple[int, int], window: Tuple[int, int] = (24, 24)) -> int:
    """Return how many features of a shape there are in a window: at every size and every place.

    Args:
        shape: (rows, columns) of equal rectangles.
        window: (height, width), pixels.
    """
    ways = 1
    for parts, side in zip(shape, window):
        ways *= sum(side - parts * size + 1 for size in range(1, side // parts + 1))
    return ways


def integral(image: Array, dtype: Any = np.int64) -> Array:
    """Return the integral image of numbers (H, W): (H + 1, W + 1), at (y, x) the sum of all above and left.

    Whole numbers that are too large for `dtype` begin again from below; differences between places are right then too,
    as long as they fit themselves.
    """
    sums = np.zeros((image.shape[0] + 1, image.shape[1] + 1), dtype)
    np.cumsum(image, axis=0, dtype=dtype, out=sums[1:, 1:])
    np.cumsum(sums[1:, 1:], axis=1, dtype=dtype, out=sums[1:, 1:])
    return sums


def tilted_integral(image: Array, dtype: Any = np.int64) -> Array:
    """Return the integral image under 45 degrees: (H + 1, W + 1) of `dtype`, as `integral`.

    At (Y, X) it is the sum of the pixels (y, x) with y < Y and |x - X + 1| <= Y - y - 1: the cone above the pixel that
    is up left of the point. Source: Lienhart, Maydt 2002, section 2.2, the recurrence of its figure 3.
    """
    height, width = image.shape
    # One column more than is asked for: its values are those of the last one, a row before.
    sums = np.zeros((height + 1, width + 2), dtype)
    for row in range(1, height + 1):
        pixels = image[row - 1].astype(dtype)
        if row > 1:
            pixels = pixels + image[row - 2]
            pixels += sums[row - 1, :-2] + sums[row - 1, 2:] - sums[row - 2, 1:-1]
        sums[row, 1:-1] = pixels
        sums[row, 0], sums[row, -1] = sums[row - 1, 1], sums[row - 1, -2]
    return sums[:, :-1]


class FeatureSums:
    """The features of a cascade in images of one width.

    Args:
        features: Of the cascade.
        width: Of the integral images, pixels of the image + 1.
    """

    def __init__(self, features: Features, width: int) -> None:
        x, y, across, down = np.moveaxis(features.boxes, -1, 0)
        upright = [(y, x), (y, x + across), (y + down, x), (y + down, x + across)]
        turned = [(y, x), (y + down, x - down), (y + across, x + across), (y + across + down, x + across - down)]
        tilted = features.tilted[:, None]
        corners = [np.where(tilted, b * width + a, d * width + c) for (b, a), (d, c) in zip(turned, upright)]
        self._corners = np.moveaxis(np.stack(corners), 2, 1)
        self._weights, self._tilted = features.weights, features.tilted

    def values(self, chosen: Array, places: Array, sums: Array, tilted: Array) -> Array:
        """Return features of windows, float32 (windows, features), not normalised.

        Args:
            chosen: Indices of features.
            places: Of the windows' upper left corners in the flat integral images.
            sums: The integral image, flat; `tilted` likewise, which may be empty when no feature needs it.
        """
        made = np.empty((len(places), len(chosen)), np.float32)
        turned = self._tilted[chosen]
        for of, source in ((~turned, sums), (turned, tilted)):
            if of.any():
                made[:, of] = self._of(chosen[of], places, source)
        return made

    def _of(self, chosen: Array, places: Array, source: Array) -> Array:
        total = np.zeros((len(places), len(chosen)), np.float32)
        at = places[:, None]
        for rectangle in range(self._weights.shape[1]):
            weights = self._weights[chosen, rectangle]
            used = np.flatnonzero(weights)
            if not len(used):
                continue
            a, b, c, d = (at + self._corners[corner, rectangle, chosen[used]] for corner in range(4))
            area = source.take(a)
            area -= source.take(b)
            area -= source.take(c)
            area += source.take(d)
            # Where every feature has the rectangle, nothing is copied.
            columns = slice(None) if len(used) == len(chosen) else used
            total[:, columns] += weights[used] * area.astype(np.float32)
        return total
