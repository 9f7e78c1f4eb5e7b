"""Between boxes in image pixels and the four numbers a network says: pure numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks import boxes
from edgecv.tasks.frame import Frame

if TYPE_CHECKING:
    from edgecv.tasks.localisation.task import LocalisationSettings

Array = NDArray[Any]


def encoded(xyxy: Array, settings: LocalisationSettings, frame: Optional[Frame]) -> Array:
    """Return what the network should say of one box: float32 (4,).

    Args:
        xyxy: (4,), image pixels; in 0..1 of the input without a frame.
        settings: Which numbers those are.
        frame: From image to input. What leaves the input is cut off; of a box beyond it a line at the border is left.
    """
    unit = np.asarray(xyxy, np.float64)
    if frame is not None:
        height, width = frame.input_size
        unit = boxes.clip(boxes.to_input(unit, frame), frame.input_size) / [width, height, width, height]
    values = boxes.convert(unit, "xyxy", settings.box)
    if settings.sqrt:
        values[2:] = np.sqrt(values[2:])
    return np.asarray(values, np.float32)


def decoded(values: Array, settings: LocalisationSettings, frames: Sequence[Optional[Frame]]) -> Array:
    """Return boxes xyxy from what the network says: float32 (n, 4), image pixels, clipped to their images.

    Args:
        values: (n, 4). Corners in the wrong order are swapped, and sizes below 0 are 0.
        settings: Which numbers those are.
        frames: Of each; None leaves a box in 0..1 of the input.
    """
    unit = _corners(np.asarray(values, np.float64), settings)
    found = np.empty(unit.shape, np.float32)
    for index, frame in enumerate(frames):
        if frame is None:
            found[index] = np.clip(unit[index], 0.0, 1.0)
            continue
        height, width = frame.input_size
        placed = boxes.to_image(unit[index] * [width, height, width, height], frame)
        found[index] = boxes.clip(placed, frame.size)
    return found


def _corners(values: Array, settings: LocalisationSettings) -> Array:
    if settings.box == "xyxy":
        return np.concatenate([np.minimum(values[:, :2], values[:, 2:]), np.maximum(values[:, :2], values[:, 2:])], 1)
    sizes = np.maximum(values[:, 2:], 0.0)
    sizes = np.square(sizes) if settings.sqrt else sizes
    return boxes.convert(np.concatenate([values[:, :2], sizes], 1), settings.box, "xyxy")
