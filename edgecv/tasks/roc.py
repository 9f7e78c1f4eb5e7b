"""The area under the ROC curve: how well distances or scores tell two kinds apart. Pure numpy."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CHUNK = 2**19  # values at once, so that they stay in the cache


def auc(distances: Array, same: Array) -> float:
    """Return the share of (genuine, impostor) couples whose genuine pair is the closer one; ties count half.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic (ROC)
    curve", Radiology 143: it is the Mann-Whitney statistic.
    """
    samples = np.arange(len(distances))
    return float(weighted_auc(distances, same, samples, samples)(np.ones((1, len(samples))))[0])


def reverses(area: Optional[float], n: int) -> bool:
    """Return whether an area is so far below a half that chance on `n` samples is no cause: the ranking is reversed.

    By two standard deviations of the Mann-Whitney statistic of n / 2 against n / 2 independent scores, 1 / sqrt(3 n):
    pairs of n samples are more, and depend on each other. Source: Mann and Whitney 1947, "On a Test of Whether one of
    Two Random Variables is Stochastically Larger than the Other", Annals of Mathematical Statistics 18, section 4.
    """
    return area is not None and area < 0.5 - 2 / math.sqrt(3 * n)


def weighted_auc(distances: Array, same: Array, first: Array, second: Array) -> Callable[[Array], Array]:
    """Return the area under the ROC curve as a function of how often each unit was drawn.

    A pair within one unit weighs as much as that unit. A pair of two units weighs `w_a + w_b - 1`, the first order of
    the product `w_a w_b`: the product counts the noise of single pairs three times, so that its intervals are too wide
    for few samples. Source: Hoeffding 1948, "A Class of Statistics with Asymptotically Normal Distribution", the
    projection of a U statistic; the factor is `Var(w_a w_b) = 3`.

    Args:
        distances: float (pairs,).
        same: bool (pairs,), whether a pair is genuine; either lies within a unit for all genuine pairs or for none.
        first: int (pairs,), the unit (sample or identity) of each pair's first sample; `second` of its other one.

    Returns:
        From weights (draws, units) to areas float64 (draws,); NaN for a draw without genuine or impostor pairs.
        Weights of 1 give the area of all pairs.
    """
    order = np.argsort(distances[~same], kind="stable")
    impostors = distances[~same][order]
    below = np.searchsorted(impostors, distances[same], side="left")
    upto = np.searchsorted(impostors, distances[same], side="right")
    genuine_units = (first[same], second[same])
    impostor_units = (first[~same][order], second[~same][order])

    def areas(weights: Array) -> Array:
        found = np.empty(len(weights), np.float64)
        step = max(1, _CHUNK // max(1, len(distances)))
        for start in range(0, len(weights), step):
            part = np.asarray(weights[start : start + step], np.float64)
            found[start : start + step] = _areas(
                _pair_weights(part, *genuine_units), _pair_weights(part, *impostor_units), below, upto
            )
        return found

    return areas


def _pair_weights(weights: Array, first: Array, second: Array) -> Array:
    if np.array_equal(first, second):
        return np.asarray(weights[:, first])
    return np.asarray(weights[:, first] + weights[:, second] - 1.0)


def _areas(genuine: Array, impostor: Array, below: Array, upto: Array) -> Array:
    """Sum over genuine pairs the impostors that are farther away, and half of those that are as far.

    `genuine` and `impostor` are weights (draws, pairs), the impostors by distance; `below` and `upto` say how many
    impostors are closer than each genuine pair, and how many are not farther.
    """
    sums = np.zeros((len(impostor), impostor.shape[1] + 1))
    np.cumsum(impostor, axis=1, out=sums[:, 1:])
    total = sums[:, -1]
    lost = np.einsum("bg,bg->b", genuine, 0.5 * (sums[:, below] + sums[:, upto]))
    drawn = genuine.sum(axis=1)
    couples = np.where((drawn > 0) & (total > 0), drawn * total, np.nan)
    return np.asarray(np.clip(1.0 - lost / couples, 0.0, 1.0))
