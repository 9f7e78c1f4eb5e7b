"""Counting right labels where each sample has any number of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.description import Description
from edgecv.tasks.frame import Frame
from edgecv.tasks.layers import dense
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.mediapipe import MediapipeHead, ReadOutput, unread
from edgecv.tasks.paired import paired_drop
from edgecv.tasks.prediction import Labelled, Ranked, check_units, names, ranked, scores
from edgecv.tasks.protocol import Division, Form
from edgecv.tasks.recognised import CERTAIN, Recognised
from edgecv.tasks.values import check_row, check_width
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]

THRESHOLD = 0.5
"""A label counts as given when its probability lies above."""


@dataclass(frozen=True, eq=False)
class Multilabel(Labelled):
    """What a model of independent labels says of one sample.

    Attributes:
        labels: (label, probability), best first; each stands for itself.
        scores: float32 (labels,), the probabilities in the model's order.
        outputs: Every output of the model; `heads` the predictions of every head by name.
    """

    labels: Ranked
    scores: Array
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)


class Given(NamedTuple):
    """Evidence of one sample: which labels it was given, and which are right; bool (labels,) each."""

    given: Array
    right: Array


class MultilabelTask(BaseTask):
    """Any number of labels. A truth is float32 (labels,) of 0 and 1."""

    name = "multilabel"
    form: Form = "independent scores"
    metric = Metric("exact_match")
    reads = ("multilabel",)
    named: Tuple[str, str] = ("label", "labels")
    exclusive = False
    divided_by: Division = "patterns"

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)
        check_units(head, shapes[0], self.widths(head))

    def mediapipe(self, head: Head, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]) -> MediapipeHead:
        if head.activation not in ("probabilities", "logits"):
            raise unread(head, f"it shows scores, and these are {head.activation}")
        if head.activation == "logits" and not head.labels:
            raise unread(head, "the calibration that makes probabilities of logits has a line for each label, and it "
                               "has none")  # fmt: skip
        read = ReadOutput(head.name, labels="axis" if head.labels else "", sigmoid=head.activation == "logits")
        return MediapipeHead("image_classifier", (read,), head.labels)

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Multilabel:
        values = scores(outputs[0].reshape(-1), head.activation, independent=True)
        return Multilabel(labels=ranked(values, head), scores=values)

    def recognise(self, shape: Tuple[int, ...], ends_in: str) -> Optional[Recognised]:
        if len(shape) != 1 or shape[0] < 2 or ends_in != "sigmoid":
            return None
        return Recognised("probabilities", f"holds {shape[0]} independent labels", CERTAIN)

    def evidence(self, truth: Any, prediction: Multilabel, head: Head) -> Given:
        return Given(prediction.scores > THRESHOLD, np.asarray(truth) > THRESHOLD)

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Given]:
        values = scores(outputs[0].reshape(len(outputs[0]), -1), head.activation, independent=True)
        right = np.asarray(truths)
        check_width(right, values, head)
        return [Given(*row) for row in zip(values > THRESHOLD, right > THRESHOLD)]

    def score(self, evidence: Sequence[Given], head: Head) -> Scores:
        """Return the share of samples with every label right, and accuracy, precision, recall and F1 of the labels.

        "_micro" figures count all labels together, "_macro" ones are means over the labels that have the figure. A
        precision without positive answers, a recall without positive samples and an F1 without either are None.
        Source: Sokolova and Lapalme 2009, "A systematic analysis of performance measures for classification tasks",
        Information Processing and Management 45, 427-437, tables 2 to 4.
        """
        given, right = np.array([e.given for e in evidence]), np.array([e.right for e in evidence])
        known = names(head, right.shape[1])
        each = [_figures(given[:, i], right[:, i]) for i in range(len(known))]
        micro = _figures(given.reshape(-1), right.reshape(-1))
        shown = ("precision", "recall", "f1")
        figures: Dict[str, Optional[float]] = {"label_accuracy": micro["accuracy"]}
        figures.update({f"{name}_micro": micro[name] for name in shown})
        figures.update({f"{name}_macro": _mean([row[name] for row in each]) for name in shown})
        value = float((given == right).all(axis=1).mean())
        return Scores(value=value, figures=figures, per_label=dict(zip(known, each)))

    def drop(self, base: Sequence[Given], candidate: Sequence[Given], head: Head) -> Drop:
        paired(base, candidate)
        return paired_drop(*[[bool((e.given == e.right).all()) for e in side] for side in (base, candidate)])

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        check_row(truth, head, where)

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Array:
        return rng.integers(0, 2, len(head.labels)).astype(np.float32)

    def as_truth(self, prediction: Multilabel, head: Head) -> Array:
        return (prediction.scores > THRESHOLD).astype(np.float32)

    def strata(self, truths: Sequence[Any]) -> Array:
        rows = np.asarray(truths).reshape(len(truths), -1)
        return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        rows = np.asarray(truths).reshape(len(truths), -1)
        return Description(counts=tuple(int(count) for count in rows.sum(axis=0, dtype=np.float64)))

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        known = labels or tuple(str(index) for index in range(len(truth)))
        return ", ".join(label for label, is_set in zip(known, truth) if is_set > THRESHOLD) or "none"

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        from edgecv.tasks.drawing import captioned

        lines = [] if truth is None else [self.told(truth, labels)]
        if prediction is not None:
            lines.append(", ".join(label for label, score in prediction.labels if score > THRESHOLD) or "none")
        return captioned(image, lines)

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.multilabel.training import MultilabelTraining

        return MultilabelTraining(head)

    def new_head(self, features: Any, labels: Tuple[str, ...], name: str) -> Tuple[Any, Head]:
        self._check_count(labels)
        head = Head(name="output", task=self.name, activation="probabilities", labels=labels)
        return dense(features, len(labels), "sigmoid", name), head


def _figures(given: Array, right: Array) -> Mapping[str, Optional[float]]:
    hits, n_given, n_right = int((given & right).sum()), int(given.sum()), int(right.sum())
    return {
        "accuracy": float((given == right).mean()),
        "precision": _ratio(hits, n_given),
        "recall": _ratio(hits, n_right),
        "f1": _ratio(2 * hits, n_given + n_right),
        "positives": float(n_right),
    }


def _ratio(part: int, whole: int) -> Optional[float]:
    return part / whole if whole else None


def _mean(values: Sequence[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
