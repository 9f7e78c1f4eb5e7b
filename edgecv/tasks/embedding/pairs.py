"""Pairs of embeddings: which ones are compared, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Tuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Measure = Literal["euclidean", "cosine"]

SAME = ("different", "same")
"""Labels of what a pair shows."""
ALL_PAIRS = 2**17
"""Up to so many pairs, all are compared: 512 samples."""
DRAWN_PAIRS = 2**16
"""Of more samples, so many genuine and so many impostor pairs are drawn."""
EPSILON = 1e-12
_CHUNK = 2**22


@dataclass(frozen=True)
class Pairs:
    """Pairs of samples, each of two different ones.

    Attributes:
        first: int64 (pairs,), index of a sample; `second` of the other.
        same: bool (pairs,), whether both are of one identity (a genuine pair; the others are impostors).
    """

    first: Array
    second: Array
    same: Array


def pairs_of(identities: Array, *, seed: int = 0, every: int = ALL_PAIRS, drawn: int = DRAWN_PAIRS) -> Pairs:
    """Return the pairs by which a set of samples is judged; the same identities and seed give the same pairs.

    Args:
        identities: int (n,), one per sample.
        seed: Of the draw.
        every: Up to so many pairs, all are taken.
        drawn: Otherwise the genuine ones, or so many of them drawn evenly, and so many impostors.

    Returns:
        Distinct pairs, genuine and impostor alike; fewer than `drawn` where there are not as many.
    """
    count = len(identities)
    if count * (count - 1) // 2 <= every:
        first, second = np.triu_indices(count, 1)
        return Pairs(first, second, np.asarray(identities[first] == identities[second]))
    rng = np.random.default_rng(seed)
    genuine, impostor = _genuine(identities, drawn, rng), _impostor(identities, drawn, rng)
    first, second = np.concatenate([genuine, impostor], axis=1)
    return Pairs(first, second, np.arange(len(first)) < genuine.shape[1])


def distances(vectors: Array, pairs: Pairs, measure: Measure) -> Array:
    """Return how far apart the samples of each pair are.

    Args:
        vectors: float32 (n, d).
        pairs: Of these samples.
        measure: "euclidean", >= 0; or "cosine", one minus the cosine of the angle, 0..2.

    Returns:
        float64 (pairs,).
    """
    found = np.empty(len(pairs.first), np.float64)
    step = max(1, _CHUNK // max(1, vectors.shape[1]))
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        found[part] = between(vectors[pairs.first[part]], vectors[pairs.second[part]], measure)
    return found


def between(first: Array, second: Array, measure: Measure) -> Array:
    """Return the distances (...) of vectors (..., d), float64. A vector of zeros is at cosine distance 1 from all."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if measure == "euclidean":
        return np.asarray(np.sqrt(np.square(a - b).sum(axis=-1)))
    return np.asarray(1.0 - (unit(a) * unit(b)).sum(axis=-1))


def unit(vectors: Array) -> Array:
    """Return vectors (..., d) at length 1, in their own dtype; zeros stay zeros."""
    lengths = np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True))
    return np.asarray(vectors / np.maximum(lengths, EPSILON), vectors.dtype)


def nearest(vectors: Array, measure: Measure) -> Array:
    """Return, for each of the vectors (n, d), the index of the nearest other one, int64 (n,); of equal ones the first.

    Args:
        vectors: float32 (n, d), n >= 2.
        measure: "euclidean" or "cosine".
    """
    values = np.asarray(vectors, np.float64)
    values = unit(values) if measure == "cosine" else values - values.mean(axis=0)
    # |a - b|^2 = |a|^2 - 2 ab + |b|^2, where |a|^2 is the same for all b.
    offsets = np.zeros(len(values)) if measure == "cosine" else np.square(values).sum(axis=1)
    found = np.empty(len(values), np.int64)
    step = max(1, _CHUNK // len(values))
    for start in range(0, len(values), step):
        rows = np.arange(start, min(start + step, len(values)))
        scores = offsets - 2.0 * values[rows] @ values.T
        scores[rows - start, rows] = np.inf
        found[rows] = scores.argmin(axis=1)
    return found


def _genuine(identities: Array, limit: int, rng: np.random.Generator) -> Array:
    """Draw evenly from all pairs of one identity, by the number of a pair: int64 (2, at most `limit`)."""
    order = np.argsort(identities, kind="stable")
    _, starts, sizes = np.unique(identities[order], return_index=True, return_counts=True)
    ends = np.cumsum(sizes * (sizes - 1) // 2)
    total = int(ends[-1])
    numbers = np.arange(total) if total <= limit else np.unique(rng.integers(total, size=limit))
    group = np.searchsorted(ends, numbers, side="right")
    low, high = _triangle(numbers - np.concatenate([[0], ends])[group])
    return np.sort(np.stack([order[starts[group] + low], order[starts[group] + high]]), axis=0)


def _triangle(numbers: Array) -> Tuple[Array, Array]:
    """Return the pair (low, high), low < high, of each number: 0 is (0, 1), 1 is (0, 2), 2 is (1, 2), 3 is (0, 3)."""
    high = ((1.0 + np.sqrt(1.0 + 8.0 * numbers)) / 2.0).astype(np.int64)
    return numbers - high * (high - 1) // 2, high


def _impostor(identities: Array, limit: int, rng: np.random.Generator) -> Array:
    """Draw pairs of two identities: int64 (2, at most `limit`); few where one identity has nearly all samples."""
    found = np.zeros((2, 0), np.int64)
    for _ in range(16):
        more = np.sort(rng.integers(len(identities), size=(2, limit)), axis=0)
        found = np.concatenate([found, more[:, identities[more[0]] != identities[more[1]]]], axis=1)
        _, kept = np.unique(found[0] * len(identities) + found[1], return_index=True)
        found = found[:, np.sort(kept)]
        if found.shape[1] >= limit:
            break
    return found[:, :limit]
