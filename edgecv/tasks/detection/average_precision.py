"""Average precision and recall over images, as COCO and VOC define them, and for every draw of a bootstrap. Pure numpy.

Precision only rises where a detection is right, so its envelope is known from the right detections alone: everything
else enters by how much weight has gone before. That is what makes a thousand draws fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import unknown_name
from edgecv.tasks.bootstrap import Statistic
from edgecv.tasks.detection.matching import AREAS, HIT, IGNORED, IOUS, MOST, Evidence

Array = NDArray[Any]
Points = Literal["coco", "voc07", "voc10"]

#: Recalls at which precision is read; COCO's as its toolkit makes them, VOC 2007's rounded once.
_RECALLS: Mapping[Points, Array] = {"coco": np.linspace(0.0, 1.0, 101), "voc07": np.arange(11) / 10}
_CHUNK = 2**17  # weights at once, so that they stay in the cache


class _Figure(NamedTuple):
    """What an average precision is of."""

    area: int
    ious: Sequence[int]
    points: Points
    voc: bool = False


_ALL = range(len(IOUS))
_FIGURES: Mapping[str, _Figure] = {
    "ap": _Figure(0, _ALL, "coco"),
    "ap50": _Figure(0, (0,), "coco"),
    "ap75": _Figure(0, (5,), "coco"),
    "ap_small": _Figure(1, _ALL, "coco"),
    "ap_medium": _Figure(2, _ALL, "coco"),
    "ap_large": _Figure(3, _ALL, "coco"),
    "voc07_ap50": _Figure(0, (0,), "voc07", voc=True),
    "voc10_ap50": _Figure(0, (0,), "voc10", voc=True),
}
_AT_MOST = (1, 10, MOST)


@dataclass(frozen=True)
class Summary:
    """How good detections are over all images; None where there is nothing to find.

    Attributes:
        figures: "ap" (IoU 0.50 to 0.95), "ap50", "ap75", "ap_small", "ap_medium", "ap_large"; "ar1", "ar10", "ar100",
            the recall with so many detections of an image and class, mean over IoUs, "ar_small", "ar_medium",
            "ar_large" with 100; "voc07_ap50" and "voc10_ap50". Means over the classes that have objects.
        per_class: Of each class "ap", "ap50", "ar100", and "recall50", the share of objects that are found at an IoU of
            0.5 with 100 detections.
    """

    figures: Mapping[str, Optional[float]]
    per_class: Tuple[Mapping[str, Optional[float]], ...]


def ap(confidence: Array, outcome: Array, truths: int, *, points: Points = "coco") -> Optional[float]:
    """Return the average precision of the detections of one class; None without objects to find.

    The precision at a recall is the best one at that recall or a higher one. "coco" is its mean at the recalls 0, 0.01,
    ..., 1, "voc07" at 0, 0.1, ..., 1, and "voc10" the area under it. Source: Everingham et al. 2010, "The PASCAL
    Visual Object Classes (VOC) Challenge", section 4.2; Everingham and Winn 2012, "The PASCAL VOC2012 Challenge
    Development Kit", section 3.4.1; Lin et al. 2014, "Microsoft COCO: Common Objects in Context", and its toolkit.

    Args:
        confidence: (d,). Of equals the first one goes first.
        outcome: (d,) of `matching.MISS`, `HIT` and `IGNORED`.
        truths: How many objects there are.
        points: Which mean.

    Raises:
        ConfigError: Unknown points.
    """
    if points not in ("coco", "voc07", "voc10"):
        raise unknown_name("average precision", points, ("coco", "voc07", "voc10"))
    order = np.argsort(-np.asarray(confidence), kind="stable")
    outcomes = np.asarray(outcome)[None, order]
    ranked = _Ranked.of(np.zeros(len(order), np.int64), outcomes, np.array([float(truths)]))
    return _optional(_averages(np.ones((1, 1)), ranked, points)[0, 0])


def summary(evidence: Sequence[Evidence], classes: int) -> Summary:
    """Return the figures of COCO and VOC over images, and by class.

    Args:
        evidence: Of each image, by `matching.evidence` with the same `classes`. Where detections of different images
            are equally confident, those of the first image go first.
        classes: How many classes there are.
    """
    table = _Table(evidence, classes)
    ones = np.ones((1, len(evidence)))
    found = {area: _by_class(table, ones, _Figure(area, _ALL, "coco")) for area in range(len(AREAS))}
    recall = {(area, MOST): table.recall(area, MOST) for area in range(len(AREAS))}
    recall.update({(0, most): table.recall(0, most) for most in _AT_MOST})
    figures: Dict[str, Optional[float]] = {}
    for name, figure in _FIGURES.items():
        values = _by_class(table, ones, figure) if figure.voc else found[figure.area][:, list(figure.ious)]
        means = values[table.present(figure.area)].mean(axis=1)
        figures[name] = _optional(_over_classes(list(means[:, None]), 1)[0])
    figures.update({f"ar{most}": _mean(recall[0, most]) for most in _AT_MOST})
    figures.update({f"ar_{name}": _mean(recall[area, MOST]) for area, name in enumerate(AREAS) if area})
    rows = zip(found[0], recall[0, MOST])
    per_class = tuple(
        {"ap": _mean(a), "ap50": _optional(a[0]), "ar100": _mean(r), "recall50": _optional(r[0])} for a, r in rows
    )
    return Summary(figures, per_class)


def statistic(evidence: Sequence[Evidence], classes: int, figure: str = "ap") -> Statistic:
    """Return an average precision as a function of how often each image was drawn.

    Args:
        evidence: Of each image.
        classes: How many classes there are.
        figure: "ap" or any other average precision of `Summary.figures`.

    Returns:
        From weights float (draws, images) to values float64 (draws,), the mean over the classes that a draw has objects
        of; NaN for a draw without objects. Weights of 1 give the figure of `summary`.

    Raises:
        ConfigError: Unknown figure.
    """
    if figure not in _FIGURES:
        raise unknown_name("average precision", figure, _FIGURES)
    chosen = _FIGURES[figure]
    table = _Table(evidence, classes)
    ranked = [table.ranked(index, chosen) for index in table.present(chosen.area)]
    longest = max([1, *(len(one.image) for one in ranked)])

    def values(weights: Array) -> Array:
        found = np.full(len(weights), np.nan)
        step = max(1, _CHUNK // longest)
        for start in range(0, len(weights), step):
            part = np.asarray(weights[start : start + step], np.float64)
            means = [_averages(part, one, chosen.points).mean(axis=1) for one in ranked]
            found[start : start + step] = _over_classes(means, len(part))
        return found

    return values


class _Ranked(NamedTuple):
    """The detections of one class over all images, the most confident first, up to the last right one.

    `image` (d,) is where each was found, `hits` and `ignored` are their positions at each IoU, and `truths` (n,) says
    how many objects each image has.
    """

    image: Array
    hits: Tuple[Array, ...]
    ignored: Tuple[Array, ...]
    truths: Array

    @staticmethod
    def of(image: Array, outcome: Array, truths: Array) -> _Ranked:
        """Take images (d,) and outcomes (ious, d), the most confident first."""
        right = np.flatnonzero((outcome == HIT).any(axis=0))
        outcome = outcome[:, : int(right[-1]) + 1 if len(right) else 0]
        hits = tuple(np.flatnonzero(row == HIT) for row in outcome)
        ignored = tuple(np.flatnonzero(row == IGNORED) for row in outcome)
        return _Ranked(image[: outcome.shape[1]], hits, ignored, truths)


class _Table:
    """The detections of all images by class, the most confident first."""

    def __init__(self, evidence: Sequence[Evidence], classes: int) -> None:
        self.classes = classes
        image = np.repeat(np.arange(len(evidence)), [len(one.confidence) for one in evidence])
        confidence = np.concatenate([np.zeros(0, np.float32), *(one.confidence for one in evidence)])
        class_id = np.concatenate([np.zeros(0, np.int32), *(one.class_id for one in evidence)])
        order = np.lexsort((-confidence, class_id))
        self.image = image[order]
        self.rank = np.concatenate([np.zeros(0, np.int16), *(one.rank for one in evidence)])[order]
        self.voc = np.concatenate([np.zeros(0, np.uint8), *(one.voc for one in evidence)])[order]
        nothing = np.zeros((len(AREAS), len(IOUS), 0), np.uint8)
        self.outcome = np.concatenate([nothing, *(one.outcome for one in evidence)], axis=2)[..., order]
        counts = [one.truths for one in evidence]
        self.truths = np.stack(counts) if counts else np.zeros((0, len(AREAS), classes), np.int32)
        self.totals = self.truths.sum(axis=0, dtype=np.int64)
        self.bounds = np.searchsorted(class_id[order], np.arange(classes + 1))

    def present(self, area: int) -> List[int]:
        """The classes that have objects to find."""
        return [int(index) for index in np.flatnonzero(self.totals[area])]

    def ranked(self, index: int, figure: _Figure) -> _Ranked:
        """The detections of one class."""
        those = slice(self.bounds[index], self.bounds[index + 1])
        truths = self.truths[:, figure.area, index].astype(np.float64)
        if figure.voc:
            return _Ranked.of(self.image[those], self.voc[None, those], truths)
        few = self.rank[those] < MOST
        outcome = self.outcome[figure.area, :, those][list(figure.ious)]
        return _Ranked.of(self.image[those][few], outcome[:, few], truths)

    def recall(self, area: int, most: int) -> Array:
        """Share of objects found with `most` detections of an image and class, (classes, ious); NaN without objects."""
        found = np.zeros((len(IOUS), self.classes))
        right = (self.outcome[area] == HIT) & (self.rank < most)
        sums = np.concatenate([np.zeros((len(IOUS), 1), np.int64), np.cumsum(right, axis=1)], axis=1)
        found = np.diff(sums[:, self.bounds], axis=1).T
        total = np.where(self.totals[area] > 0, self.totals[area], np.nan)
        return np.asarray(found / total[:, None])


def _by_class(table: _Table, weights: Array, figure: _Figure) -> Array:
    """Average precision of the first draw: (classes, ious), NaN for classes without objects."""
    found = np.full((table.classes, 1 if figure.voc else len(figure.ious)), np.nan)
    for index in table.present(figure.area):
        found[index] = _averages(weights, table.ranked(index, figure), figure.points)[0]
    return found


def _averages(weights: Array, ranked: _Ranked, points: Points) -> Array:
    """Average precision of each draw at each IoU: (draws, ious), NaN for draws without objects.

    Source: `ap`. A recall that is read at belongs to the first right detection that reaches it, so the sum over recalls
    is one over right detections: their envelope times how many recalls each is the first to reach.
    """
    total = weights @ ranked.truths
    used = weights[:, ranked.image]
    seen = np.cumsum(used, axis=1)
    found = np.zeros((len(weights), len(ranked.hits)))
    some = np.where(total > 0, total, np.nan)[:, None]
    for level, (hits, ignored) in enumerate(zip(ranked.hits, ranked.ignored)):
        if not len(hits):
            continue
        right = np.cumsum(used[:, hits], axis=1)
        counted = seen[:, hits]
        if len(ignored):
            gone = np.zeros((len(weights), len(ignored) + 1))
            np.cumsum(used[:, ignored], axis=1, out=gone[:, 1:])
            counted -= gone[:, np.searchsorted(ignored, hits)]
        precision = np.divide(right, counted, out=np.zeros_like(right), where=counted > 0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = _reached(right / some, points)
        reached[:, 1:] -= reached[:, :-1].copy()
        found[:, level] = np.einsum("bh,bh->b", envelope, reached)
    found[total <= 0] = np.nan
    return found


def _reached(recall: Array, points: Points) -> Array:
    """The share of the recalls that are read at which is reached with each recall."""
    if points == "voc10":
        return recall
    recalls = _RECALLS[points]
    return np.asarray(np.searchsorted(recalls, recall, side="right") / len(recalls))


def _over_classes(means: Sequence[Array], draws: int) -> Array:
    """The mean over the classes that each draw has objects of; NaN where there are none."""
    columns = np.stack(means, axis=1) if means else np.zeros((draws, 0))
    known = np.isfinite(columns)
    count = known.sum(axis=1)
    return np.asarray(np.where(known, columns, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan))


def _mean(values: Array) -> Optional[float]:
    """The mean of what is defined."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _optional(value: float) -> Optional[float]:
    return float(value) if np.isfinite(value) else None
