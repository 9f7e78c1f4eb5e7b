"""The figures of a detector: what they are called, what they mean, and how right it is at the scores it ships with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.detection.matching import HIT, MISS, Evidence
from edgecv.values.scores import Table

Array = NDArray[Any]
Figures = Mapping[str, Optional[float]]

AT_TOLD = ("precision", "recall")
SCORES = tuple(tenth / 10 for tenth in range(1, 10))
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


@dataclass(frozen=True, eq=False)
class Told:
    """What a detector may tell of all images: the boxes that its number of detections leaves, and the objects.

    A box is right when it matches an object of its class at an overlap of 0.50, by COCO's rules. What matches a crowd
    is neither right nor wrong.

    Attributes:
        confidence: float32 (n,).
        class_id: int32 (n,).
        outcome: uint8 (n,) of `matching.MISS`, `HIT` and `IGNORED`.
        objects: int64 (classes,): how many there are to find.
    """

    confidence: Array
    class_id: Array
    outcome: Array
    objects: Array

    @staticmethod
    def of(evidence: Sequence[Evidence], most: int) -> Told:
        """Take the `most` most confident boxes of each image, of one image or more."""
        chosen = [np.argsort(-one.confidence, kind="stable")[:most] for one in evidence]
        pairs = list(zip(evidence, chosen))
        return Told(
            np.concatenate([one.confidence[those] for one, those in pairs]),
            np.concatenate([one.class_id[those] for one, those in pairs]),
            np.concatenate([one.outcome[0, 0, those] for one, those in pairs]),
            np.stack([one.truths[0] for one in evidence]).sum(axis=0, dtype=np.int64),
        )

    def at(self, floors: Array) -> Tuple[Figures, Tuple[Figures, ...]]:
        """Return precision and recall of all classes together and of each, at the score of each class, (classes,).

        None where nothing is told, or there is nothing to find.
        """
        told = self.confidence >= floors[self.class_id]
        kinds = [told & (self.outcome == kind) for kind in (HIT, MISS)]
        counts = [np.bincount(self.class_id[kind], minlength=len(floors)) for kind in kinds]
        rows = np.stack([*counts, self.objects])
        return _shares(rows.sum(axis=1)), tuple(_shares(column) for column in rows.T)

    def by_score(self) -> Table:
        """Return precision and recall at scores of 0.1 to 0.9: what a score is chosen by."""
        found = [self.at(np.full(len(self.objects), score, np.float32))[0] for score in SCORES]
        cells = tuple(tuple(row[name] for name in AT_TOLD) for row in found)
        return Table("By score", tuple(f"{score:.1f}" for score in SCORES), AT_TOLD, cells, corner="score")


def ordered(figures: Figures, names: Sequence[str]) -> Dict[str, Optional[float]]:
    """Return some figures in an order."""
    return {name: figures[name] for name in names}


def _shares(counts: Array) -> Figures:
    right, wrong, objects = (int(count) for count in counts)
    return {
        "precision": right / (right + wrong) if right + wrong else None,
        "recall": right / objects if objects else None,
    }
