"""Which detections of an image are right: matched with its objects as COCO and VOC do. Pure numpy.

What both need of one image is kept as `Evidence`, so that figures of many images, and of any draw of them, follow from
it. `edgecv.tasks.detection.average_precision` makes those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Detections, Objects

Array = NDArray[Any]

#: From which overlap a detection is right. As COCO makes them, since 0.55 and 0.5 + 0.05 differ in the last bit.
IOUS: Array = np.linspace(0.5, 0.95, 10)
#: Areas in square pixels of the image, both ends belong to a range.
AREAS: Tuple[str, ...] = ("all", "small", "medium", "large")
AREA_RANGES: Array = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]], np.float64)
#: COCO counts this many detections of an image and class at most.
MOST = 100

MISS, HIT, IGNORED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Evidence:
    """What scores need to know of one image with d detections: 47 bytes for each, and 16 for each class.

    Detections come by class, and the most confident first within a class.

    Attributes:
        confidence: float32 (d,).
        class_id: int32 (d,).
        rank: int16 (d,): how many detections of its class come before it, at most `MOST`.
        outcome: uint8 (areas, ious, d) of MISS, HIT, IGNORED by COCO's rules; MISS from rank `MOST` on.
        voc: uint8 (d,), the same by VOC's rules at an IoU of 0.5.
        truths: int32 (areas, classes): how many objects there are to find.
    """

    confidence: Array
    class_id: Array
    rank: Array
    outcome: Array
    voc: Array
    truths: Array


def evidence(truth: Objects, found: Detections, classes: int) -> Evidence:
    """Return which detections of an image are right.

    COCO: detections choose, the most confident first, among the objects of their class that are not taken. The one with
    the largest overlap is taken, the last of equals; one that counts goes before one that is ignored. Crowds are
    ignored, are never taken, and overlap by the share of the detection that lies in them. Objects outside the area
    range are ignored, and so are detections outside it that match nothing. What matches an ignored object is ignored.
    The area is the box's, since no mask is known.

    VOC: a detection belongs to the object of its class with the largest overlap, and is right when it is the first one.
    What belongs to a crowd ("difficult") is ignored.

    Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", and `cocoeval.py` of its toolkit, version 2.0;
    Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2, and `VOCevaldet.m`.

    Args:
        truth: Of the image.
        found: Of the same image, in any order. Of equal confidence the first one goes first.
        classes: How many classes there are.

    Raises:
        DataError: A class lies outside 0..classes - 1, or a detection is not finite.
    """
    _check(truth, found, classes)
    order = np.lexsort((-found.confidence, found.class_id))
    corners, class_id = found.xyxy[order].astype(np.float64), found.class_id[order]
    rank = np.arange(len(order)) - np.searchsorted(class_id, class_id)
    same = class_id[:, None] == truth.class_id[None]
    return Evidence(
        confidence=found.confidence[order],
        class_id=class_id.astype(np.int32),
        rank=np.minimum(rank, MOST).astype(np.int16),
        outcome=_coco(truth, corners, same & (rank < MOST)[:, None]),
        voc=_voc(truth, corners, same),
        truths=_counted(truth, classes),
    )


def agreement(a: Detections, b: Detections, iou: float = 0.5) -> float:
    """Return how far two models find the same in one image: 2 * matched / (len(a) + len(b)), in 0..1.

    Boxes of one class match from an overlap of `iou` on, those with the largest overlap first, each once. 1 when
    neither model finds anything. It is Dice's coefficient. Source: Dice 1945, "Measures of the Amount of Ecologic
    Association Between Species", Ecology 26.
    """
    if not len(a) and not len(b):
        return 1.0
    return 2.0 * len(pairs(a, b, iou)[0]) / (len(a) + len(b))


def unlike(a: Detections, b: Detections, iou: float = 0.5) -> float:
    """Return how unlike two models' detections in one image are, >= 0: which boxes one alone finds, and what moved.

    A box without a partner counts its confidence, a pair one minus its overlap and what its confidences differ by.
    """
    first, second, overlap = pairs(a, b, iou)
    alone = np.delete(a.confidence, first).sum() + np.delete(b.confidence, second).sum()
    moved = (1.0 - overlap) + np.abs(a.confidence[first].astype(np.float64) - b.confidence[second])
    return float(alone + moved.sum())


def pairs(a: Detections, b: Detections, iou: float = 0.5) -> Tuple[Array, Array, Array]:
    """Return which boxes of two models are the same: places in `a` and in `b`, int64 (n,), and overlaps float64 (n,).

    Boxes of one class match from an overlap of `iou` on, those with the largest overlap first, each once.
    """
    overlap = boxes.iou(a.xyxy, b.xyxy)
    rows, columns = np.nonzero((overlap >= iou) & (a.class_id[:, None] == b.class_id[None]))
    first, second = np.zeros(len(a), bool), np.zeros(len(b), bool)
    found = []
    for pair in np.argsort(-overlap[rows, columns], kind="stable"):
        row, column = rows[pair], columns[pair]
        if not (first[row] or second[column]):
            first[row] = second[column] = True
            found.append((row, column))
    chosen = np.array(found, np.int64).reshape(-1, 2).T
    return chosen[0], chosen[1], overlap[chosen[0], chosen[1]]


def _outside(areas: Array) -> Array:
    """Which areas (n,) lie outside each range: bool (ranges, n)."""
    return np.asarray((areas < AREA_RANGES[:, :1]) | (areas > AREA_RANGES[:, 1:]))


def _counted(truth: Objects, classes: int) -> Array:
    counts = ~_outside(boxes.area(truth.xyxy)) & ~np.asarray(truth.crowd)
    made = np.zeros((len(AREAS), classes), np.int32)
    for row, chosen in zip(made, counts):
        row += np.bincount(truth.class_id[chosen], minlength=classes).astype(np.int32)
    return made


def _coco(truth: Objects, corners: Array, same: Array) -> Array:
    """Outcomes uint8 (areas, ious, d) of detections `corners` (d, 4), where `same` (d, g) says who may match whom."""
    crowd = np.asarray(truth.crowd)
    overlap = _coco_overlap(truth, corners)
    near = same & (overlap >= IOUS[0])
    ignored = _outside(boxes.area(truth.xyxy)) | crowd
    taken = np.zeros((len(AREAS), len(IOUS), len(truth)), bool)
    outcome = np.full((len(AREAS), len(IOUS), len(corners)), MISS, np.uint8)
    for index in np.flatnonzero(near.any(axis=1)):
        # Backwards, since argmax finds the first of equals and COCO takes the last.
        those = np.flatnonzero(near[index])[::-1]
        values = overlap[index, those]
        free = (values >= IOUS[:, None]) & (crowd[those] | ~taken[:, :, those])
        counting = free & ~ignored[:, None, those]
        usable = np.where(counting.any(axis=-1, keepdims=True), counting, free)
        best = those[np.where(usable, values, -1.0).argmax(axis=-1)]
        area, level = np.nonzero(usable.any(axis=-1))
        chosen = best[area, level]
        taken[area, level, chosen] = True
        outcome[area, level, index] = np.where(ignored[area, chosen], IGNORED, HIT)
    missed_outside = (outcome == MISS) & _outside(boxes.area(corners))[:, None]
    outcome[missed_outside] = IGNORED
    return outcome


def _coco_overlap(truth: Objects, corners: Array) -> Array:
    overlap = boxes.iou(corners, truth.xyxy)
    crowd = np.asarray(truth.crowd)
    if crowd.any():
        own = boxes.area(corners)[:, None]
        shared = boxes.intersection(corners, truth.xyxy[crowd])
        overlap[:, crowd] = np.divide(shared, own, out=np.zeros_like(shared), where=own > 0.0)
    return overlap


def _voc(truth: Objects, corners: Array, same: Array) -> Array:
    outcome = np.full(len(corners), MISS, np.uint8)
    if not len(truth) or not len(corners):
        return outcome
    overlap = np.where(same, boxes.iou(corners, truth.xyxy), -1.0)
    best = overlap.argmax(axis=1)
    belongs = overlap.max(axis=1) >= IOUS[0]
    difficult = np.asarray(truth.crowd)[best]
    outcome[belongs & difficult] = IGNORED
    counting = np.flatnonzero(belongs & ~difficult)
    outcome[counting[np.unique(best[counting], return_index=True)[1]]] = HIT
    return outcome


def _check(truth: Objects, found: Detections, classes: int) -> None:
    for what, ids in (("an object", truth.class_id), ("a detection", found.class_id)):
        wrong = ids[(ids < 0) | (ids >= classes)]
        if wrong.size:
            raise DataError(
                f"{what} is of class {int(wrong[0])}, expected 0..{classes - 1}",
                hint="use data with the model's classes",
            )
    if not (np.isfinite(found.xyxy).all() and np.isfinite(found.confidence).all()):
        raise DataError(
            "a detection has a box or a confidence that is not finite", hint="look at the network's outputs"
        )
