"""The validation value of a detector in training: sums that add up over batches, from which average precision follows.

Confidences are counted in steps, so that no detection is kept; the value is that of the whole split but for ties within
a step. Pure numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection.matching import HIT, IGNORED, IOUS, evidence

if TYPE_CHECKING:
    from edgecv.tasks.detection.task import DetectionTask
    from edgecv.values.specs import Head

Array = NDArray[Any]

STEPS = 400
LEAST = 0.01
"""Confidence from which detections are counted; less than that hardly moves the value."""
LOW, HIGH = -5.0, 11.0
"""Of the logits of confidences that are told apart: sure answers differ far behind the decimal point."""
THRESHOLDS = len(IOUS)


def length(classes: int) -> int:
    """Return how many numbers `counted` gives."""
    return classes * (2 * THRESHOLDS * STEPS + 1)


def counted(
    task: DetectionTask, head: Head, input_size: Tuple[int, int], listed: Array, outputs: Sequence[Array]
) -> Array:
    """Return right and wrong detections by class, overlap and step of confidence, then objects by class: float32.

    Args:
        task: Decodes.
        head: How outputs are read.
        input_size: (height, width); truths and detections are in input pixels.
        listed: Objects of each image, (n, 300, 6): boxes, class, crowd; class -1 is none.
        outputs: Of the batch, (n, …) each.
    """
    classes = max(1, len(head.labels))
    sums = np.zeros((classes, THRESHOLDS, STEPS, 2), np.float32)
    objects = np.zeros(classes, np.float32)
    for index, rows in enumerate(listed):
        rows = rows[rows[:, 4] >= 0]
        truth = Objects(rows[:, :4], rows[:, 4].astype(np.int64), rows[:, 5] > 0)
        said = task.found_in_input([output[index] for output in outputs], head, input_size, LEAST)
        judged = evidence(truth, said, classes)
        step = _steps(judged.confidence)
        for at, outcome in enumerate(judged.outcome[0]):
            counts = outcome != IGNORED
            wrong = (outcome[counts] != HIT).astype(np.int64)
            np.add.at(sums, (judged.class_id[counts], at, step[counts], wrong), 1.0)
        np.add.at(objects, truth.class_id[~np.asarray(truth.crowd)], 1.0)
    return np.concatenate([sums.reshape(-1), objects])


def _steps(confidence: Array) -> Array:
    """The step of each confidence, int64, which rises with its logit."""
    share = np.clip(np.asarray(confidence, np.float64), 1e-9, 1.0 - 1e-9)
    logit = np.log(share / (1.0 - share))
    return np.clip((logit - LOW) / (HIGH - LOW) * STEPS, 0, STEPS - 1).astype(np.int64)


def value(sums: Array, classes: int) -> float:
    """Return the mean over classes with objects, and over overlaps, of the area under precision by recall."""
    split = classes * THRESHOLDS * STEPS * 2
    counts = np.asarray(sums[:split], np.float64).reshape(classes, THRESHOLDS, STEPS, 2)[:, :, ::-1]
    objects = np.asarray(sums[split:], np.float64)
    right, wrong = counts[..., 0].cumsum(axis=2), counts[..., 1].cumsum(axis=2)
    precision = np.divide(right, right + wrong, out=np.zeros_like(right), where=right + wrong > 0)
    precision = np.maximum.accumulate(precision[:, :, ::-1], axis=2)[:, :, ::-1]
    gained = np.diff(right, axis=2, prepend=0.0)
    shown = objects > 0
    if not shown.any():
        return 0.0
    return float(((precision * gained).sum(axis=2) / np.maximum(objects, 1.0)[:, None])[shown].mean())
