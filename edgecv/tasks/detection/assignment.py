"""Which anchor answers for which object, for training: pure numpy.

Sources: Redmon, Farhadi 2018, "YOLOv3", section 2.1: an object is its best anchor's, in the cell of its centre. Liu et
al. 2016, "SSD", section 2.2: an object is every anchor's that overlaps it enough, and its best one's in any case.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection.settings import DetectionSettings

Array = NDArray[Any]
Size = Tuple[int, int]

BACKGROUND, IGNORED = -1.0, -2.0
"""Codes of anchors without an object: whose objectness is to be low, and whose answer does not matter."""


def grids(settings: DetectionSettings, input_size: Size) -> List[Size]:
    """Return (rows, columns) of each scale for an input of (height, width)."""
    return [(round(input_size[0] / stride), round(input_size[1] / stride)) for stride in settings.strides]


def anchor_boxes(settings: DetectionSettings, input_size: Size) -> Array:
    """Return the anchors of all scales where they stand, xyxy float32 (N, 4), input pixels: cell by cell."""
    found = []
    for (rows, columns), stride, sides in zip(grids(settings, input_size), settings.strides, settings.anchors):
        y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
        centre = np.stack([x, y], axis=-1).reshape(-1, 1, 2) * stride
        half = np.asarray(sides, np.float64)[None] / 2
        found.append(np.concatenate([centre - half, centre + half], axis=-1).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)


def assigned(objects: Objects, settings: DetectionSettings, input_size: Size) -> Array:
    """Return for every anchor of all scales what it answers for: float32 (N, 5).

    The first four are its object's box, xyxy in input pixels, 0 without one; the fifth is the object's class,
    `BACKGROUND` or `IGNORED`.

    Args:
        objects: In input coordinates, inside the input. Crowds are no objects, and what lies in them is ignored.
        settings: Of the head.
        input_size: (height, width) of the model's input.
    """
    anchors = anchor_boxes(settings, input_size)
    made = np.zeros((len(anchors), 5), np.float32)
    made[:, 4] = BACKGROUND
    crowd = np.asarray(objects.crowd)
    if crowd.any():
        covered = boxes.intersection(anchors, objects.xyxy[crowd]) / np.maximum(boxes.area(anchors), 1e-9)[:, None]
        made[covered.max(axis=1) >= 0.5, 4] = IGNORED
    single = objects[~crowd]
    if not len(single):
        return made
    overlap = boxes.iou(anchors, single.xyxy)
    made[overlap.max(axis=1) >= settings.ignore_iou, 4] = IGNORED
    pairs = (
        _by_overlap(overlap, settings) if settings.decoder in ("ssd", "rpn") else _by_cell(single, settings, input_size)
    )
    # Of two objects for one anchor the smaller one is harder to see otherwise: it comes last and stays.
    for index, rows in sorted(pairs, key=lambda pair: -float(boxes.area(single.xyxy[pair[0]]))):
        made[rows, :4] = single.xyxy[index]
        made[rows, 4] = single.class_id[index]
    return made


def _by_overlap(overlap: Array, settings: DetectionSettings) -> List[Tuple[int, Array]]:
    """Of each object the anchors that overlap no other more, and enough; and its best one."""
    bar = settings.least_match
    best = overlap.argmax(axis=1)
    enough = overlap[np.arange(len(overlap)), best] >= bar
    forced = overlap.argmax(axis=0)
    enough[forced] = False
    return [
        (index, np.append(np.flatnonzero(enough & (best == index)), forced[index])) for index in range(overlap.shape[1])
    ]


def _by_cell(objects: Objects, settings: DetectionSettings, input_size: Size) -> List[Tuple[int, Array]]:
    """Of each object the anchors most like it, in every cell whose centre may reach the object's."""
    sides = [np.asarray(scale, np.float64) for scale in settings.anchors]
    starts = np.cumsum([0, *(r * c * len(s) for (r, c), s in zip(grids(settings, input_size), sides))])
    found = []
    for index, box in enumerate(np.asarray(objects.xyxy, np.float64)):
        centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        alike = [_shape_iou(size, own) for own in sides]
        best = max(float(values.max()) for values in alike)
        rows: List[int] = []
        for place, ((down, across), stride) in enumerate(zip(grids(settings, input_size), settings.strides)):
            chosen = np.flatnonzero((alike[place] >= settings.least_match) | (alike[place] >= best))
            reach = settings.scale_xy[place] if settings.scale_xy else 1.0
            for y, x in _cells(centre / stride, (reach - 1.0) / 2.0, (down, across)):
                first = int(starts[place]) + (y * across + x) * len(sides[place])
                rows += [first + int(anchor) for anchor in chosen]
        found.append((index, np.asarray(rows, np.int64)))
    return found


def _cells(at: Array, beyond: float, grid: Size) -> List[Tuple[int, int]]:
    """Cells (y, x) from which a centre `at`, in cells, is at most `beyond` outside; its own cell first of all."""
    ranges = []
    for value, count in ((at[1], grid[0]), (at[0], grid[1])):
        own = min(int(value), count - 1)
        near = [n for n in (own - 1, own, own + 1) if n == own or -beyond < value - n < 1.0 + beyond]
        ranges.append([n for n in near if 0 <= n < count])
    return [(y, x) for y in ranges[0] for x in ranges[1]]


def _shape_iou(size: Array, anchors: Array) -> Array:
    """IoU of a box with anchors of the same centre."""
    shared = np.minimum(size, anchors).prod(axis=1)
    return np.asarray(shared / (size.prod() + anchors.prod(axis=1) - shared))
