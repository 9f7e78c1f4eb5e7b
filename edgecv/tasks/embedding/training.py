"""How vectors and distances are learned: by pairs, triplets, or all of a batch. Tensors are tensorflow's.

Source: Hadsell, Chopra, LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping", eq. 4, without its
factors of one half: `y d^2 + (1 - y) max(margin - d, 0)^2`, y = 1 for one identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.optional import require
from edgecv.tasks.embedding import triplets
from edgecv.tasks.embedding.supervised import supervised_contrastive
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec

if TYPE_CHECKING:
    from edgecv.tasks.embedding.task import EmbeddingSettings, VerificationSettings

Array = NDArray[Any]

BINS = 64
EPSILON = 1e-12  # inside of square roots, whose slope at 0 is infinite


def contrastive(distance: Any, same: Any, margin: float) -> Any:
    """Return the loss of each pair, float32 (pairs,): distances and 1 for one identity, 0 for two, in that shape."""
    tf = _tensorflow()
    return same * tf.square(distance) + (1.0 - same) * tf.square(tf.maximum(margin - distance, 0.0))


class EmbeddingTraining:
    """Learning vectors from pairs: rows 2i and 2i + 1 of a batch are partners, which `order` puts together.

    Or from triplets, or by the supervised contrastive loss: a batch then has several samples of each identity.
    """

    def __init__(self, settings: EmbeddingSettings) -> None:
        self.settings = settings

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        return (TensorSpec((), "int64"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        return (np.asarray(truth, np.int64),)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        return None

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the mean contrastive loss of pairs of neighbours, an odd last row left out; or the loss of a batch."""
        if self.settings.loss == "triplet":
            return self._triplet(tuple(targets), tuple(outputs))
        if self.settings.loss == "supervised_contrastive":
            tf = _tensorflow()
            own = tf.reshape(targets[0], [-1])
            return supervised_contrastive(_unit(outputs[0]), own, self.settings.temperature)
        tf = _tensorflow()
        vectors, identities = self._vectors(outputs[0]), tf.reshape(targets[0], [-1])
        count = tf.shape(vectors)[0] // 2
        distance = self._distance(vectors[0 : 2 * count : 2], vectors[1 : 2 * count : 2])
        same = tf.cast(tf.equal(identities[0 : 2 * count : 2], identities[1 : 2 * count : 2]), distance.dtype)
        lost = contrastive(distance, same, self.settings.margin)
        return tf.reduce_sum(lost) / tf.cast(tf.maximum(count, 1), lost.dtype)

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return histograms of the distances of all genuine and all impostor pairs of a batch, float32 (2 * 64,).

        The last bin holds all distances beyond twice the margin; beyond 2, the largest there is, for the cosine and for
        vectors of length 1.
        """
        tf = _tensorflow()
        vectors, identities = self._vectors(outputs[0]), tf.reshape(targets[0], [-1])
        distance = self._distance(vectors[:, None], vectors[None])
        same = tf.cast(tf.equal(identities[:, None], identities[None]), tf.int32)
        bounded = self.settings.distance == "cosine" or self.settings.normalise
        end = 2.0 if bounded else 2.0 * self.settings.margin
        bins = tf.clip_by_value(tf.cast(distance * (BINS / end), tf.int32), 0, BINS - 1) + BINS * (1 - same)
        above = tf.range(tf.shape(vectors)[0])[:, None] < tf.range(tf.shape(vectors)[0])[None]
        return tf.math.unsorted_segment_sum(
            tf.cast(tf.reshape(above, [-1]), tf.float32), tf.reshape(bins, [-1]), 2 * BINS
        )

    def value(self, sums: Array) -> float:
        """Return the area under the ROC curve, 0..1, to the precision of the histograms; 0.5 without pairs."""
        genuine, impostor = np.asarray(sums, np.float64).reshape(2, BINS)
        couples = genuine.sum() * impostor.sum()
        if couples == 0:
            return 0.5
        farther = impostor.sum() - np.cumsum(impostor)
        return float((genuine * (farther + 0.5 * impostor)).sum() / couples)

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the mean squared difference of the vectors, which are of one length."""
        tf = _tensorflow()
        return tf.reduce_mean(tf.square(self._vectors(teacher[0]) - self._vectors(outputs[0])))

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        """Return every sample once, int64 (n,), partners together: half of the pairs of one identity, as data allow.

        For the losses of a batch, groups of one identity together.
        """
        identities = np.asarray(truths, np.int64).reshape(-1)
        if self.settings.loss != "contrastive":
            return triplets.grouped_order(
                identities, self.settings.samples_per_identity, rng, balance=self.settings.balance
            )
        return paired_order(identities, rng)

    def _triplet(self, targets: Tuple[Any, ...], outputs: Tuple[Any, ...]) -> Any:
        tf = _tensorflow()
        mined = triplets.semi_hard if self.settings.mining == "semi_hard" else triplets.batch_hard
        apart = triplets.squared_distances(_unit(outputs[0]))
        return mined(apart, tf.reshape(targets[0], [-1]), self.settings.margin)

    def _vectors(self, output: Any) -> Any:
        return _unit(output) if self.settings.normalise else output

    def _distance(self, first: Any, second: Any) -> Any:
        tf = _tensorflow()
        if self.settings.distance == "euclidean":
            return tf.sqrt(tf.reduce_sum(tf.square(first - second), axis=-1) + EPSILON)
        lengths = tf.reduce_sum(tf.square(first), axis=-1) * tf.reduce_sum(tf.square(second), axis=-1)
        return 1.0 - tf.reduce_sum(first * second, axis=-1) / tf.sqrt(lengths + EPSILON)


class VerificationTraining:
    """Learning the distance of two inputs."""

    def __init__(self, settings: VerificationSettings) -> None:
        self.settings = settings

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        return (TensorSpec((), "float32"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        return (np.asarray(truth, np.float32),)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        return None

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        tf = _tensorflow()
        distance, same = tf.reshape(outputs[0], [-1]), tf.cast(tf.reshape(targets[0], [-1]), tf.float32)
        return tf.reduce_mean(contrastive(distance, same, self.settings.margin))

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return how many pairs are told right, and how many there are, float32 (2,)."""
        tf = _tensorflow()
        closer, same = tf.reshape(outputs[0], [-1]) < self.settings.threshold, tf.reshape(targets[0], [-1]) > 0.5
        right = tf.cast(tf.equal(closer, same), tf.float32)
        return tf.stack([tf.reduce_sum(right), tf.cast(tf.size(right), tf.float32)])

    def value(self, sums: Array) -> float:
        return float(sums[0] / max(float(sums[1]), 1.0))

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the mean squared difference of the distances."""
        tf = _tensorflow()
        return tf.reduce_mean(tf.square(tf.reshape(teacher[0], [-1]) - tf.reshape(outputs[0], [-1])))

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return rng.permutation(len(truths))


def _unit(output: Any) -> Any:
    """Return vectors (n, d) at length 1."""
    tf = _tensorflow()
    return output / tf.sqrt(tf.reduce_sum(tf.square(output), axis=-1, keepdims=True) + EPSILON)


def paired_order(identities: Array, rng: np.random.Generator) -> Array:
    """Return every sample once, int64 (n,), so that rows 2i and 2i + 1 are partners.

    Half of the pairs are of one identity, fewer where identities have too few samples; the others are of two, except
    where one identity has too many. Of an odd number, one sample stands last and alone.

    Args:
        identities: int64 (n,).
        rng: Decides everything else.
    """
    count = len(identities) // 2
    shuffled = rng.permutation(len(identities))
    alone = shuffled[2 * count :]
    genuine, others = _take_genuine(identities, shuffled[: 2 * count], count // 2, rng)
    pairs = np.concatenate([genuine, _impostors(identities, others, rng)])
    return np.concatenate([pairs[rng.permutation(count)].reshape(-1), alone])


def _take_genuine(identities: Array, samples: Array, wanted: int, rng: np.random.Generator) -> Tuple[Array, Array]:
    """Return at most `wanted` pairs of one identity (pairs, 2), and the samples that are left.

    Each identity gives pairs in proportion to its samples, so that none is left with most of the others.
    """
    ordered = samples[np.argsort(identities[samples], kind="stable")]
    _, starts, sizes = np.unique(identities[ordered], return_index=True, return_counts=True)
    place, size = np.arange(len(ordered)) - np.repeat(starts, sizes), np.repeat(sizes, sizes)
    firsts = np.flatnonzero((place % 2 == 0) & (place + 1 < size))
    turn = (place // 2 + np.repeat(rng.random(len(sizes)), sizes)) / size
    firsts = firsts[np.argsort(turn[firsts], kind="stable")][:wanted]
    left = np.ones(len(ordered), bool)
    left[firsts] = left[firsts + 1] = False
    return np.stack([ordered[firsts], ordered[firsts + 1]], axis=1), ordered[left]


def _impostors(identities: Array, samples: Array, rng: np.random.Generator) -> Array:
    """Pair an even number of samples (pairs, 2) with partners of other identities, as far as there are any.

    Random partners, of which those that clash are mixed with ever more others and dealt again by identity.
    """
    pairs = rng.permutation(samples).reshape(-1, 2)
    clash = identities[pairs[:, 0]] == identities[pairs[:, 1]]
    mixed = 2 * int(clash.sum())
    while clash.any():
        pairs = pairs[np.argsort(~clash, kind="stable")]
        pairs[:mixed] = _dealt(identities, pairs[:mixed].reshape(-1))
        clash = identities[pairs[:, 0]] == identities[pairs[:, 1]]
        if mixed >= len(pairs):
            break
        mixed *= 2
    return pairs


def _dealt(identities: Array, samples: Array) -> Array:
    """Pair each sample with the one half the samples further by identity: no clash unless one has more than half."""
    ordered = samples[np.argsort(identities[samples], kind="stable")]
    return ordered.reshape(2, -1).T


def _tensorflow() -> Any:
    return require("tensorflow", why="to train")
