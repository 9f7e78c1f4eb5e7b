"""The triplet loss, which triplets of a batch count, and batches that hold several samples of an identity.

`max(d(a, p) - d(a, n) + margin, 0)` of anchor, positive and negative, d the squared Euclidean distance of vectors of
length 1: 0..4. Tensors are tensorflow's.

Sources: Schroff, Kalenichenko, Philbin 2015, "FaceNet", sections 3.1 and 3.2 (semi-hard); Hermans, Beyer, Leibe 2017,
"In Defense of the Triplet Loss for Person Re-Identification", eq. 5 (batch-hard).
"""

from __future__ import annotations

import math
from typing import Any, List

import numpy as np
from numpy.typing import NDArray

from edgecv.core.optional import require

Array = NDArray[Any]
FAR = 8.0  # farther than any two vectors of length 1


def squared_distances(vectors: Any) -> Any:
    """Return the squared distances of all rows of float32 (n, d), float32 (n, n), exactly 0 on the diagonal."""
    tf = _tensorflow()
    return tf.reduce_sum(tf.square(vectors[:, None] - vectors[None]), axis=-1)


def semi_hard(apart: Any, identities: Any, margin: float) -> Any:
    """Return the mean triplet loss over all pairs of anchor and positive, a scalar; 0 where there are no triplets.

    The negative of a pair is the nearest one that is farther from the anchor than the positive; where there is none,
    the farthest of all.

    Args:
        apart: float32 (n, n), squared distances.
        identities: int64 (n,).
        margin: > 0.
    """
    tf = _tensorflow()
    positive, negative = _masks(apart, identities)
    # (anchor, positive, negative)
    farther = negative[:, None] & (apart[:, None] > apart[:, :, None])
    nearest = tf.reduce_min(tf.where(farther, apart[:, None], FAR), axis=2)
    farthest = tf.reduce_max(tf.where(negative, apart, 0.0), axis=1, keepdims=True)
    chosen = tf.where(tf.reduce_any(farther, axis=2), nearest, farthest)
    return _mean(tf.maximum(apart - chosen + margin, 0.0), positive & tf.reduce_any(negative, axis=1, keepdims=True))


def batch_hard(apart: Any, identities: Any, margin: float) -> Any:
    """Return the mean triplet loss over anchors, each with its farthest positive and its nearest negative.

    Arguments as for `semi_hard`; 0 where no anchor has both.
    """
    tf = _tensorflow()
    positive, negative = _masks(apart, identities)
    hardest = tf.reduce_max(tf.where(positive, apart, 0.0), axis=1)
    nearest = tf.reduce_min(tf.where(negative, apart, FAR), axis=1)
    both = tf.reduce_any(positive, axis=1) & tf.reduce_any(negative, axis=1)
    return _mean(tf.maximum(hardest - nearest + margin, 0.0), both)


def grouped_order(identities: Array, each: int, rng: np.random.Generator, *, balance: float = 0.0) -> Array:
    """Return every sample once, int64 (n,), in groups of `each` samples of one identity.

    A batch of a multiple of `each` so holds several samples of each of its identities. What does not fill a group comes
    last, still identity by identity; which samples those are changes with `rng`.

    Args:
        identities: int64 (n,).
        each: Samples in a group, >= 2.
        rng: Decides everything else.
        balance: An identity gives so many times the groups of the median one at most, others of its own each time, and
            its other samples are left out; 0: all. A few large identities would else be most of every batch.
    """
    shuffled = rng.permutation(len(identities))
    ordered = shuffled[np.argsort(identities[shuffled], kind="stable")]
    _, starts, sizes = np.unique(identities[ordered], return_index=True, return_counts=True)
    most = math.ceil(balance * max(1.0, float(np.median(sizes // each)))) if len(sizes) else 0
    full: List[Array] = []
    rest: List[Array] = []
    for own in np.split(ordered, starts[1:]):
        whole = len(own) // each
        kept = min(whole, most) if most else whole
        full.extend(own[: kept * each].reshape(-1, each))
        if kept == whole and whole * each < len(own):
            rest.append(own[whole * each :])
    groups = [full[place] for place in rng.permutation(len(full))] + [
        rest[place] for place in rng.permutation(len(rest))
    ]
    return np.concatenate(groups) if groups else np.zeros(0, np.int64)


def _masks(apart: Any, identities: Any) -> Any:
    """Return which pairs are of one identity, but for a sample with itself, and which of two: bool (n, n)."""
    tf = _tensorflow()
    same = tf.equal(identities[:, None], identities[None])
    return same & ~tf.eye(tf.shape(apart)[0], dtype=tf.bool), ~same


def _mean(values: Any, counted: Any) -> Any:
    tf = _tensorflow()
    weights = tf.cast(counted, values.dtype)
    return tf.reduce_sum(values * weights) / tf.maximum(tf.reduce_sum(weights), 1.0)


def _tensorflow() -> Any:
    return require("tensorflow", why="to train")
