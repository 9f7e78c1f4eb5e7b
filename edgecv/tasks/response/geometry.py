"""Where the values of a map lie in the input: sizes, padding and windows of convolutions. Pure numbers.

Source: TensorFlow, "Notes on padding combination operations", of tf.nn: VALID gives floor((n - k) / s) + 1 values, SAME
ceil(n / s), with the odd pixel of padding after the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError

Array = NDArray[Any]
Padding = Literal["valid", "same"]
Size = Tuple[int, int]


@dataclass(frozen=True)
class ResponseSettings:
    """How a map lies over the input.

    Attributes:
        window: (height, width) of the input pixels that one value sees, dilation included.
        stride: Input pixels between two values.
        padding: "valid" or "same".
        answer: What a prediction is about: the "maps", or the "peak" of each, the window with the largest value.
    """

    window: Size = (1, 1)
    stride: int = 1
    padding: Padding = "same"
    answer: Literal["maps", "peak"] = "maps"

    def __post_init__(self) -> None:
        if min(*self.window, self.stride) < 1:
            raise ConfigError(f"window and stride are >= 1, got {self.window} and {self.stride}")


def output_size(count: int, kernel: int, stride: int, padding: Padding) -> int:
    """Return how many values a convolution gives along an axis of `count` pixels; 0 where none fits."""
    if padding == "same":
        return -(-count // stride)
    return max(0, (count - kernel) // stride + 1)


def pad_before(count: int, kernel: int, stride: int, padding: Padding) -> int:
    """Return the pixels of padding before the first one."""
    if padding == "valid":
        return 0
    return max((output_size(count, kernel, stride, padding) - 1) * stride + kernel - count, 0) // 2


def map_size(size: Size, settings: ResponseSettings) -> Size:
    """Return (height, width) of a map over an input of `size`."""
    sides = (output_size(n, k, settings.stride, settings.padding) for n, k in zip(size, settings.window))
    height, width = sides
    return height, width


def window_of(place: Size, size: Size, settings: ResponseSettings) -> Tuple[float, float, float, float]:
    """Return the window (x1, y1, x2, y2) in input pixels that the value at `place` (row, column) sees.

    Args:
        place: In the map.
        size: (height, width) of the input.
        settings: Of the head.
    """
    top, left = (
        place[axis] * settings.stride - pad_before(size[axis], settings.window[axis], settings.stride, settings.padding)
        for axis in (0, 1)
    )
    return float(left), float(top), float(left + settings.window[1]), float(top + settings.window[0])


def peak_place(values: Array) -> Size:
    """Return (row, column) of the largest value of a map (H, W): the first one, row by row, of equal ones."""
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(row), int(column)
