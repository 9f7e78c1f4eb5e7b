"""The tasks "embedding", which turns a sample into a vector, and "verification", which compares two samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Literal, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks import drawing
from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.boxes import class_name
from edgecv.tasks.description import Description, counted, measured
from edgecv.tasks.embedding import metrics
from edgecv.tasks.embedding.pairs import SAME, Measure, Pairs, distances, pairs_of, unit
from edgecv.tasks.embedding.prediction import Embedding, Verification, side_by_side
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.mediapipe import MediapipeHead, ReadOutput
from edgecv.tasks.paired import paired_drop
from edgecv.tasks.protocol import Division, Form
from edgecv.tasks.roc import reverses, weighted_auc
from edgecv.tasks.values import check_whole
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]

LEAST_IDENTITIES = 20
"""From so many identities on, they are what a bootstrap draws; below, samples."""
GALLERY = 10_000
"""Of more samples, so many are drawn for the rank-1 rate, which falls as the gallery grows."""


@dataclass(frozen=True)
class EmbeddingSettings:
    """How vectors are compared and learned.

    Attributes:
        distance: "euclidean" or "cosine" (one minus the cosine of the angle).
        margin: > 0, the distance from which on impostor pairs cost nothing in training; of triplets, by how much the
            squared distance to a negative must exceed that to a positive.
        threshold: >= 0; samples that are closer count as one identity.
        normalise: Whether the vector's length is made 1, outside of the network.
        loss: "contrastive", of pairs; "triplet" or "supervised_contrastive", which need `normalise` or the cosine.
        mining: Which triplets of a batch count: "semi_hard" or "batch_hard".
        temperature: > 0, of the supervised contrastive loss: a small one looks at the nearest others alone.
        samples_per_identity: >= 2, of a group in a batch of triplets or of the supervised contrastive loss; the batch
            size is best a multiple of it.
        balance: An identity gives so many times the groups of the median one to an epoch, at most; 0: all it has.
    """

    distance: Measure = "euclidean"
    margin: float = 1.0
    threshold: float = 0.5
    normalise: bool = False
    loss: Literal["contrastive", "triplet", "supervised_contrastive"] = "contrastive"
    mining: Literal["semi_hard", "batch_hard"] = "semi_hard"
    temperature: float = 0.15
    samples_per_identity: int = 4
    balance: float = 0.0

    def __post_init__(self) -> None:
        _check_numbers(self.margin, self.threshold)
        if self.samples_per_identity < 2:
            raise ConfigError(f"samples_per_identity must be 2 or more, got {self.samples_per_identity}")
        if not (self.balance == 0 or self.balance >= 1):
            raise ConfigError(f"balance must be 0 or 1 or more, got {self.balance}")
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be > 0, got {self.temperature}")
        if self.loss != "contrastive" and not self.normalise and self.distance != "cosine":
            what = "triplets are" if self.loss == "triplet" else "the supervised contrastive loss is"
            raise ConfigError(
                f"{what} of vectors of length 1: without it, a network meets any demand by longer vectors",
                hint='set normalise = true, or distance = "cosine"',
            )


@dataclass(frozen=True)
class VerificationSettings:
    """How distances are read and learned; `margin` and `threshold` as those of an embedding."""

    margin: float = 1.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        _check_numbers(self.margin, self.threshold)


class EmbeddingTask(BaseTask):
    """One vector per sample; judged by the area under the ROC curve over pairs of samples.

    Evidence of a sample is its vector, float32 (d,), and its identity.
    """

    name = "embedding"
    form: Form = "vector"
    metric = Metric("auc")
    reads: Tuple[str, ...] = ("embedding", "classification")
    labelled = False
    named: Tuple[str, str] = ("identity", "identities")
    is_features = True
    divided_by: Division = "identities"
    Settings = EmbeddingSettings

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)
        if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] < 2 or head.activation != "linear":
            raise UnsupportedModelError(
                f"head '{head.name}' (embedding) is one linear output (batch, length >= 2), got {head.activation} "
                f"{_told(shapes)}",
                hint="flatten or pool the maps in the network, and do not add an activation that squashes",
            )

    def mediapipe(self, head: Head, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]) -> MediapipeHead:
        settings: EmbeddingSettings = self.settings(head)
        limits = []
        if settings.normalise:
            limits.append("vectors have length 1 only where the app sets l2_normalize")
        if settings.distance == "euclidean" and not settings.normalise:
            limits.append("it compares by the cosine alone: an app computes the euclidean distance itself")
        return MediapipeHead("image_embedder", (ReadOutput(head.name),), limits=tuple(limits))

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Embedding:
        settings: EmbeddingSettings = self.settings(head)
        return Embedding(_vectors(outputs[0], settings), settings.normalise, settings.distance)

    def evidence(self, truth: Any, prediction: Any, head: Head) -> Tuple[Array, int]:
        return prediction.vector, int(truth)

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Tuple[Array, int]]:
        vectors = _vectors(outputs[0], self.settings(head))
        return [(vector, int(truth)) for vector, truth in zip(vectors, truths)]

    def score(self, evidence: Sequence[Any], head: Head) -> Scores:
        """Return the area under the ROC curve and what a threshold achieves.

        Figures: "pair_accuracy" at the best threshold of other identities, in two halves, and "pair_accuracy_10_folds"
        in ten, with "pair_accuracy_10_folds_error", the standard error of that mean; "pair_accuracy_at_threshold" at
        that of the settings (genuine and impostor pairs count alike in all), "tar_at_far_0.1", "…_0.01" and "…_0.001",
        "eer", and "rank1". None where there are too few pairs.
        """
        settings: EmbeddingSettings = self.settings(head)
        vectors, identities = stacked(evidence)
        pairs = some_pairs(identities)
        apart = distances(vectors, pairs, settings.distance)
        found = metrics.figures(apart, pairs.same)
        value = found.pop("auc")
        assert value is not None
        found["pair_accuracy"] = metrics.pair_accuracy(apart, pairs, identities)
        ten = metrics.folded_accuracy(apart, pairs, identities)
        found["pair_accuracy_10_folds"], found["pair_accuracy_10_folds_error"] = ten
        found["pair_accuracy_at_threshold"] = metrics.accuracy_at(apart, pairs.same, settings.threshold)
        gallery = _gallery(len(identities))
        found["rank1"] = metrics.rank_one(vectors[gallery], identities[gallery], settings.distance)
        return Scores(value=value, figures=found)

    def drop(self, base: Sequence[Any], candidate: Sequence[Any], head: Head) -> Drop:
        """Return the loss of AUC, with the paired bootstrap's interval.

        From `LEAST_IDENTITIES` identities on, it draws identities: what is new in use is other people. Of fewer, such
        as ten digits, it draws samples of the same identities.

        Raises:
            DataError: The two are not of the same samples, or hold no genuine or no impostor pairs.
        """
        paired(base, candidate)
        measure: Measure = self.settings(head).distance
        (first, identities), (second, again) = stacked(base), stacked(candidate)
        if not np.array_equal(identities, again):
            raise DataError("paired results are not of the same samples", hint="evaluate both models on one split")
        pairs = some_pairs(identities)
        units, count = drawn_units(identities)
        statistics = [_statistic(vectors, pairs, units, measure) for vectors in (first, second)]
        return bootstrap_drop(statistics[0], statistics[1], count, self.metric)

    def doubt(self, value: float, figures: Mapping[str, Optional[float]], n: int, head: Head) -> str:
        return _reversed(value, n, head)

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        check_whole(truth, where, "an identity")

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> int:
        return int(rng.integers(4))

    def strata(self, truths: Sequence[Any]) -> Array:
        return np.asarray(truths, np.int64).reshape(-1)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        each = np.unique(np.asarray(truths, np.int64), return_counts=True)[1]
        return measured({"images per identity": each}, counted(truths, labels))

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        return class_name(labels, int(truth))

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        picture = side_by_side(image) if prediction is None else prediction.draw(image)
        return picture if truth is None else drawing.caption(picture, [f"truth: {self.told(truth, labels)}"])

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.embedding.training import EmbeddingTraining

        if head.activation != "linear":
            raise _no_loss(head, "linear")
        return EmbeddingTraining(self.settings(head))


class VerificationTask(BaseTask):
    """The distance of two samples, >= 0; below a threshold they are of one identity. Judged by the share of right ones.

    Evidence of a pair is its distance, and whether it is genuine.
    """

    name = "verification"
    metric = Metric("pair_accuracy")
    reads: Tuple[str, ...] = ("verification", "embedding", "classification")
    labelled = False
    named: Tuple[str, str] = ("answer", "answers")
    compares = 2
    call_settings = ("threshold",)
    Settings = VerificationSettings

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)
        if len(shapes) != 1 or tuple(shapes[0][1:]) != (1,) or head.activation != "distances":
            raise UnsupportedModelError(
                f"head '{head.name}' (verification) is one output (batch, 1) of distances, got {head.activation} "
                f"{_told(shapes)}",
                hint="let the network end at the distance, without a sigmoid",
            )

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Verification:
        distance, threshold = float(np.asarray(outputs[0]).reshape(())), self.settings(head).threshold
        return Verification(distance < threshold, distance, threshold)

    def evidence(self, truth: Any, prediction: Any, head: Head) -> Tuple[float, bool]:
        return prediction.distance, bool(truth)

    def score(self, evidence: Sequence[Any], head: Head) -> Scores:
        """Return the share of pairs told right; figures "auc", "tar_at_far_…", "eer", each None where undefined."""
        apart, same = _compared(evidence)
        right = (apart < self.settings(head).threshold) == same
        return Scores(value=float(right.mean()), figures=metrics.figures(apart, same))

    def drop(self, base: Sequence[Any], candidate: Sequence[Any], head: Head) -> Drop:
        """Return the loss of accuracy, with Tango's paired interval over pairs."""
        paired(base, candidate)
        threshold = self.settings(head).threshold
        (first, same), (second, again) = _compared(base), _compared(candidate)
        if not np.array_equal(same, again):
            raise DataError("paired results are not of the same pairs", hint="evaluate both models on one split")
        right = [((apart < threshold) == same).tolist() for apart in (first, second)]
        return paired_drop(right[0], right[1])

    def doubt(self, value: float, figures: Mapping[str, Optional[float]], n: int, head: Head) -> str:
        return _reversed(figures.get("auc"), n, head)

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        check_whole(truth, where, "1 for the same identity or 0 for two", most=1)

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> int:
        return int(rng.integers(2))

    def strata(self, truths: Sequence[Any]) -> Array:
        return np.asarray(truths, np.int64).reshape(-1)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        return Description(counts=counted(truths, SAME))

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        return SAME[int(truth)]

    def render(self, image: Any, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        picture = side_by_side(image) if prediction is None else prediction.draw(image)
        return picture if truth is None else drawing.caption(picture, [f"truth: {self.told(truth, labels)}"])

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.embedding.training import VerificationTraining

        if head.activation != "distances":
            raise _no_loss(head, "distances")
        return VerificationTraining(self.settings(head))


def drawn_units(identities: Array) -> Tuple[Array, int]:
    """Return the unit of each sample, int64 (n,), and the number of units: identities if many, else samples."""
    values, codes = np.unique(identities, return_inverse=True)
    if len(values) >= LEAST_IDENTITIES:
        return codes.reshape(-1), len(values)
    return np.arange(len(identities)), len(identities)


def _statistic(vectors: Array, pairs: Pairs, units: Array, measure: Measure) -> Any:
    apart = distances(vectors, pairs, measure)
    return weighted_auc(apart, pairs.same, units[pairs.first], units[pairs.second])


def _vectors(output: Array, settings: EmbeddingSettings) -> Array:
    values = np.asarray(output, np.float32)
    return unit(values) if settings.normalise else values


def stacked(evidence: Sequence[Any]) -> Tuple[Array, Array]:
    """Return the vectors, float32 (n, d), and identities, int64 (n,), of evidence. Raises DataError for none."""
    if not evidence:
        raise DataError("there is nothing to score: no samples", hint="evaluate on a split with samples")
    return np.stack([vector for vector, _ in evidence]), np.asarray([identity for _, identity in evidence], np.int64)


def _compared(evidence: Sequence[Any]) -> Tuple[Array, Array]:
    if not evidence:
        raise DataError("there is nothing to score: no pairs", hint="evaluate on a split with pairs")
    return np.asarray([apart for apart, _ in evidence], np.float64), np.asarray([same for _, same in evidence], bool)


def some_pairs(identities: Array) -> Pairs:
    """Return the pairs that samples are judged by. Raises DataError when they are all genuine or all impostors."""
    pairs = pairs_of(identities)
    if not pairs.same.any() or pairs.same.all():
        missing = "two identities" if len(pairs.same) and pairs.same.all() else "two samples of one identity"
        raise DataError(
            f"embeddings are judged by pairs, and these {len(identities)} samples do not hold {missing}",
            hint="evaluate on a split with several identities, of several samples each",
        )
    return pairs


def _gallery(count: int) -> Array:
    if count <= GALLERY:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, GALLERY, replace=False))


def _reversed(area: Optional[float], n: int, head: Head) -> str:
    if not reverses(area, n):
        return ""
    return (
        f"head '{head.name}' ranks pairs the wrong way round: two of one identity are farther apart than two of "
        f"different ones (area under the ROC curve {area:.3f}, below 0.5); where the model gives a similarity, let it "
        "end in a distance, 1 - similarity for instance"
    )


def _check_numbers(margin: float, threshold: float) -> None:
    if not margin > 0 or not threshold >= 0:
        raise ConfigError(f"margin must be > 0 and threshold >= 0, got {margin} and {threshold}")


def _no_loss(head: Head, activation: str) -> ConfigError:
    return ConfigError(
        f"head '{head.name}' ({head.task}, {head.activation}) has no training loss",
        hint=f"{head.task} takes the activation '{activation}'",
    )


def _told(shapes: Sequence[Tuple[int, ...]]) -> str:
    return ", ".join(str(tuple(shape)) for shape in shapes)
