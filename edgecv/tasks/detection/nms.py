"""Non-maximum suppression: of boxes that overlap, the most confident one stays. Pure numpy.

All classes go through it side by side: a round takes the best box that is left of every class, and compares it with
what is left of that class. So boxes of different classes are never compared, nothing is added to coordinates to hold
them apart, and memory grows with the number of boxes, not with its square.
"""

from __future__ import annotations

from typing import Any, List, Literal, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, unknown_name

Array = NDArray[Any]
How = Literal["class", "agnostic", "soft"]

HOWS: Tuple[How, ...] = ("class", "agnostic", "soft")

_FIRST, _GROWTH = 4, 8  # boxes that are looked at first for one that stays, and by how much more where they are too few


def suppress(
    xyxy: Array,
    confidence: Array,
    class_id: Array,
    *,
    iou: float,
    how: How = "class",
    most: int,
    sigma: float = 0.5,
    score: float = 0.001,
) -> Tuple[Array, Array]:
    """Return which boxes stay, the most confident first, and how confident each is then.

    Boxes of one confidence come by index, in the result and where they suppress each other.

    Source: Felzenszwalb et al. 2010, "Object Detection with Discriminatively Trained Part-Based Models", section 3.2,
    for greedy suppression; Bodla et al. 2017, "Soft-NMS: Improving Object Detection With One Line of Code", section 3,
    for the Gaussian form: a box that overlaps a better one by `o` keeps `exp(-o**2 / sigma)` of its confidence.

    Args:
        xyxy: (n, 4) corners, finite. A box without area overlaps nothing.
        confidence: (n,), finite.
        class_id: (n,) int.
        iou: A box goes when it overlaps a better one by more than this, 0..1. Not used by "soft".
        how: "class" compares boxes of one class only, "agnostic" all boxes, "soft" is the Gaussian form by class.
        most: How many boxes stay at most, over all classes, >= 1.
        sigma: Of "soft", > 0: the larger, the more confidence is kept.
        score: Of "soft": a box goes when its confidence is below this, at first or by what it lost.

    Returns:
        Indices int64 (k,) into the boxes, and confidences float32 (k,).

    Raises:
        ConfigError: A setting is out of its range.
        DataError: The arrays differ in length, or a number is not finite.
    """
    _check_settings(iou, how, most, sigma)
    boxes, given = np.asarray(xyxy, np.float64).reshape(-1, 4), np.asarray(confidence, np.float32).reshape(-1)
    classes = np.asarray(class_id).reshape(-1)
    _check_arrays(boxes, given, classes)
    if how == "agnostic":
        classes = np.zeros(len(classes), np.int64)
    order = np.argsort(-given, kind="stable")
    if how == "soft":
        order = order[: int(np.count_nonzero(given >= score))]
    count = _FIRST * most
    while True:
        # A box does nothing to more confident ones, so `most` boxes that stay of the first few are the answer. What is
        # softened stays only where it is still above the boxes that were left out.
        first = order[:count]
        if how == "soft":
            kept, left = _soft(boxes, given, classes, first, most, sigma, score)
        else:
            kept, left = _greedy(boxes, given, classes, first, most, iou)
        best = np.lexsort((kept, -left))[:most]
        if count >= len(order) or (len(best) == most and (how != "soft" or left[best[-1]] > given[order[count]])):
            return kept[best].astype(np.int64), left[best].astype(np.float32)
        count *= _GROWTH


class _Left:
    """The boxes that are left, sorted by class, as rows of arrays that shrink together."""

    def __init__(self, boxes: Array, classes: Array, order: Array) -> None:
        chosen = boxes[order]
        areas = np.maximum(chosen[:, 2] - chosen[:, 0], 0.0) * np.maximum(chosen[:, 3] - chosen[:, 1], 0.0)
        self.columns = np.concatenate([chosen.T, areas[None]])
        self.index = order
        self.classes = classes[order]

    def __len__(self) -> int:
        return len(self.index)

    def starts(self) -> Array:
        """Where each class begins."""
        return np.concatenate([[0], np.flatnonzero(self.classes[1:] != self.classes[:-1]) + 1])

    def overlap(self, best: Array, starts: Array) -> Tuple[Array, Array]:
        """Intersection and union of every box with the `best` one of its class, a position for each class."""
        if len(best) == 1:
            x1, y1, x2, y2, area = self.columns[:, best[0]]
        else:
            counts = np.diff(starts, append=len(self))
            x1, y1, x2, y2, area = np.repeat(self.columns[:, best], counts, axis=1)
        own = self.columns
        wide = np.minimum(own[2], x2) - np.maximum(own[0], x1)
        high = np.minimum(own[3], y2) - np.maximum(own[1], y1)
        shared = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
        return shared, own[4] + area - shared

    def keep(self, chosen: Array) -> None:
        """Drop all but the `chosen` positions."""
        self.columns = self.columns.take(chosen, axis=1)
        self.index, self.classes = self.index[chosen], self.classes[chosen]


def _greedy(
    boxes: Array, confidence: Array, classes: Array, order: Array, most: int, limit: float
) -> Tuple[Array, Array]:
    """What stays of the boxes `order`, the most confident first."""
    place = np.empty(len(boxes), np.int64)
    place[order] = np.arange(len(order))
    left = _Left(boxes, classes, order[np.argsort(classes[order], kind="stable")])
    found: List[Array] = []
    cutoff: Optional[int] = None
    while len(left):
        best = left.starts()
        found.append(left.index[best])
        shared, union = left.overlap(best, best)
        alive = shared <= limit * union
        alive[best] = False
        if sum(map(len, found)) >= most:
            # What comes behind the last of the `most` best so far can never be among them.
            cutoff = int(np.partition(place[np.concatenate(found)], most - 1)[most - 1])
            alive &= place[left.index] < cutoff
        left.keep(np.flatnonzero(alive))
    kept = np.concatenate(found) if found else np.zeros(0, np.int64)
    return kept, confidence[kept]


def _soft(
    boxes: Array, confidence: Array, classes: Array, order: Array, most: int, sigma: float, score: float
) -> Tuple[Array, Array]:
    """What stays of the boxes `order`, and how confident each is then."""
    left = _Left(boxes, classes, order[np.lexsort((order, classes[order]))])
    scores = confidence[left.index].astype(np.float64)
    found: List[Array] = []
    values: List[Array] = []
    while len(left):
        starts = left.starts()
        best = _highest(scores, starts)
        found.append(left.index[best])
        values.append(scores[best])
        shared, union = left.overlap(best, starts)
        ratio = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0.0)
        scores = scores * np.exp(-np.square(ratio) / sigma)
        alive = scores >= score
        alive[best] = False
        if sum(map(len, found)) >= most:
            # Confidence only falls, so what is below the last of the `most` best so far stays below it.
            alive &= scores >= -np.partition(-np.concatenate(values), most - 1)[most - 1]
        chosen = np.flatnonzero(alive)
        left.keep(chosen)
        scores = scores[chosen]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    return np.concatenate(found), np.concatenate(values)


def _highest(scores: Array, starts: Array) -> Array:
    """The position of the highest score of each class, the first one of equals."""
    if len(starts) == 1:
        return np.array([int(scores.argmax())])
    counts = np.diff(starts, append=len(scores))
    places = np.flatnonzero(scores == np.repeat(np.maximum.reduceat(scores, starts), counts))
    return places[np.searchsorted(places, starts)]


def _check_settings(iou: float, how: str, most: int, sigma: float) -> None:
    if how not in HOWS:
        raise unknown_name("way of suppression", how, HOWS)
    if not 0.0 <= iou <= 1.0:
        raise ConfigError(f"the IoU of suppression is 0..1, got {iou}", hint="0.45 to 0.6 is usual")
    if most < 1:
        raise ConfigError(f"at least one box has to stay, got most = {most}", hint="100 or 300 is usual")
    if not sigma > 0.0:
        raise ConfigError(f"sigma of soft suppression is > 0, got {sigma}", hint="0.5 is usual")


def _check_arrays(boxes: Array, confidence: Array, classes: Array) -> None:
    lengths = (len(boxes), len(confidence), len(classes))
    if len(set(lengths)) > 1:
        raise DataError(f"suppression needs one entry per box, got {lengths} boxes, confidences and classes")
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(confidence)
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"box {first}, {boxes[first].tolist()} with confidence {float(confidence[first])}, is not finite",
            hint="the network's outputs are not finite, or its box settings do not fit",
        )
