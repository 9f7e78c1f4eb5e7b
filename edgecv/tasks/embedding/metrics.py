"""What distances of genuine and impostor pairs say: how well a threshold tells them apart. Pure numpy.

A pair counts as one identity when its distance lies below a threshold. TAR is the share of genuine pairs that count
so, FAR the share of impostor pairs that do.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.embedding.pairs import Measure, Pairs, nearest
from edgecv.tasks.roc import auc

Array = NDArray[Any]

FALSE_ACCEPT_RATES = (0.1, 0.01, 0.001)
FOLDS = 10
LEAST_ACCEPTS = 10
"""A rate is given where at least so many impostors may pass; of fewer, its error is larger than itself."""


def figures(distances: Array, same: Array) -> Dict[str, Optional[float]]:
    """Return the area under the ROC curve, TAR at each false accept rate and the equal error rate, by name.

    Args:
        distances: float (pairs,).
        same: bool (pairs,), whether a pair is genuine.

    Returns:
        Shares 0..1; None where there are no genuine or impostor pairs, or too few impostors for a rate.
    """
    genuine, impostor = distances[same], distances[~same]
    some = bool(genuine.size and impostor.size)
    found: Dict[str, Optional[float]] = {"auc": auc(distances, same) if some else None}
    for rate in FALSE_ACCEPT_RATES:
        found[f"tar_at_far_{rate:g}"] = tar_at_far(genuine, impostor, rate)
    found["eer"] = equal_error_rate(genuine, impostor) if some else None
    return found


def tar_at_far(genuine: Array, impostor: Array, rate: float) -> Optional[float]:
    """Return the largest TAR whose FAR is at most `rate`; None where fewer than `LEAST_ACCEPTS` impostors may pass.

    Args:
        genuine: float (g,), distances of genuine pairs; `impostor` (i,) of impostor pairs.
        rate: Share of impostor pairs, 0 < rate < 1.
    """
    accepts = int(np.floor(rate * impostor.size * (1 + 1e-12)))
    if accepts < LEAST_ACCEPTS or not genuine.size:
        return None
    threshold = np.partition(impostor, accepts)[accepts]
    return float((genuine < threshold).mean())


def equal_error_rate(genuine: Array, impostor: Array) -> float:
    """Return the rate at which as large a share of impostors passes as of genuine pairs is turned away.

    It lies where the straight pieces of the ROC curve cross FAR = 1 - TAR. Both arguments are distances, not empty.
    """
    thresholds = np.unique(np.concatenate([genuine, impostor]))
    far = np.searchsorted(np.sort(impostor), thresholds, side="right") / impostor.size
    frr = 1.0 - np.searchsorted(np.sort(genuine), thresholds, side="right") / genuine.size
    far, frr = np.concatenate([[0.0], far]), np.concatenate([[1.0], frr])
    after = int(np.argmax(far >= frr))
    gap_before, gap_after = frr[after - 1] - far[after - 1], far[after] - frr[after]
    share = gap_before / (gap_before + gap_after)
    return float(far[after - 1] + share * (far[after] - far[after - 1]))


def accuracy_at(distances: Array, same: Array, threshold: float) -> float:
    """Return the share of pairs told right by "one identity when closer than the threshold".

    Genuine and impostor pairs count alike, however many there are: it is the mean of both shares. Neither is empty.
    """
    closer = distances < threshold
    return float(0.5 * (closer[same].mean() + (~closer[~same]).mean()))


def best_threshold(distances: Array, same: Array) -> float:
    """Return the threshold of the highest `accuracy_at`: half-way between two distances; of equal ones the smallest."""
    genuine, impostor = np.sort(distances[same]), np.sort(distances[~same])
    values = np.unique(distances)
    edges = np.concatenate([[values[0]], 0.5 * (values[1:] + values[:-1]), [np.nextafter(values[-1], np.inf)]])
    tar = np.searchsorted(genuine, edges) / genuine.size
    far = np.searchsorted(impostor, edges) / impostor.size
    return float(edges[np.argmax(tar - far)])


def pair_accuracy(distances: Array, pairs: Pairs, identities: Array) -> Optional[float]:
    """Return the accuracy at a threshold that was found on other data.

    The threshold is found on one half of the identities and used on the other, both ways; the result is the mean.
    Where a half of the identities lacks genuine or impostor pairs, the pairs themselves are halved. Source: Huang,
    Ramesh, Berg, Learned-Miller 2007, "Labeled Faces in the Wild": its folds share no person.

    Args:
        distances: float (pairs,).
        pairs: What was compared.
        identities: int (n,), one per sample.

    Returns:
        0..1; None where there are fewer than two genuine or two impostor pairs.
    """
    halves = _identity_halves(pairs, identities)
    if not _both_kinds(halves, pairs.same):
        halves = _pair_halves(pairs.same)
    if not _both_kinds(halves, pairs.same):
        return None
    found = []
    for fit in (0, 1):
        here, there = halves == fit, halves == 1 - fit
        found.append(
            accuracy_at(distances[there], pairs.same[there], best_threshold(distances[here], pairs.same[here]))
        )
    return float(np.mean(found))


def folded_accuracy(
    distances: Array, pairs: Pairs, identities: Array, folds: int = FOLDS
) -> Tuple[Optional[float], Optional[float]]:
    """Return the mean accuracy over folds that share no identity, each at the threshold of the others, and its error.

    A fold is every tenth identity by value. Pairs across folds are left out, so that no identity decides on itself.
    Source: Huang, Ramesh, Berg, Learned-Miller 2007, "Labeled Faces in the Wild", section 4: ten folds, the mean, and
    the standard error of the mean.

    Args:
        distances: float (pairs,).
        pairs: What was compared.
        identities: int (n,), one per sample.
        folds: Number of folds, >= 2.

    Returns:
        The mean, 0..1, and its standard error; None for both where a fold lacks genuine or impostor pairs.
    """
    own = np.unique(identities, return_inverse=True)[1].reshape(-1) % folds
    first, second = own[pairs.first], own[pairs.second]
    found = []
    for fold in range(folds):
        here, there = (first == fold) & (second == fold), (first != fold) & (second != fold)
        if len(np.unique(pairs.same[here])) < 2 or len(np.unique(pairs.same[there])) < 2:
            return None, None
        limit = best_threshold(distances[there], pairs.same[there])
        found.append(accuracy_at(distances[here], pairs.same[here], limit))
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(folds))


def _identity_halves(pairs: Pairs, identities: Array) -> Array:
    """Return 0 or 1 for pairs within a half of the identities, every other one by value; -1 for pairs across."""
    half = np.unique(identities, return_inverse=True)[1].reshape(-1) % 2
    return np.where(half[pairs.first] == half[pairs.second], half[pairs.first], -1)


def _pair_halves(same: Array) -> Array:
    halves = np.empty(len(same), np.int64)
    for kind in (same, ~same):
        halves[kind] = np.arange(int(kind.sum())) % 2
    return halves


def _both_kinds(halves: Array, same: Array) -> bool:
    kinds: Tuple[Array, Array] = (same, ~same)
    return all(bool((kind & (halves == half)).any()) for kind in kinds for half in (0, 1))


def rank_one(vectors: Array, identities: Array, measure: Measure) -> Optional[float]:
    """Return the share of samples whose nearest other one is of their identity; None where no identity has two.

    Samples that are alone in their identity are not asked for, but can be wrongly found.

    Args:
        vectors: float32 (n, d).
        identities: int (n,).
        measure: "euclidean" or "cosine".
    """
    _, codes, counts = np.unique(identities, return_inverse=True, return_counts=True)
    asked = counts[codes.reshape(-1)] > 1
    if not asked.any():
        return None
    return float((identities[nearest(vectors, measure)] == identities)[asked].mean())
