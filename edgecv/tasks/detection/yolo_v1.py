"""YOLOv1: cells that say a class, and boxes that say how sure they are of an object. Its answers and its loss.

Source: Redmon et al. 2016, "You Only Look Once: Unified, Real-Time Object Detection", section 2 and equation 3.
"""

from __future__ import annotations

import math
from typing import Any, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.tasks.boxes import Objects, area
from edgecv.tasks.detection.settings import DetectionSettings

Array = NDArray[Any]
Size = Tuple[int, int]


def cells_a_side(values: int, classes: int, boxes_: int) -> int:
    """Return S, of outputs of S x S x (classes + 5 boxes) values in all.

    Raises:
        UnsupportedModelError: There is no such S.
    """
    each = classes + 5 * boxes_
    side = math.isqrt(max(0, values // max(1, each)))
    if side < 1 or side * side * each != values:
        raise UnsupportedModelError(
            f"YOLOv1 with {classes} classes and {boxes_} boxes a cell has S x S x {each} values, got {values}",
            hint="check labels and boxes in the head's settings",
        )
    return side


def parts(outputs: Sequence[Array], classes: int, boxes_: int) -> Tuple[int, Array, Array, Array]:
    """Return cells a side, class scores (cells, C), confidences (cells, B) and boxes (cells, B, 4).

    Raises:
        UnsupportedModelError: There are not as many values as a square of cells has.
    """
    flat = np.concatenate([np.asarray(output, np.float32).reshape(-1) for output in outputs])
    side = cells_a_side(flat.size, classes, boxes_)
    cells = side * side
    first, second = cells * classes, cells * (classes + boxes_)
    return (
        side,
        flat[:first].reshape(cells, classes),
        flat[first:second].reshape(cells, boxes_),
        flat[second:].reshape(cells, boxes_, 4),
    )


def corners(raw: Array, cell: Array, side: int, settings: DetectionSettings, input_size: Size) -> Array:
    """Return boxes as xyxy float32 (n, 4), input pixels: centres lie within cells, sizes are shares of the input.

    Args:
        raw: (n, 4), as the network says them.
        cell: Cell of each, int (n,), row by row.
        side: Cells a side.
        settings: Of the head.
        input_size: (height, width).
    """
    whole = np.array([input_size[1], input_size[0]], np.float32)
    at = np.stack([cell % side, cell // side], axis=1).astype(np.float32)
    centre = (raw[:, :2] + at) / side * whole
    size = (np.square(raw[:, 2:]) if settings.sqrt else np.maximum(raw[:, 2:], 0.0)) * whole
    return np.asarray(np.concatenate([centre - size / 2, centre + size / 2], axis=1), np.float32)


def assigned(objects: Objects, settings: DetectionSettings, input_size: Size) -> Array:
    """Return for every cell its object: float32 (cells, 5), the box as xyxy in shares of the input, then the class.

    A cell without an object has class -1. Of two objects in one cell the smaller one stays; crowds are left out.
    """
    side = round(input_size[0] / settings.strides[0])
    made = np.zeros((side * side, 5), np.float32)
    made[:, 4] = -1.0
    single = objects[~np.asarray(objects.crowd)]
    whole = np.array([input_size[1], input_size[0]] * 2, np.float64)
    for index in np.argsort(-area(single.xyxy), kind="stable"):
        unit = single.xyxy[index] / whole
        x, y = (np.minimum((unit[:2] + unit[2:]) / 2 * side, side - 1e-6)).astype(np.int64)
        made[y * side + x, :4], made[y * side + x, 4] = unit, single.class_id[index]
    return made


def loss(target: Any, outputs: Sequence[Any], settings: DetectionSettings, classes: int) -> Any:
    """Return the loss of a batch, the mean over images of equation 3: its sums over cells and boxes.

    The box of a cell that overlaps its object most answers for it, and its confidence is to be that overlap.

    Args:
        target: Of `assigned`, float32 (B, cells, 5).
        outputs: Tensors of the network, (B, …).
        settings: Of the head.
        classes: How many there are.
    """
    tf = require("tensorflow", why="to train")
    batch = tf.shape(outputs[0])[0]
    flat = tf.concat([tf.reshape(tf.cast(output, tf.float32), [batch, -1]) for output in outputs], axis=1)
    cells, count = int(target.shape[1]), settings.cell_boxes
    first, second = cells * classes, cells * (classes + count)
    said = tf.reshape(flat[:, :first], [batch, cells, classes])
    confidence = tf.reshape(flat[:, first:second], [batch, cells, count])
    raw = tf.reshape(flat[:, second:], [batch, cells, count, 4])
    held = tf.cast(target[..., 4] >= 0, tf.float32)
    side = math.isqrt(cells)
    at = np.stack([np.arange(cells) % side, np.arange(cells) // side], axis=1).astype(np.float32)
    wanted_size = target[..., 2:4] - target[..., :2]
    wanted_centre = (target[..., :2] + target[..., 2:4]) / 2 * side - at
    size = tf.square(raw[..., 2:]) if settings.sqrt else tf.maximum(raw[..., 2:], 0.0)
    overlap = tf.stop_gradient(_overlap((raw[..., :2] + at[:, None]) / side, size, target[..., :4]))
    responsible = tf.one_hot(tf.argmax(overlap, axis=-1), count) * held[..., None]
    place = tf.reduce_sum(tf.square(raw[..., :2] - wanted_centre[..., None, :]), axis=-1)
    aim = tf.sqrt(wanted_size) if settings.sqrt else wanted_size
    extent = tf.reduce_sum(tf.square(raw[..., 2:] - aim[..., None, :]), axis=-1)
    boxes_lost = settings.box_weight * tf.reduce_sum(responsible * (place + extent))
    sure = tf.reduce_sum(responsible * tf.square(confidence - overlap))
    unsure = settings.background_weight * tf.reduce_sum((1.0 - responsible) * tf.square(confidence))
    hot = tf.one_hot(tf.cast(target[..., 4], tf.int32), classes)
    named = tf.reduce_sum(held[..., None] * tf.square(said - hot))
    return (boxes_lost + sure + unsure + named) / tf.cast(batch, tf.float32)


def _overlap(centre: Any, size: Any, box: Any) -> Any:
    """IoU of each box of a cell with the cell's object: (B, cells, boxes), in shares of the input."""
    tf = require("tensorflow", why="to train")
    low, high = centre - size / 2, centre + size / 2
    sides = tf.maximum(tf.minimum(high, box[..., None, 2:]) - tf.maximum(low, box[..., None, :2]), 0.0)
    inner = sides[..., 0] * sides[..., 1]
    own = size[..., 0] * size[..., 1]
    true = tf.reduce_prod(box[..., 2:] - box[..., :2], axis=-1)[..., None]
    return tf.math.divide_no_nan(inner, own + true - inner)
