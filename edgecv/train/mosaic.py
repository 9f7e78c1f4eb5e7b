"""Training samples made of four images: more objects at once, smaller, and before other backgrounds.

Source: Bochkovskiy, Wang, Liao 2020, "YOLOv4: Optimal Speed and Accuracy of Object Detection", section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgecv.core.errors import ConfigError
from edgecv.tasks.frame import Window
from edgecv.tasks.registry import TASKS, task_of
from edgecv.values.specs import ModelSpec

IMAGES = 4
NEAREST_EDGE = 0.25
"""The point where four images meet is no nearer to an edge of the input than this share of its side."""

Matrix = npt.NDArray[np.float64]


def check_mosaic(spec: ModelSpec) -> None:
    """Raise ConfigError unless samples of a model can be made of four images."""
    able = [name for name, task in TASKS if task.joins]
    for head in spec.heads:
        if not task_of(head).joins:
            raise ConfigError(
                f"mosaic: head '{head.name}' is for {head.task}, whose truth is about an image as a whole",
                hint=f"leave mosaic out; images are joined for {', '.join(able)}",
            )
    if len(spec.inputs) != 1 or spec.input.preprocessing is None:
        raise ConfigError(
            f"mosaic joins images, and '{spec.name}' takes {', '.join(one.name for one in spec.inputs)}",
            hint="leave mosaic out of the recipe",
        )


def quarters(size: tuple[int, int], rng: np.random.Generator) -> list[tuple[Window, Matrix]]:
    """Return the windows of four images, and the matrix (2, 3) that takes each image, as large as the input, there.

    An image is shrunk evenly, to a size from that at which it just covers its window up to its own, and lies so that
    the window is full; what is beyond is cut off.

    Args:
        size: (height, width) of the input.
        rng: Draws the point where the windows meet, then a size and a place for each.
    """
    height, width = size
    share = rng.uniform(NEAREST_EDGE, 1.0 - NEAREST_EDGE, 2)
    y, x = round(height * float(share[0])), round(width * float(share[1]))
    windows = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
    return [(window, _placed(window, size, rng)) for window in windows]


def _placed(window: Window, size: tuple[int, int], rng: np.random.Generator) -> Matrix:
    left, top, right, bottom = window
    least = max((right - left) / size[1], (bottom - top) / size[0])
    scale = float(rng.uniform(least, 1.0))
    across, down = rng.random(2)
    return np.array(
        [
            [scale, 0.0, left - float(across) * (scale * size[1] - (right - left))],
            [0.0, scale, top - float(down) * (scale * size[0] - (bottom - top))],
        ]
    )


def drawn(how: float, count: int, others: int, rng: np.random.Generator) -> list[Sequence[int]]:
    """Return for each of `count` samples the three of `others` that join it in a mosaic; none where it is plain."""
    return [
        rng.integers(others, size=IMAGES - 1).tolist() if is_mosaic else [] for is_mosaic in rng.random(count) < how
    ]
