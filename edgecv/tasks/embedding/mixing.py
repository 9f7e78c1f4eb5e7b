"""Whether two files of one network can share a gallery: one enrols, the other asks. Pure numpy.

The same pairs of samples are judged three ways: both samples by the gallery's model, both by the asking model, and the
first by the gallery's and the second by the asking one, as when people are enrolled with float and found with int8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.embedding import metrics
from edgecv.tasks.embedding.pairs import Measure, Pairs, between, distances
from edgecv.tasks.embedding.task import drawn_units, some_pairs, stacked
from edgecv.tasks.roc import weighted_auc
from edgecv.values.scores import Drop, Metric

Array = NDArray[Any]
Statistic = Callable[[Array], Array]
_CHUNK = 2**20  # weights at once


@dataclass(frozen=True)
class Way:
    """How well pairs are told apart when their samples are seen by certain models.

    Attributes:
        enrolled: What saw the first sample of each pair: "gallery" or "asking".
        asked: What saw the second one.
        figures: "auc", "pair_accuracy", "accuracy_at_gallery_threshold" (the threshold that is best for the gallery's
            model alone), "tar_at_far_…" and "eer"; None where there are too few pairs.
        drops: Figure to what is lost of it against the gallery's model alone, a share 0..1, with the paired bootstrap's
            95 % interval over identities (samples where these are few). Empty for that model itself.
    """

    enrolled: str
    asked: str
    figures: Mapping[str, Optional[float]]
    drops: Mapping[str, Drop]


@dataclass(frozen=True)
class Mixing:
    """The three ways on the same pairs.

    Attributes:
        ways: The gallery's model alone, the asking model alone, and mixed.
        pairs: Number of pairs; `genuine` of them of one identity.
        threshold: The best one for the gallery's model alone.
        units: What the bootstrap draws: "identities" or "samples".
    """

    ways: Tuple[Way, ...]
    pairs: int
    genuine: int
    threshold: float
    units: str


def mixing(gallery: Sequence[Any], asking: Sequence[Any], measure: Measure) -> Mixing:
    """Return what is lost when samples that one model enrolled are asked for by another.

    Args:
        gallery: The gallery's model's evidence: (vector float32 (d,), identity) per sample.
        asking: The asking model's, of the same samples in the same order.
        measure: "euclidean" or "cosine".

    Raises:
        DataError: The two are not of the same samples or of one length, or hold no genuine or no impostor pairs.
    """
    (first, identities), (second, again) = stacked(gallery), stacked(asking)
    if not np.array_equal(identities, again):
        raise DataError("the two results are not of the same samples", hint="evaluate both models on one split")
    if first.shape != second.shape:
        raise DataError(
            f"vectors of {first.shape[1]} and of {second.shape[1]} values cannot be compared",
            hint="take two files of one network",
        )
    pairs = some_pairs(identities)
    alone = distances(first, pairs, measure)
    mixed = np.empty_like(alone)
    step = max(1, 2**22 // first.shape[1])
    for start in range(0, len(mixed), step):
        part = slice(start, start + step)
        mixed[part] = between(first[pairs.first[part]], second[pairs.second[part]], measure)
    apart = {
        ("gallery", "gallery"): alone,
        ("asking", "asking"): distances(second, pairs, measure),
        ("gallery", "asking"): mixed,
    }
    threshold = metrics.best_threshold(alone, pairs.same)
    units, count = drawn_units(identities)
    figures = {way: _figures(found, pairs, identities, threshold) for way, found in apart.items()}
    base = figures[("gallery", "gallery")]
    ways = []
    for (enrolled, asked), found in apart.items():
        drops = {} if found is alone else _drops(alone, found, pairs, units, count, threshold, base)
        ways.append(Way(enrolled, asked, figures[(enrolled, asked)], drops))
    named = "identities" if count == len(np.unique(identities)) else "samples"
    return Mixing(tuple(ways), len(pairs.same), int(pairs.same.sum()), threshold, named)


def _figures(apart: Array, pairs: Pairs, identities: Array, threshold: float) -> Dict[str, Optional[float]]:
    found = metrics.figures(apart, pairs.same)
    found["pair_accuracy"] = metrics.pair_accuracy(apart, pairs, identities)
    found["accuracy_at_gallery_threshold"] = metrics.accuracy_at(apart, pairs.same, threshold)
    return found


def _drops(
    base: Array,
    candidate: Array,
    pairs: Pairs,
    units: Array,
    count: int,
    threshold: float,
    figures: Mapping[str, Optional[float]],
) -> Dict[str, Drop]:
    """Return what the candidate distances lose of each figure that has an interval."""
    ends = units[pairs.first], units[pairs.second]
    ways: Dict[str, Callable[[Array], Statistic]] = {
        "auc": lambda apart: weighted_auc(apart, pairs.same, *ends),
        "accuracy_at_gallery_threshold": lambda apart: weighted_accuracy(apart, pairs.same, *ends, threshold),
    }
    for rate in metrics.FALSE_ACCEPT_RATES:
        if figures[f"tar_at_far_{rate:g}"] is not None:
            ways[f"tar_at_far_{rate:g}"] = lambda apart, rate=rate: weighted_tar(apart, pairs.same, *ends, rate)  # type: ignore[misc]
    return {name: bootstrap_drop(make(base), make(candidate), count, Metric(name)) for name, make in ways.items()}


def weighted_accuracy(distances: Array, same: Array, first: Array, second: Array, threshold: float) -> Statistic:
    """Return `metrics.accuracy_at` as a function of how often each unit was drawn; pairs weigh as in `weighted_auc`.

    Args:
        distances: float (pairs,).
        same: bool (pairs,).
        first: int (pairs,), the unit of each pair's first sample; `second` of its other one.
        threshold: Closer pairs count as genuine.
    """
    right = (distances < threshold) == same
    within = np.array_equal(first[same], second[same])

    def shares(weights: Array) -> Array:
        found = np.zeros(len(weights))
        for kind in (same, ~same):
            ends = first[kind], second[kind]
            inside = kind is same and within
            # Sums over pairs of w_a + w_b - 1 are sums over units: as many weights as units, whatever the pairs are.
            all_of, right_of = (_sums(ends, part, weights, inside) for part in (None, right[kind]))
            with np.errstate(divide="ignore", invalid="ignore"):
                found += 0.5 * np.where(all_of > 0, right_of / all_of, np.nan)
        return np.asarray(np.clip(found, 0.0, 1.0))

    return shares


def _sums(ends: Tuple[Array, Array], chosen: Optional[Array], weights: Array, inside: bool) -> Array:
    """Return the sum of the weights of the chosen pairs, (draws,)."""
    a, b = (end if chosen is None else end[chosen] for end in ends)
    units = weights.shape[1]
    if inside:
        return np.asarray(weights @ np.bincount(a, minlength=units))
    return np.asarray(weights @ (np.bincount(a, minlength=units) + np.bincount(b, minlength=units)) - len(a))


def weighted_tar(distances: Array, same: Array, first: Array, second: Array, rate: float) -> Statistic:
    """Return `metrics.tar_at_far` as a function of how often each unit was drawn.

    A pair of two units weighs as the product of both: the sums that a threshold is found by must not fall. The noise of
    single pairs counts more so than in `weighted_auc`, and intervals are rather too wide than too narrow.

    Args:
        distances: float (pairs,); `same`, `first` and `second` as for `weighted_accuracy`.
        rate: False accept rate, 0 < rate < 1.
    """
    order = np.argsort(distances[~same], kind="stable")
    impostors = distances[~same][order]
    impostor_units = first[~same][order], second[~same][order]
    ascending = np.argsort(distances[same], kind="stable")
    genuine = distances[same][ascending]
    genuine_units = first[same][ascending], second[same][ascending]

    def shares(weights: Array) -> Array:
        found = np.empty(len(weights))
        step = max(1, _CHUNK // len(distances))
        for start in range(0, len(weights), step):
            part = weights[start : start + step]
            far = np.cumsum(_products(part, *impostor_units), axis=1)
            tar = np.cumsum(_products(part, *genuine_units), axis=1)
            for row in range(len(part)):
                found[start + row] = _tar(far[row], tar[row], impostors, genuine, rate)
        return found

    return shares


def _products(weights: Array, first: Array, second: Array) -> Array:
    """Return the weights of pairs (draws, pairs); a pair within a unit weighs as that unit."""
    inside = first == second
    return np.asarray(np.where(inside, weights[:, first], weights[:, first] * weights[:, second]))


def _tar(far: Array, tar: Array, impostors: Array, genuine: Array, rate: float) -> float:
    """Return the weighted TAR of one draw; `far` and `tar` are running sums of weights, by distance."""
    if not (far[-1] > 0 and tar[-1] > 0):
        return float("nan")
    # The first impostor that must not pass is the limit.
    place = int(np.searchsorted(far, rate * far[-1] * (1 + 1e-12), side="right"))
    closer = int(np.searchsorted(genuine, impostors[min(place, len(impostors) - 1)], side="left"))
    return float(tar[closer - 1] / tar[-1]) if closer else 0.0
