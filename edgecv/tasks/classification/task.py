"""Counting how often the right class comes first; of two classes, also how well their scores are told apart.

A classifier of two classes may end in one value, the probability or logit of the second class: `Dense(1, sigmoid)`. It
is spread to both classes here, so that nothing else meets the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.boxes import class_name
from edgecv.tasks.description import Description, counted
from edgecv.tasks.frame import Frame
from edgecv.tasks.layers import dense
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.mediapipe import MediapipeHead, ReadOutput, unread
from edgecv.tasks.paired import paired_drop
from edgecv.tasks.prediction import Labelled, Ranked, check_units, names, ranked, scores
from edgecv.tasks.protocol import Division, Form
from edgecv.tasks.recognised import CERTAIN, LIKELY, Recognised
from edgecv.tasks.roc import auc, reverses
from edgecv.tasks.values import check_whole
from edgecv.values.scores import Drop, Metric, Scores, Table
from edgecv.values.specs import Head

Array = NDArray[Any]

TOP_K = (1, 3, 5)
TWO = 2


@dataclass(frozen=True)
class ClassificationSettings:
    """How the answer is chosen.

    Attributes:
        threshold: 0 < x < 1, of a head of two classes: the second is the answer where its probability lies above. None
            takes the more probable class, the first one of two that are alike.
    """

    threshold: Optional[float] = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must lie between 0 and 1, got {self.threshold}", hint="leave it out for 0.5")


@dataclass(frozen=True, eq=False)
class Classification(Labelled):
    """What a classifier says of one sample.

    Attributes:
        labels: (label, probability), the answer first, the others best first; they sum to 1.
        scores: float32 (classes,), the probabilities in the model's order.
        outputs: Every output of the model; `heads` the predictions of every head by name.
    """

    labels: Ranked
    scores: Array
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)


class Ranking(NamedTuple):
    """Evidence of one sample: its class, the answer, and how many classes come before its own.

    `tied` says whether two score best; `score` is the probability of the second of two classes.
    """

    truth: int
    best: int
    rank: int
    classes: int
    tied: bool = False
    score: Optional[float] = None


class ClassificationTask(BaseTask):
    """One class of several. A truth is an int; of equal scores the first class counts, as in argmax.

    A head of two labels may have an output of one value: the probability, or the logit, of its second label.
    """

    name = "classification"
    form: Form = "scores"
    metric = Metric("top1")
    reads = ("classification",)
    least_labels = 2
    divided_by: Division = "classes"
    call_settings = ("threshold",)
    Settings = ClassificationSettings

    def widths(self, head: Head) -> Tuple[int, ...]:
        return (TWO, 1) if len(head.labels) == TWO else (len(head.labels),)

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        settings: ClassificationSettings = self.settings(head)
        units = int(np.prod(shapes[0], dtype=np.int64))
        if units == 1 and head.labels and len(head.labels) != TWO:
            raise UnsupportedModelError(
                f"head '{head.name}' has one output value and {len(head.labels)} labels: it tells two classes apart",
                hint="give the spec two labels, first that of 0, then that of 1",
            )
        if units == 1 and head.activation not in ("probabilities", "logits"):
            raise UnsupportedModelError(
                f"head '{head.name}' has one output value of {head.activation}, which are not one of two classes",
                hint='say activation = "probabilities" behind a sigmoid, "logits" without one',
            )
        check_units(head, shapes[0], self.widths(head))
        if settings.threshold is not None and max(units, TWO) != TWO:
            raise UnsupportedModelError(
                f"head '{head.name}' has a threshold and {units} classes", hint="a threshold is of two classes"
            )

    def mediapipe(self, head: Head, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]) -> MediapipeHead:
        if head.activation != "probabilities":
            raise unread(
                head,
                f"it shows the scores of a file as they are, and this one gives {head.activation}",
                hint="--softmax file has the file compute the probabilities",
            )
        settings: ClassificationSettings = self.settings(head)
        one = int(np.prod(shapes[0], dtype=np.int64)) == 1
        limits = []
        if one:
            limits.append(
                f"one score is told, that of '{head.labels[1] if head.labels else 1}': the other is 1 - score"
            )
        if settings.threshold is not None:
            limits.append(f"the best score is the answer, whatever the threshold of {settings.threshold:g} says")
        labels = head.labels[1:] if one else head.labels
        read = (ReadOutput(head.name, labels="axis" if labels else ""),)
        return MediapipeHead("image_classifier", read, labels, limits=tuple(limits))

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Classification:
        values = _of_classes(outputs[0].reshape(1, -1), head.activation)[0]
        found = ranked(values, head)
        answer = names(head, len(values))[int(_order(values[None], self.settings(head))[0, 0])]
        if found[0][0] != answer:  # a threshold may say so
            found = tuple(sorted(found, key=lambda pair: pair[0] != answer))
        return Classification(labels=found, scores=values)

    def evidence(self, truth: Any, prediction: Classification, head: Head) -> Ranking:
        return _rankings(np.array([truth]), prediction.scores[None], head, self.settings(head))[0]

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Ranking]:
        values = _of_classes(outputs[0].reshape(len(outputs[0]), -1), head.activation)
        return _rankings(np.asarray(truths, np.int64), values, head, self.settings(head))

    def score(self, evidence: Sequence[Ranking], head: Head) -> Scores:
        """Return top-1, top-k (k = 3, 5, where there are more classes) and the confusion matrix.

        Of two classes also "auc", the area under the ROC curve, None where the samples are of one class.
        """
        rank = np.array([each.rank for each in evidence])
        classes = evidence[0].classes
        known = names(head, classes)
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, ([e.truth for e in evidence], [e.best for e in evidence]), 1)
        table = Table(
            title="confusion", rows=known, columns=known, corner="true \\ predicted",
            cells=tuple(tuple(int(count) for count in row) for row in confusion),
        )  # fmt: skip
        figures: Dict[str, Optional[float]] = {
            f"top{k}": float((rank < k).mean()) for k in TOP_K if k == 1 or k < classes
        }
        if classes == TWO:
            figures["auc"] = _area(evidence)
        return Scores(value=float((rank == 0).mean()), figures=figures, tables=(table,))

    def recognise(self, shape: Tuple[int, ...], ends_in: str) -> Optional[Recognised]:
        if len(shape) != 1 or (ends_in == "sigmoid" and shape != (1,)):
            return None
        if ends_in == "softmax":
            return Recognised("probabilities", f"holds {shape[0]} probabilities", CERTAIN)
        if ends_in == "sigmoid":
            return Recognised("probabilities", "is the probability of the second of two classes", CERTAIN)
        if shape[0] > 1:
            return Recognised("logits", f"holds {shape[0]} logits: its layer has no softmax", LIKELY)
        return None

    def ties(self, evidence: Sequence[Ranking]) -> Optional[int]:
        return sum(each.tied for each in evidence)

    def drop(self, base: Sequence[Ranking], candidate: Sequence[Ranking], head: Head) -> Drop:
        paired(base, candidate)
        return paired_drop([each.rank == 0 for each in base], [each.rank == 0 for each in candidate])

    def doubt(self, value: float, figures: Mapping[str, Optional[float]], n: int, head: Head) -> str:
        area = figures.get("auc")
        if not reverses(area, n):
            return ""
        return (
            f"head '{head.name}' ranks its two classes the wrong way round (area under the ROC curve {area:.3f}, below "
            "0.5): look at the order of the spec's labels and at the data's; one output value is that of the second"
        )

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        if np.shape(truth) == () and head.labels and not 0 <= int(truth) < len(head.labels):
            raise _outside(int(truth), len(head.labels), where)
        check_whole(truth, where, "a class")

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> int:
        return int(rng.integers(0, len(head.labels)))

    def as_truth(self, prediction: Classification, head: Head) -> int:
        return names(head, len(prediction.scores)).index(prediction.label)

    def strata(self, truths: Sequence[Any]) -> Array:
        return np.asarray(truths, np.int64)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        return Description(counts=counted(truths, labels))

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        return class_name(labels, int(truth))

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        from edgecv.tasks.drawing import captioned

        lines = [] if truth is None else [self.told(truth, labels)]
        if prediction is not None:
            lines.append(f"{prediction.label} {prediction.score:.2f}")
        return captioned(image, lines)

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.classification.training import ClassificationTraining

        return ClassificationTraining(head, self.settings(head).threshold)

    def new_head(self, features: Any, labels: Tuple[str, ...], name: str) -> Tuple[Any, Head]:
        self._check_count(labels)
        head = Head(name="output", task=self.name, activation="probabilities", labels=labels)
        return dense(features, len(labels), "softmax", name), head

    def on_windows(self, head: Head, covers: Tuple[float, ...]) -> Head:
        """Return a head of segmentation: a class for every place."""
        if head.activation not in ("probabilities", "logits") or self.settings(head).threshold is not None:
            raise ConfigError(
                f"head '{head.name}' gives {head.activation}, threshold {self.settings(head).threshold}: of these no "
                "mask is made",
                hint="a mask takes the best class of probabilities or logits; leave the threshold out",
            )
        return replace(head, task="segmentation", settings={"covers": list(covers)})


def _of_classes(output: Array, activation: str) -> Array:
    """Return probabilities (n, classes) of outputs (n, units): one unit is that of the second of two classes."""
    if output.shape[1] > 1:
        return scores(output, activation)
    second = scores(output, activation, independent=True)
    return np.concatenate([1 - second, second], axis=1)


def _order(values: Array, settings: ClassificationSettings) -> Array:
    """Return the classes (n, classes) of scores (n, classes), the answer first."""
    order = np.argsort(-values, axis=1, kind="stable")
    if settings.threshold is None:
        return order
    second = (values[:, 1] > settings.threshold).astype(np.int64)
    return np.stack([second, 1 - second], axis=1)


def _rankings(truth: Array, values: Array, head: Head, settings: ClassificationSettings) -> List[Ranking]:
    classes = values.shape[1]
    wrong = np.flatnonzero((truth < 0) | (truth >= classes))
    if wrong.size:
        raise _outside(int(truth[wrong[0]]), classes, f"a sample of head '{head.name}'")
    order = _order(values, settings)
    rank = (order == truth[:, None]).argmax(axis=1)
    tied = ((values == values.max(axis=1, keepdims=True)).sum(axis=1) > 1).tolist()
    second = values[:, 1].tolist() if classes == TWO else [None] * len(values)
    rows = zip(truth.tolist(), order[:, 0].tolist(), rank.tolist(), tied, second)
    return [Ranking(truth, best, place, classes, tie, score) for truth, best, place, tie, score in rows]


def _area(evidence: Sequence[Ranking]) -> Optional[float]:
    """Return the area under the ROC curve of the second class; None where all samples are of one class."""
    second = np.array([each.truth == 1 for each in evidence])
    if second.all() or not second.any():
        return None
    return auc(-np.array([each.score for each in evidence], np.float64), second)


def _outside(label: int, classes: int, where: str) -> DataError:
    return DataError(
        f"{where} has label {label}, the model has classes 0..{classes - 1}",
        hint="use data with the model's classes",
    )
