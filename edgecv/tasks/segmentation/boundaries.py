"""Whether masks change classes where the truth does: counts of boundary pixels of one image, and their F1. Pure numpy.

A pixel is on the boundary of its class where a neighbour, left, right, above or below, is of another one. The edge of
the image is no boundary, nor is that of a void region: pixels whose truth is the ignore index, and steps to them, count
nowhere.

Source: Csurka, Larlus, Perronnin 2013, "What is a good evaluation measure for semantic segmentation?", section 2.2.
"""

from __future__ import annotations

import math
from typing import Any, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TOLERANCE = 0.0075
"""Of the image's diagonal: how far a boundary may be off. Source: as above, section 3."""
ROWS = 4
NONE = -1  # of pixels that are on no boundary


def count_boundaries(
    truth: Array, mask: Array, classes: int, ignore_index: Optional[int] = None, tolerance: float = TOLERANCE
) -> Array:
    """Return counts of boundary pixels by class, int64 (4, classes).

    The rows: the mask's that have one of the truth's of the same class within the tolerance, and all of the mask's;
    the truth's that have one of the mask's, and all of the truth's.

    Args:
        truth: Integers (H, W): classes 0..classes-1, or the ignore index.
        mask: Integers (H, W), the predicted classes.
        classes: Their number.
        ignore_index: Of pixels that are not judged; None when every pixel is.
        tolerance: Greatest distance as a share of the diagonal.
    """
    judged = np.ones(truth.shape, bool) if ignore_index is None else truth != ignore_index
    said, right = (_boundary(labels, judged) for labels in (mask, truth))
    offsets = _disk(tolerance * math.hypot(*truth.shape))
    return np.concatenate([_matched(said, right, offsets, classes), _matched(right, said, offsets, classes)])


def f_scores(counts: Array) -> Array:
    """Return F1 of each class's boundary, float64 (..., K), of counts (..., 4, K); NaN where neither has one.

    The harmonic mean of precision, the share of the mask's boundary that is right, and recall, that of the truth's
    which was found. 0 where only one of them has a boundary.
    """
    near, said, found, right = np.moveaxis(np.asarray(counts, np.float64), -2, 0)
    precision, recall = near / np.maximum(said, 1.0), found / np.maximum(right, 1.0)
    total = precision + recall
    values = 2.0 * precision * recall / np.where(total > 0, total, 1.0)
    return np.where((said > 0) | (right > 0), values, np.nan)


def _boundary(labels: Array, judged: Array) -> Array:
    """Return the class of each boundary pixel, int32 (H, W); -1 elsewhere."""
    edge = np.zeros(labels.shape, bool)
    down = (labels[:-1] != labels[1:]) & judged[:-1] & judged[1:]
    across = (labels[:, :-1] != labels[:, 1:]) & judged[:, :-1] & judged[:, 1:]
    edge[:-1] |= down
    edge[1:] |= down
    edge[:, :-1] |= across
    edge[:, 1:] |= across
    return np.where(edge, labels.astype(np.int32), np.int32(NONE))


def _disk(radius: float) -> List[Tuple[int, int]]:
    """Return every offset (rows, columns) no longer than `radius`, nearest first."""
    reach = range(-int(radius), int(radius) + 1)
    inside = [(i * i + j * j, i, j) for i in reach for j in reach if i * i + j * j <= radius * radius]
    return [(i, j) for _, i, j in sorted(inside)]


def _matched(own: Array, other: Array, offsets: List[Tuple[int, int]], classes: int) -> Array:
    """Return how many pixels of `own` have one of the same class in `other` near them, and how many there are."""
    # Pixel by pixel, nearest offsets first: most find theirs at once, and only the rest look further.
    reach = max(i for i, _ in offsets)
    padded = np.pad(other, reach, constant_values=NONE)
    rows, columns = np.nonzero(own >= 0)
    wanted = own[rows, columns]
    places = (rows + reach) * padded.shape[1] + columns + reach
    total, flat = np.bincount(wanted, minlength=classes), padded.ravel()
    for down, across in offsets:
        missing = flat[places + (down * padded.shape[1] + across)] != wanted
        places, wanted = places[missing], wanted[missing]
        if not len(places):
            break
    return np.stack([total - np.bincount(wanted, minlength=classes), total]).astype(np.int64)
