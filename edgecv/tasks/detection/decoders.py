"""From the outputs of a detector to boxes with a confidence and a class, before any is suppressed: pure numpy.

Boxes leave here as (x1, y1, x2, y2) in input pixels, float32. What cannot reach the least score is dropped before its
classes and corners are computed, which is most of the work of a decoder.

Sources: Redmon et al. 2016, "You Only Look Once"; Redmon, Farhadi 2017, "YOLO9000"; Redmon, Farhadi 2018, "YOLOv3";
Liu et al. 2016, "SSD"; Ren et al. 2015, "Faster R-CNN".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.tasks import boxes
from edgecv.tasks.detection import yolo_v1
from edgecv.tasks.detection.settings import DetectionSettings, settings_of
from edgecv.tasks.detection.tree import tree_of
from edgecv.values.specs import Head

Array = NDArray[Any]
Size = Tuple[int, int]

BAR_SLACK = np.float32(1e-3)
"""Of a logit, so that rounding drops nothing that is confident enough; what it lets through is compared once more."""
LARGEST_EXPONENT = 30.0
"""Of a size relative to its anchor: e^30 anchors are wider than any image, and still finite in float32."""


@dataclass(frozen=True)
class Candidates:
    """Boxes before suppression: xyxy float32 (n, 4) in input pixels, confidence float32 (n,), class_id int64 (n,)."""

    xyxy: Array
    confidence: Array
    class_id: Array


@dataclass(frozen=True)
class Layout:
    """Where values lie in the outputs of a head.

    Attributes:
        units: Scores of an anchor beside its objectness: classes, with the background where there is one.
        joint: Whether one output holds boxes and scores.
        flat: Whether the outputs of all scales come as rows.
    """

    units: int
    joint: bool
    flat: bool


@dataclass(frozen=True)
class Scale:
    """The raw answers of one scale: boxes (cells, anchors, 4), objectness (cells, anchors) or None, classes
    (cells, anchors or 1, units), of a grid of (rows, columns) cells.
    """

    grid: Size
    boxes: Array
    objectness: Optional[Array]
    classes: Array


def layout_of(head: Head, settings: DetectionSettings, shapes: Sequence[Tuple[int, ...]]) -> Layout:
    """Return how outputs of `shapes`, without the batch, hold boxes and scores.

    Raises:
        UnsupportedModelError: They do not fit the head.
    """
    scales, count = len(settings.anchors), len(shapes)
    own = 1 if settings.decoder in ("yolo_v2", "yolo_v3", "yolo_tree", "yolo_book") else 0
    ranks = {len(shape) for shape in shapes}
    flat = ranks == {2}
    if not (ranks == {3} or flat) or count not in ((1, 2) if flat else (scales, 2 * scales)):
        raise _misfit(head, shapes, f"{scales} or {2 * scales} maps (H, W, values), boxes before scores")
    joint = count == (1 if flat else scales)
    firsts = list(shapes) if joint else list(shapes[1::2])
    found = set()
    for place, shape in enumerate(firsts):
        anchors = 1 if flat else len(settings.anchors[place])
        found.add(_units(shape[-1], anchors, own, joint, settings.shared))
        if not joint and shapes[2 * place][-1] != 4 * anchors:
            raise _misfit(head, shapes, f"boxes of {4 * anchors} values before scores")
    wanted = units_of(head, settings)
    if len(found) != 1 or None in found or wanted not in (None, *found):
        raise _misfit(head, shapes, _expected(settings, wanted, own, joint, flat))
    (units,) = found
    return Layout(units=int(units or 0), joint=joint, flat=flat)


def units_of(head: Head, settings: DetectionSettings) -> Optional[int]:
    """Return how many class scores an anchor of the head has; None when its labels are unknown."""
    if settings.decoder == "rpn":
        return 2 if settings.background else 1
    if not head.labels:
        return None
    return len(head.labels) + (settings.decoder == "ssd" and settings.background)


def scales_of(outputs: Sequence[Array], layout: Layout, settings: DetectionSettings, input_size: Size) -> List[Scale]:
    """Return the raw answers of each scale; views of the outputs (without the batch) where that is possible."""
    found = []
    for anchors, whole, scores, grid in _pieces(outputs, layout, settings, input_size):
        cells = grid[0] * grid[1]
        own = settings.decoder.startswith("yolo")
        if settings.shared:
            side = whole if layout.joint else scores
            start = 4 * anchors if layout.joint else 0
            side = side.reshape(cells, -1)[:, start:]
            raw = whole.reshape(cells, -1)[:, : 4 * anchors].reshape(cells, anchors, 4)
            found.append(Scale(grid, raw, side[:, :anchors], side[:, None, anchors:]))
            continue
        whole = whole.reshape(cells, anchors, -1)
        rest = whole[..., 4:] if layout.joint else scores.reshape(cells, anchors, -1)
        found.append(Scale(grid, whole[..., :4], rest[..., 0] if own else None, rest[..., 1:] if own else rest))
    return found


def candidates(
    outputs: Sequence[Array],
    head: Head,
    settings: DetectionSettings,
    input_size: Size,
    least: float,
    *,
    most: Optional[int] = None,
) -> Candidates:
    """Return every box of an image whose confidence is at least `least`, one for each class that reaches it.

    Args:
        outputs: float32 in real units, without the batch.
        head: How they are read.
        settings: Of the head.
        input_size: (height, width) of the model's input.
        least: Confidence, 0..1.
        most: How many at most: the most confident, in the order in which they come. None keeps all.
    """
    if settings.decoder == "yolo_v1":
        return _best(_yolo_v1(outputs, head, settings, input_size, least), most)
    if settings.decoder == "rows":
        return _best(_rows(outputs, head, settings, input_size, least), most)
    if settings.decoder == "postprocessed":
        return _best(_postprocessed(outputs, head, settings, input_size, least), most)
    if settings.decoder == "regions":
        raise UnsupportedModelError(
            f"head '{head.name}' looks at regions that another network finds, so it cannot answer alone",
            hint="ask the bundle of both: edgecv convert MODEL.keras --out NAME.edgecv",
        )
    layout = layout_of(head, settings, [output.shape for output in outputs])
    scales = scales_of(outputs, layout, settings, input_size)
    found = [_confident(scale, head, settings, least) for scale in scales]
    if most is not None:
        # Before the corners: at a score of 0.001 most of a hundred thousand boxes are no use.
        kept = _largest(np.concatenate([confidence for _, _, confidence, _ in found]), most)
        found = _chosen(found, kept) if kept is not None else found
    parts = []
    for place, (scale, (cell, anchor, confidence, class_id)) in enumerate(zip(scales, found)):
        xyxy = corners(scale.boxes[cell, anchor], cell, anchor, scale.grid, place, settings)
        parts.append(Candidates(xyxy, confidence, class_id))
    return _joined(parts)


def corners(raw: Array, cell: Array, anchor: Array, grid: Size, place: int, settings: DetectionSettings) -> Array:
    """Return the boxes of chosen anchors as xyxy float32 (n, 4), input pixels.

    Args:
        raw: (n, 4), as the network says them.
        cell: Cell of each, int (n,), row by row of the grid.
        anchor: Anchor of each, int (n,).
        grid: (rows, columns) of the scale.
        place: Which scale it is.
        settings: Of the head.
    """
    stride = settings.strides[place]
    values = np.asarray(raw, np.float32)
    at = np.stack([cell % grid[1], cell // grid[1]], axis=1).astype(np.float32)
    sides = np.asarray(settings.anchors[place], np.float32)[anchor]
    if settings.decoder in ("ssd", "rpn"):
        if settings.box == "cycxhw":
            values = values[:, [1, 0, 3, 2]]
        centre = (at + 0.5) * stride + values[:, :2] * settings.variances[0] * sides
        size = sides * np.exp(np.minimum(values[:, 2:] * settings.variances[1], LARGEST_EXPONENT))
    else:
        reach = settings.scale_xy[place] if settings.scale_xy else 1.0
        centre = (sigmoid(values[:, :2]) * reach - (reach - 1.0) / 2.0 + at) * stride
        size = sides * np.exp(np.minimum(values[:, 2:], LARGEST_EXPONENT))
    half = size / 2
    return np.asarray(np.concatenate([centre - half, centre + half], axis=1), np.float32)


def class_probabilities(raw: Array, head: Head, settings: DetectionSettings) -> Array:
    """Return the probabilities of classes (n, classes) from raw scores (n, units), the background left out."""
    if settings.decoder == "yolo_tree":
        return tree_of(settings.parents).probabilities(raw, logits=head.activation == "logits")
    kind = {"yolo_v2": "softmax", "yolo_book": "softmax", "yolo_v3": "sigmoid"}.get(settings.decoder, settings.classes)
    if head.activation != "logits":
        values = np.clip(raw, 0.0, 1.0)
    else:
        values = softmax(raw) if kind == "softmax" else sigmoid(raw)
    return values[:, 1:] if settings.decoder in ("ssd", "rpn") and settings.background else values


def sigmoid(values: Array) -> Array:
    """Return 1 / (1 + e^-x), float32, without overflow."""
    # Below -87 the answer is less than float32 holds as a normal number, and below -88 e^-x is more than it holds.
    grown = np.exp(np.minimum(-np.asarray(values, np.float32), np.float32(87.0)))
    return np.asarray(1.0 / (1.0 + grown), np.float32)


def softmax(values: Array) -> Array:
    """Return the softmax over the last axis, float32."""
    shifted = np.exp(np.asarray(values, np.float32) - np.max(values, axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)


def _units(values: int, anchors: int, own: int, joint: bool, shared: bool) -> Optional[int]:
    """Class scores of an anchor in a map of `values`; None when it cannot be divided so."""
    if shared:
        rest = values - anchors * (own + 4 * joint)
        return rest if rest > 0 else None
    each, left = divmod(values, anchors)
    rest = each - own - 4 * joint
    return rest if left == 0 and rest > 0 else None


def _expected(settings: DetectionSettings, units: Optional[int], own: int, joint: bool, flat: bool) -> str:
    anchors = len(settings.anchors[0])
    told = "classes" if units is None else str(units)
    if settings.shared:
        return f"maps of {anchors} x {1 + 4 * joint} + {told} values"
    each = f"{own + 4 * joint} + {told}"
    return f"rows of {each} values" if flat else f"maps of {anchors} x ({each}) values"


def _misfit(head: Head, shapes: Sequence[Tuple[int, ...]], expected: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"detection head '{head.name}' ({settings_of(head).decoder}) expects {expected}; "
        f"got outputs of {', '.join(map(str, shapes))}",
        hint="name outputs, anchors, strides and labels in the spec as the network has them; see docs/detection.md",
    )


def _pieces(
    outputs: Sequence[Array], layout: Layout, settings: DetectionSettings, input_size: Size
) -> Iterator[Tuple[int, Array, Array, Size]]:
    """Of each scale: its anchors, its boxes (or everything), its scores, and its grid."""
    start = 0
    for place, (anchors, stride) in enumerate(zip(settings.anchors, settings.strides)):
        count = len(anchors)
        if not layout.flat:
            whole = outputs[place] if layout.joint else outputs[2 * place]
            scores = whole if layout.joint else outputs[2 * place + 1]
            yield count, whole, scores, (whole.shape[0], whole.shape[1])
            continue
        grid = (round(input_size[0] / stride), round(input_size[1] / stride))
        stop = start + grid[0] * grid[1] * count
        yield count, outputs[0][start:stop], outputs[-1][start:stop], grid
        start = stop


Confident = Tuple[Array, Array, Array, Array]
"""Cell, anchor, confidence and class of each answer of a scale."""


def _largest(confidence: Array, most: int) -> Optional[Array]:
    """Return where the `most` largest are, in order, the first ones of equals; None where there are no more."""
    left = len(confidence) - most
    if left <= 0:
        return None
    least = np.partition(confidence, left)[left]
    above, equal = np.flatnonzero(confidence > least), np.flatnonzero(confidence == least)
    return np.sort(np.concatenate([above, equal[: most - len(above)]]))


def _best(found: Candidates, most: Optional[int]) -> Candidates:
    kept = None if most is None else _largest(found.confidence, most)
    return found if kept is None else Candidates(found.xyxy[kept], found.confidence[kept], found.class_id[kept])


def _chosen(found: Sequence[Confident], kept: Array) -> List[Confident]:
    """Return those of each scale that are at places `kept` of all scales, which are in order."""
    starts = np.cumsum([0] + [len(one[0]) for one in found])
    edges = np.searchsorted(kept, starts)
    chosen = []
    for place, (cell, anchor, confidence, class_id) in enumerate(found):
        own = kept[edges[place] : edges[place + 1]] - starts[place]
        chosen.append((cell[own], anchor[own], confidence[own], class_id[own]))
    return chosen


def _confident(
    scale: Scale, head: Head, settings: DetectionSettings, least: float
) -> Tuple[Array, Array, Array, Array]:
    """Return cell, anchor, confidence and class of every answer of a scale that reaches `least`."""
    if scale.objectness is None:
        flat = np.asarray(scale.classes).reshape(-1, scale.classes.shape[-1])
        likely = class_probabilities(flat, head, settings)
        row, class_id = np.nonzero(likely >= least)
        cell, anchor = np.divmod(row, scale.boxes.shape[1])
        return cell, anchor, likely[row, class_id], class_id
    logits = head.activation == "logits"
    # A sigmoid is at least `least` where its argument is at least the logit of it: no sigmoid of what goes anyway.
    bar = _logit(least) if logits else least
    cell, anchor = np.nonzero(scale.objectness >= bar)
    raw = scale.objectness[cell, anchor]
    objectness = sigmoid(raw) if logits else np.clip(raw, 0.0, 1.0)
    own = scale.classes[cell, 0 if settings.shared else anchor]
    if settings.decoder == "yolo_v3" and logits:
        row, class_id, confidence = _sigmoids(own, objectness, least)
        return cell[row], anchor[row], confidence, class_id
    likely = class_probabilities(own, head, settings)
    if settings.decoder == "yolo_tree":
        best, held = tree_of(settings.parents).told(likely, settings.tree_score)
        confidence = objectness * held
        kept = np.flatnonzero(confidence >= least)
        return cell[kept], anchor[kept], confidence[kept], best[kept]
    confidence = likely * objectness[:, None]
    row, class_id = np.nonzero(confidence >= least)
    return cell[row], anchor[row], confidence[row, class_id], class_id


def _sigmoids(raw: Array, objectness: Array, least: float) -> Tuple[Array, Array, Array]:
    """Return row, class and confidence of independent classes that reach `least`: a sigmoid of those that may only."""
    with np.errstate(divide="ignore"):
        share = np.minimum(least / objectness, 1.0 - 1e-6)
        bar = np.log(share) - np.log1p(-share)
    flat = np.flatnonzero(raw >= (bar - BAR_SLACK)[:, None])  # twice as fast as two indices of each
    row, class_id = np.divmod(flat, raw.shape[1])
    confidence = sigmoid(raw.reshape(-1)[flat]) * objectness[row]
    exact = confidence >= least
    return row[exact], class_id[exact], confidence[exact]


def _logit(share: float) -> float:
    if share <= 0.0:
        return -math.inf
    return math.inf if share >= 1.0 else math.log(share / (1.0 - share)) - 1e-6


def _joined(parts: Sequence[Candidates]) -> Candidates:
    return Candidates(
        np.concatenate([part.xyxy for part in parts]).reshape(-1, 4),
        np.concatenate([part.confidence for part in parts]).astype(np.float32),
        np.concatenate([part.class_id for part in parts]).astype(np.int64),
    )


def _yolo_v1(
    outputs: Sequence[Array], head: Head, settings: DetectionSettings, input_size: Size, least: float
) -> Candidates:
    side, classes, confidence, raw = yolo_v1.parts(outputs, len(head.labels), settings.cell_boxes)
    likely = np.clip(classes[:, None, :] * confidence[:, :, None], 0.0, 1.0)
    cell, box, class_id = np.nonzero(likely >= least)
    xyxy = yolo_v1.corners(raw[cell, box], cell, side, settings, input_size)
    return Candidates(xyxy, likely[cell, box, class_id], class_id)


def _rows(
    outputs: Sequence[Array], head: Head, settings: DetectionSettings, input_size: Size, least: float
) -> Candidates:
    """Boxes and scores that the file has decoded itself, as exporters of other tools write them."""
    parts = [np.asarray(output, np.float32).reshape(output.shape[-2:]) for output in outputs]
    whole = np.concatenate([part.T if settings.columns else part for part in parts], axis=1)
    raw, rest = whole[:, :4], whole[:, 4:]
    if settings.unit == "share":
        height, width = input_size
        swapped = settings.box in ("yxyx", "cycxhw")
        raw = raw * np.array([height, width] * 2 if swapped else [width, height] * 2, np.float32)
    objectness = np.ones(len(rest), np.float32)
    if settings.objectness:
        objectness = sigmoid(rest[:, 0]) if head.activation == "logits" else np.clip(rest[:, 0], 0.0, 1.0)
        rest = rest[:, 1:]
    likely = class_probabilities(rest, head, settings) * objectness[:, None]
    row, class_id = np.nonzero(likely >= least)
    return Candidates(boxes.convert(raw[row], settings.box, "xyxy"), likely[row, class_id], class_id)


def _postprocessed(
    outputs: Sequence[Array], head: Head, settings: DetectionSettings, input_size: Size, least: float
) -> Candidates:
    scores = np.asarray(outputs[2], np.float32).reshape(-1)
    count = int(np.rint(np.asarray(outputs[3]).reshape(-1)[0])) if len(outputs) > 3 else len(scores)
    confidence = np.clip(scores[:count], 0.0, 1.0)  # behind the count there may be anything
    kept = np.flatnonzero(confidence >= least)
    class_id = np.rint(np.asarray(outputs[1]).reshape(-1)[kept]).astype(np.int64) - settings.label_offset
    wrong = (class_id < 0) | (class_id >= (len(head.labels) or math.inf))
    if wrong.any():
        raise UnsupportedModelError(
            f"head '{head.name}' answers class {int(class_id[wrong][0]) + settings.label_offset}, which is none of its "
            f"{len(head.labels)} labels at a label_offset of {settings.label_offset}",
            hint="label_offset is the class of label 0: 1 where class 0 is the background, -1 where the labels begin "
            "with one for the background and the classes do not",
        )
    xyxy = boxes.convert(np.asarray(outputs[0], np.float32).reshape(-1, 4)[kept], "yxyx", "xyxy")
    height, width = input_size
    scale = np.array([width, height] * 2, np.float32) if settings.unit == "share" else np.float32(1.0)
    return Candidates(np.asarray(xyxy * scale, np.float32), confidence[kept], class_id)
