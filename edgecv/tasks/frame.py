"""What preprocessing did to one image: the matrix between pixels of the image and pixels of the model's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.values.specs import Preprocessing

Array = NDArray[Any]
Window = Tuple[int, int, int, int]
"""A part of the input: (x1, y1, x2, y2) in whole pixels, half-open."""


@dataclass(frozen=True)
class Frame:
    """How an image lies in the model's input.

    Coordinates are (x, y) in half-open pixels: pixel i covers i to i + 1, so its centre is at i + 0.5.

    Attributes:
        size: (height, width) of the image.
        input_size: (height, width) of the model's input.
        matrix: ((a, b, c), (d, e, f)): an image point (x, y) is at (a x + b y + c, d x + e y + f) of the input.
    """

    size: Tuple[int, int]
    input_size: Tuple[int, int]
    matrix: Tuple[Tuple[float, float, float], Tuple[float, float, float]]

    def to_input(self, points: Array) -> Array:
        """Return image points (..., 2) as points of the input, float64."""
        return _apply(np.asarray(self.matrix, np.float64), points)

    def to_image(self, points: Array) -> Array:
        """Return points of the input (..., 2) as image points, float64. Inverse of `to_input`."""
        return _apply(self._inverse(), points)

    def then(self, matrix: Array) -> Frame:
        """Return the frame of an input that is moved by a (2, 3) matrix, after preprocessing placed the image in it."""
        moved = _square(np.asarray(matrix, np.float64)) @ _square(np.asarray(self.matrix, np.float64))
        return Frame(self.size, self.input_size, _rows(moved))

    def _inverse(self) -> Array:
        return np.asarray(np.linalg.inv(_square(np.asarray(self.matrix, np.float64)))[:2])


@dataclass(frozen=True)
class Piece:
    """One image of several that share an input.

    Attributes:
        truth: Of the image, in its coordinates.
        frame: From the image to the whole input.
        window: The part of the input that shows the image.
    """

    truth: Any
    frame: Frame
    window: Window


def frame_of(preprocessing: Optional[Preprocessing], size: Tuple[int, int], input_size: Tuple[int, int]) -> Frame:
    """Return where an image of `size` (height, width) lies in an input of `input_size`.

    Sizes and offsets are whole pixels, exactly those of `edgecv.runtime.image`. Without preprocessing nothing moves.
    """
    (rows, columns), (height, width) = size, input_size
    if preprocessing is None:
        return Frame(size, input_size, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    if preprocessing.resize == "stretch":
        return _scaled(size, input_size, input_size, (0, 0), (0, 0))
    if preprocessing.resize == "center_crop":
        kept = crop_size(size, input_size)
        return _scaled(size, input_size, input_size, ((rows - kept[0]) // 2, (columns - kept[1]) // 2), (0, 0), kept)
    inside = size if preprocessing.resize == "pad" else letterbox_size(size, input_size)
    return _scaled(size, input_size, inside, (0, 0), ((height - inside[0]) // 2, (width - inside[1]) // 2))


def letterbox_size(size: Tuple[int, int], input_size: Tuple[int, int]) -> Tuple[int, int]:
    """Return the largest size of the image's aspect within the input's, rounded to whole pixels, half up."""
    (rows, columns), (height, width) = size, input_size
    if rows * width >= columns * height:
        return height, max(1, (2 * columns * height + rows) // (2 * rows))
    return max(1, (2 * rows * width + columns) // (2 * columns)), width


def crop_size(size: Tuple[int, int], input_size: Tuple[int, int]) -> Tuple[int, int]:
    """Return the largest window of the input's aspect within the image. Source: Keras, `smart_resize`."""
    (rows, columns), (height, width) = size, input_size
    return max(1, min(rows, columns * height // width)), max(1, min(columns, rows * width // height))


def _scaled(
    size: Tuple[int, int],
    input_size: Tuple[int, int],
    placed: Tuple[int, int],
    cut: Tuple[int, int],
    offset: Tuple[int, int],
    kept: Optional[Tuple[int, int]] = None,
) -> Frame:
    """Frame of an image of which a window of `kept` at `cut` is resized to `placed` and put at `offset`; all (y, x)."""
    window = kept or size
    down, across = placed[0] / window[0], placed[1] / window[1]
    return Frame(
        size,
        input_size,
        ((across, 0.0, offset[1] - across * cut[1]), (0.0, down, offset[0] - down * cut[0])),
    )


def _apply(matrix: Array, points: Array) -> Array:
    values = np.asarray(points, np.float64)
    return np.asarray(values @ matrix[:, :2].T + matrix[:, 2])


def _square(matrix: Array) -> Array:
    return np.vstack([matrix, [0.0, 0.0, 1.0]])


def _rows(square: Array) -> Tuple[Tuple[float, float, float], Tuple[float, float, float]]:
    (a, b, c), (d, e, f) = square[:2].tolist()
    return (a, b, c), (d, e, f)
