"""The figures of a detector: what they are called, what they mean, and how right it is at the scores it ships with."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.detection.matching import HIT, MISS, Evidence

Array = NDArray[Any]
Figures = Mapping[str, Optional[float]]

AT_TOLD = ("precision", "recall")
ORDER = (
    *("ap50", "ap75", *AT_TOLD),
    *("ap_small", "ap_medium", "ap_large"),
    *("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"),
    *("voc07_ap50", "voc10_ap50"),
)
"""Further figures, those that are asked for most first."""
PER_LABEL = ("ap", "ap50", *AT_TOLD, "recall50")

MEANING: Mapping[str, str] = {
    "ap": "average precision, mean over classes and over the overlaps (IoU) 0.50, 0.55, … 0.95",
    "ap50": "average precision where an overlap of 0.50 is enough",
    "ap75": "average precision where it takes an overlap of 0.75",
    "precision": "share of the boxes told that are right, at the head's own score and an overlap of 0.50",
    "recall": "share of the objects that are found, at the head's own score and an overlap of 0.50",
    "ap_small": "ap of objects of up to 32 x 32 pixels of the image",
    "ap_medium": "ap of objects between 32 x 32 and 96 x 96 pixels of the image",
    "ap_large": "ap of objects of 96 x 96 pixels of the image and more",
    "ar1": "share of objects found by the surest box of each class and image, mean over the overlaps of ap",
    "ar10": "the same with ten boxes",
    "ar100": "the same with a hundred boxes",
    "ar_small": "ar100 of the small objects",
    "ar_medium": "ar100 of the medium objects",
    "ar_large": "ar100 of the large objects",
    "voc07_ap50": "average precision as VOC 2007 counts it: at eleven recalls",
    "voc10_ap50": "average precision as VOC 2010 counts it: the area under the curve",
    "recall50": "share of the objects that a hundred boxes find, however unsure, at an overlap of 0.50",
}


def at_told(evidence: Sequence[Evidence], floors: Array, most: int) -> Tuple[Figures, Tuple[Figures, ...]]:
    """Return precision and recall of what a detector tells, of all classes together and of each.

    A box is right when it matches an object of its class at an overlap of 0.50, by COCO's rules. What matches a crowd
    is neither right nor wrong. None where nothing is told, or there is nothing to find.

    Args:
        evidence: Of each image.
        floors: Score from which each class is told, (classes,).
        most: Detections of an image at most, the most confident first.
    """
    counts = np.zeros((3, len(floors)), np.int64)
    for one in evidence:
        told = np.argsort(-one.confidence, kind="stable")[:most]
        told = told[one.confidence[told] >= floors[one.class_id[told]]]
        for row, kind in zip(counts, (HIT, MISS)):
            of_kind = told[one.outcome[0, 0, told] == kind]
            row += np.bincount(one.class_id[of_kind], minlength=len(floors))
        counts[2] += one.truths[0]
    return _shares(counts.sum(axis=1)), tuple(_shares(column) for column in counts.T)


def ordered(figures: Figures, names: Sequence[str]) -> Dict[str, Optional[float]]:
    """Return some figures in an order."""
    return {name: figures[name] for name in names}


def _shares(counts: Array) -> Figures:
    right, wrong, objects = (int(count) for count in counts)
    return {
        "precision": right / (right + wrong) if right + wrong else None,
        "recall": right / objects if objects else None,
    }
