"""Counting how often the right class comes first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.tasks.boxes import class_name
from edgecv.tasks.description import Description, counted
from edgecv.tasks.frame import Frame
from edgecv.tasks.layers import dense
from edgecv.tasks.paired import paired_drop
from edgecv.tasks.prediction import Labelled, Ranked, check_units, names, ranked, scores
from edgecv.tasks.protocol import BaseTask, Division, TrainingTask, paired
from edgecv.tasks.values import check_whole
from edgecv.values.scores import Drop, Metric, Scores, Table
from edgecv.values.specs import Head

Array = NDArray[Any]

TOP_K = (1, 3, 5)


@dataclass(frozen=True, eq=False)
class Classification(Labelled):
    """What a classifier says of one sample.

    Attributes:
        labels: (label, probability), best first; they sum to 1.
        scores: float32 (classes,), the probabilities in the model's order.
        outputs: Every output of the model; `heads` the predictions of every head by name.
    """

    labels: Ranked
    scores: Array
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)


class Ranking(NamedTuple):
    """Evidence of one sample: its class, the best one, how many score better than its own, and whether two are best."""

    truth: int
    best: int
    rank: int
    classes: int
    tied: bool = False


class ClassificationTask(BaseTask):
    """One class of several. A truth is an int; of equal scores the first class counts, as in argmax."""

    name = "classification"
    metric = Metric("top1")
    reads = ("classification",)
    least_labels = 2
    divided_by: Division = "classes"

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)
        check_units(head, shapes[0])

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Classification:
        values = scores(outputs[0].reshape(-1), head.activation)
        return Classification(labels=ranked(values, head), scores=values)

    def evidence(self, truth: Any, prediction: Classification, head: Head) -> Ranking:
        return _rankings(np.array([truth]), prediction.scores[None], head)[0]

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Ranking]:
        values = scores(outputs[0].reshape(len(outputs[0]), -1), head.activation)
        return _rankings(np.asarray(truths, np.int64), values, head)

    def score(self, evidence: Sequence[Ranking], head: Head) -> Scores:
        """Return top-1, top-k (k = 3, 5, where there are more classes) and the confusion matrix."""
        rank = np.array([each.rank for each in evidence])
        classes = evidence[0].classes
        known = names(head, classes)
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, ([e.truth for e in evidence], [e.best for e in evidence]), 1)
        table = Table(
            title="confusion", rows=known, columns=known, corner="true \\ predicted",
            cells=tuple(tuple(int(count) for count in row) for row in confusion),
        )  # fmt: skip
        figures = {f"top{k}": float((rank < k).mean()) for k in TOP_K if k == 1 or k < classes}
        return Scores(value=float((rank == 0).mean()), figures=figures, tables=(table,))

    def ties(self, evidence: Sequence[Ranking]) -> Optional[int]:
        return sum(each.tied for each in evidence)

    def drop(self, base: Sequence[Ranking], candidate: Sequence[Ranking], head: Head) -> Drop:
        paired(base, candidate)
        return paired_drop([each.rank == 0 for each in base], [each.rank == 0 for each in candidate])

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        if np.shape(truth) == () and head.labels and not 0 <= int(truth) < len(head.labels):
            raise _outside(int(truth), len(head.labels), where)
        check_whole(truth, where, "a class")

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> int:
        return int(rng.integers(0, len(head.labels)))

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

        return ClassificationTraining(head)

    def new_head(self, features: Any, labels: Tuple[str, ...], name: str) -> Tuple[Any, Head]:
        self._check_count(labels)
        head = Head(name="output", task=self.name, activation="probabilities", labels=labels)
        return dense(features, len(labels), "softmax", name), head


def _rankings(truth: Array, values: Array, head: Head) -> List[Ranking]:
    classes = values.shape[1]
    wrong = np.flatnonzero((truth < 0) | (truth >= classes))
    if wrong.size:
        raise _outside(int(truth[wrong[0]]), classes, f"a sample of head '{head.name}'")
    order = np.argsort(-values, axis=1, kind="stable")
    rank = (order == truth[:, None]).argmax(axis=1)
    tied = (values == values.max(axis=1, keepdims=True)).sum(axis=1) > 1
    rows = zip(truth.tolist(), order[:, 0].tolist(), rank.tolist(), tied.tolist())
    return [Ranking(*row[:3], classes, row[3]) for row in rows]


def _outside(label: int, classes: int, where: str) -> DataError:
    return DataError(
        f"{where} has label {label}, the model has classes 0..{classes - 1}",
        hint="use data with the model's classes",
    )
