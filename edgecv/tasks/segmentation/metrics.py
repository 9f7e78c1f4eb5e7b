"""What masks are worth: counts of pixels per class, which add up over images, and the figures of them. Pure numpy.

Every function of counts takes (..., 3, K): pixels per class in the intersection of prediction and truth, in the
prediction, and in the truth. Pixels whose truth is the ignore index count nowhere.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError

Array = NDArray[Any]


def count_pixels(truth: Array, mask: Array, classes: int, ignore_index: Optional[int] = None) -> Array:
    """Return the counts of one image, int64 (3, classes).

    Args:
        truth: Integers (H, W): classes 0..classes-1, or the ignore index.
        mask: Integers (H, W), the predicted classes.
        classes: Their number.
        ignore_index: Of pixels that are not judged; it may be one of the classes.

    Raises:
        DataError: The two differ in size, or hold an index that is no class.
    """
    if truth.shape != mask.shape or truth.ndim != 2:
        raise DataError(
            f"the label map is {truth.shape}, the mask {mask.shape}: they must be of one size (height, width)",
            hint="give each image a label map of its own size",
        )
    right, said = truth.ravel(), mask.ravel()
    if ignore_index is not None:
        judged = right != ignore_index
        right, said = right[judged], said[judged]
    agreed = _histogram(right[right == said], classes)
    return np.stack([agreed, _histogram(said, classes), _histogram(right, classes)])


def jaccard(counts: Array) -> Array:
    """Return the intersection over union of each class, float64 (..., K); NaN where no pixel is of it or said to be.

    Source: Jaccard 1912, "The distribution of the flora in the alpine zone": |A and B| / |A or B|.
    """
    agreed, said, right = _parts(counts)
    return _ratio(agreed, said + right - agreed)


def dice(counts: Array) -> Array:
    """Return Dice's coefficient of each class, float64 (..., K); NaN where no pixel is of it or said to be.

    Source: Dice 1945, "Measures of the amount of ecologic association between species": 2 |A and B| / (|A| + |B|).
    """
    agreed, said, right = _parts(counts)
    return _ratio(2.0 * agreed, said + right)


def recall(counts: Array) -> Array:
    """Return the share of each class's pixels that were found, float64 (..., K); NaN where there are none."""
    agreed, _, right = _parts(counts)
    return _ratio(agreed, right)


def precision(counts: Array) -> Array:
    """Return the share of the pixels said to be of each class that are, float64 (..., K); NaN where there are none."""
    agreed, said, _ = _parts(counts)
    return _ratio(agreed, said)


def pixel_accuracy(counts: Array) -> Array:
    """Return the share of judged pixels with the right class, float64 (...); NaN where none is judged."""
    agreed, _, right = _parts(counts)
    return _ratio(agreed.sum(axis=-1), right.sum(axis=-1))


def mean_iou(counts: Array) -> Array:
    """Return the mean of `jaccard` over the classes that occur in truth or prediction, float64 (...).

    Source: Everingham et al. 2015, "The PASCAL Visual Object Classes Challenge: A Retrospective", section 4.4.
    """
    return mean_over_classes(jaccard(counts))


def mean_over_classes(values: Array) -> Array:
    """Return the mean over the last axis without NaN, float64 (...); NaN where all of them are."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))


def dice_of_jaccard(value: float) -> float:
    """Return Dice's coefficient of the same pair of sets: 2 J / (1 + J), never below J."""
    return 2.0 * value / (1.0 + value)


def jaccard_of_dice(value: float) -> float:
    """Return the intersection over union of the same pair of sets: D / (2 - D), never above D."""
    return value / (2.0 - value)


def _histogram(values: Array, classes: int) -> Array:
    counts = np.bincount(values, minlength=classes) if values.size else np.zeros(classes, np.int64)
    if len(counts) > classes:
        raise DataError(
            f"a pixel is of class {len(counts) - 1}, the model has classes 0..{classes - 1}",
            hint=f"set ignore_index = {len(counts) - 1} in the head's settings if such pixels are void",
        )
    return counts.astype(np.int64)


def _parts(counts: Array) -> Any:
    return np.moveaxis(np.asarray(counts, np.float64), -2, 0)


def _ratio(part: Array, whole: Array) -> Array:
    safe = np.where(whole > 0, whole, 1.0)
    return np.where(whole > 0, part / safe, np.nan)
