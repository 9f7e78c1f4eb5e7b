"""Taking maps from one grid of pixels to another through a frame: answers to the image, truths to the input.

Pixel i covers i to i + 1 and its value stands at its centre, in every grid alike. Pure numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.frame import Frame

Array = NDArray[Any]
NOWHERE = -1
"""Label of a pixel of the input that shows no image; it does not count."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the pixels of one map lie in another, of `size` (height, width).

    Attributes:
        y: Of each pixel centre, float64: (H, 1) when rows stay rows, else (H, W).
        x: Likewise, (1, W) or (H, W).
        size: Of the other map.
    """

    y: Array
    x: Array
    size: Tuple[int, int]


def image_in_output(frame: Optional[Frame], output_size: Tuple[int, int], covers: Sequence[float] = ()) -> Grid:
    """Return where the image's pixels lie in an output of a size of its own.

    Args:
        frame: How the image lies in the input. Without one the image is the output itself.
        output_size: (height, width).
        covers: The box (x1, y1, x2, y2) of the input that the output is about; empty for the whole input.
    """
    if frame is None:
        return _grid(output_size, np.eye(2, 3), output_size)
    left, top, right, bottom = covers or (0.0, 0.0, frame.input_size[1], frame.input_size[0])
    matrix = np.array(frame.matrix, np.float64)
    matrix[:, 2] -= (left, top)
    scale = [[output_size[1] / (right - left)], [output_size[0] / (bottom - top)]]
    return _grid(frame.size, matrix * scale, output_size)


def input_in_image(frame: Frame) -> Grid:
    """Return where the pixels of the model's input lie in the image."""
    square = np.vstack([np.asarray(frame.matrix, np.float64), [0.0, 0.0, 1.0]])
    return _grid(frame.input_size, np.linalg.inv(square)[:2], frame.size)


def nearest(values: Array, grid: Grid, outside: Optional[int] = None) -> Array:
    """Return the value (H, W) of the pixel in which each point lies.

    Args:
        values: (h, w), the grid's size.
        grid: The points.
        outside: Value of points beyond the edge; None takes the nearest pixel.
    """
    (height, width), rows, columns = grid.size, _cell(grid.y), _cell(grid.x)
    found = values[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    if outside is None:
        return np.asarray(found)
    return np.where(inside(grid), found, outside)


def best_class(scores: Array, grid: Grid) -> Array:
    """Return the class (H, W) with the largest score at each point, int32; of equal ones the first.

    Scores are interpolated bilinearly, and beyond the edge they are those of the edge.

    Args:
        scores: float32 (h, w, K), the grid's size.
        grid: The points.
    """
    if _is_whole(grid):
        return np.asarray(scores.argmax(axis=-1), np.int32)
    # Class by class, so that K maps of the image's size never stand in memory at once.
    planes = np.ascontiguousarray(np.moveaxis(scores, -1, 0), np.float32)
    interpolate = _Bilinear(grid)
    top = interpolate(planes[0])
    found = np.zeros(top.shape, np.int32)
    for index in range(1, len(planes)):
        value = interpolate(planes[index])
        better = value > top
        np.copyto(found, index, where=better)
        np.copyto(top, value, where=better)
    return found


def bilinear(values: Array, grid: Grid) -> Array:
    """Return the interpolated values (H, W, C) at each point, float32; beyond the edge they are those of the edge.

    Args:
        values: (h, w, C), the grid's size.
        grid: The points.
    """
    planes = np.moveaxis(np.asarray(values, np.float32), -1, 0)
    if _is_whole(grid):
        return np.ascontiguousarray(np.moveaxis(planes, 0, -1))
    interpolate = _Bilinear(grid)
    return np.stack([interpolate(np.ascontiguousarray(plane)) for plane in planes], axis=-1)


def inside(grid: Grid) -> Array:
    """Return whether each point lies on the other map, bool (H, W)."""
    rows, columns = _cell(grid.y), _cell(grid.x)
    return np.asarray((rows >= 0) & (rows < grid.size[0]) & (columns >= 0) & (columns < grid.size[1]))


class _Bilinear:
    """Interpolation of any number of maps at the same points."""

    def __init__(self, grid: Grid) -> None:
        self._separable = grid.y.shape[1] == 1 and grid.x.shape[0] == 1
        self._top, self._bottom, self._down = _neighbours(grid.y, grid.size[0])
        self._left, self._right, self._along = _neighbours(grid.x, grid.size[1])

    def __call__(self, plane: Array) -> Array:
        if self._separable:
            # Along the rows first, while there are few of them.
            left, right = self._left[0], self._right[0]
            wide = _mix(np.take(plane, left, axis=1), np.take(plane, right, axis=1), self._along)
            top, bottom = self._top[:, 0], self._bottom[:, 0]
            return _mix(np.take(wide, top, axis=0), np.take(wide, bottom, axis=0), self._down)
        upper = _mix(plane[self._top, self._left], plane[self._top, self._right], self._along)
        lower = _mix(plane[self._bottom, self._left], plane[self._bottom, self._right], self._along)
        return _mix(upper, lower, self._down)


def _mix(first: Array, second: Array, weight: Array) -> Array:
    second -= first
    second *= weight
    second += first
    return second


def _neighbours(points: Array, size: int) -> Tuple[Array, Array, Array]:
    """Pixels before and behind each point, and the weight of the one behind, float32."""
    before = np.floor(points - 0.5)
    weight = (points - 0.5 - before).astype(np.float32)
    return _clipped(before, size), _clipped(before + 1, size), weight


def _clipped(values: Array, size: int) -> Array:
    return np.clip(values, 0, size - 1).astype(np.intp)


def _cell(points: Array) -> Array:
    # Rounding must not push a point over the edge of its pixel: 1e-9 is far below any pixel that matters.
    return np.floor(points + 1e-9).astype(np.intp)


def _grid(size: Tuple[int, int], matrix: Array, other: Tuple[int, int]) -> Grid:
    """Where the pixels of a map of `size` lie in the `other`, by the matrix from the one to the other."""
    rows, columns = np.arange(size[0])[:, None] + 0.5, np.arange(size[1])[None, :] + 0.5
    (a, b, c), (d, e, f) = matrix.tolist()
    x = a * columns + c if b == 0.0 else a * columns + b * rows + c
    y = e * rows + f if d == 0.0 else d * columns + e * rows + f
    return Grid(y, x, other)


def _is_whole(grid: Grid) -> bool:
    """Whether the points are the other map's own pixel centres."""
    height, width = grid.size
    if grid.y.shape != (height, 1) or grid.x.shape != (1, width):
        return False
    return bool(
        np.allclose(grid.y[:, 0], np.arange(height) + 0.5, rtol=0, atol=1e-6)
        and np.allclose(grid.x[0], np.arange(width) + 0.5, rtol=0, atol=1e-6)
    )
