"""Cutting regions out of feature maps, each to the same number of cells: pure numpy.

Regions are (x1, y1, x2, y2) in half-open pixels of the network's input; a cell of the features is `stride` of them.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

AT_ONCE = 1 << 24
"""Numbers that an intermediate array of `align` may hold: regions are pooled so many at a time."""


def align(
    features: Array, regions: Array, *, stride: float = 1.0, size: Tuple[int, int] = (7, 7), samples: int = 2
) -> Array:
    """Return regions of features by sampling between cells, without rounding: float32 (n, rows, columns, C).

    Each cell of a region is the mean of `samples` x `samples` points, spread evenly in it; the value at a point is
    interpolated between the centres of the four nearest cells, and beyond the border it is the border's.

    Both are sums of products along rows and along columns, so two multiplications by small matrices do it all. Source:
    He, Gkioxari, Dollár, Girshick 2017, "Mask R-CNN", section 3, with half-pixel centres.

    Args:
        features: float (H, W, C).
        regions: (n, 4).
        stride: Input pixels between two cells.
        size: Rows and columns of the result.
        samples: Points along each side of a cell.
    """
    values, boxes = np.asarray(features, np.float32), np.asarray(regions, np.float32).reshape(-1, 4) / stride
    height, width, channels = values.shape
    down = _weights(boxes[:, 1], boxes[:, 3], size[0], height, samples)
    across = _weights(boxes[:, 0], boxes[:, 2], size[1], width, samples)
    flat = values.reshape(height, width * channels)
    found = np.empty((len(boxes), *size, channels), np.float32)
    step = max(1, AT_ONCE // (size[0] * width * channels))
    for start in range(0, len(boxes), step):
        part = slice(start, start + step)
        rows = (down[part].reshape(-1, height) @ flat).reshape(-1, size[0], width, channels)
        found[part] = np.matmul(across[part][:, None], rows)
    return found


def maxima(features: Array, regions: Array, *, stride: float = 1.0, size: Tuple[int, int] = (7, 7)) -> Array:
    """Return regions of features as the maxima of their cells: float32 (n, rows, columns, C).

    A region is widened to whole cells, and divided into parts that overlap by a cell where they do not divide evenly.
    Source: Girshick 2015, "Fast R-CNN", section 2.1; there corners are rounded to the nearest cell instead.

    Args:
        features: float (H, W, C).
        regions: (n, 4).
        stride: Input pixels between two cells.
        size: Rows and columns of the result.
    """
    values, boxes = np.asarray(features, np.float32), np.asarray(regions, np.float32).reshape(-1, 4) / stride
    found = np.empty((len(boxes), *size, values.shape[2]), np.float32)
    for index, (left, top, right, bottom) in enumerate(boxes.tolist()):
        rows, columns = _parts(top, bottom, size[0], values.shape[0]), _parts(left, right, size[1], values.shape[1])
        bands = [values[start:stop, columns[0][0] : columns[-1][1]].max(axis=0) for start, stop in rows]
        band, origin = np.stack(bands), columns[0][0]
        for place, (start, stop) in enumerate(columns):
            found[index, :, place] = band[:, start - origin : stop - origin].max(axis=1)
    return found


def stacked(pooled: Array, count: int) -> Array:
    """Return regions (n, rows, columns, C) one below the other: (count * rows, columns, C), zeros where there is none.

    A network with a batch of one reads `count` regions so: a convolution whose kernel and stride are a region's size
    is the dense layer of each.
    """
    rows, columns, channels = pooled.shape[1:]
    found = np.zeros((count * rows, columns, channels), np.float32)
    found[: len(pooled) * rows] = pooled[:count].reshape(-1, columns, channels)
    return found


def _weights(low: Array, high: Array, parts: int, size: int, samples: int) -> Array:
    """How much each of `size` cells counts in each of `parts` of the spans from low to high: (n, parts, size)."""
    steps = (np.arange(parts * samples, dtype=np.float32) + 0.5) / (parts * samples)
    points = low[:, None] + (high - low)[:, None] * steps
    places = np.clip(points - 0.5, 0.0, size - 1)[..., None]
    near = np.maximum(0.0, 1.0 - np.abs(places - np.arange(size, dtype=np.float32)))
    return np.asarray(near.reshape(len(low), parts, samples, size).mean(axis=2), np.float32)


def _parts(low: float, high: float, parts: int, size: int) -> List[Tuple[int, int]]:
    """Start and stop, of at least one cell each, of the parts of a span that is widened to whole cells."""
    first = min(max(int(np.floor(low)), 0), size - 1)
    last = max(min(int(np.ceil(high)), size), first + 1)
    length = last - first
    return [(first + index * length // parts, first - (-(index + 1) * length // parts)) for index in range(parts)]
