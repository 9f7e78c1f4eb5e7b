"""How far answers are from true values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.base import BaseTask
from edgecv.tasks.description import Description, measured
from edgecv.tasks.frame import Frame
from edgecv.tasks.layers import dense
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.paired import paired_rise
from edgecv.tasks.prediction import Labelled, Ranked, names
from edgecv.tasks.recognised import LIKELY, POSSIBLE, Recognised
from edgecv.tasks.values import check_row, check_width
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Regression(Labelled):
    """The values that a model gives for one sample.

    Attributes:
        labels: (name, value) in the model's order, each in the label's unit.
        values: float32 (values,).
        outputs: Every output of the model; `heads` the predictions of every head by name.
    """

    labels: Ranked
    values: Array
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)


class Residual(NamedTuple):
    """Evidence of one sample: its true values, and how far the answers are from them; float64 (values,) each."""

    truth: Array
    error: Array


class RegressionTask(BaseTask):
    """Values. A truth is float32 (values,), in the labels' own units."""

    name = "regression"
    metric = Metric("mae", unit="label", better="lower")
    reads = ("regression",)
    named: Tuple[str, str] = ("value", "values")
    labels_fixed = False

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Regression:
        values = np.asarray(outputs[0], np.float32).reshape(-1)
        known = names(head, len(values))
        return Regression(labels=tuple(zip(known, (float(value) for value in values))), values=values)

    def recognise(self, shape: Tuple[int, ...], ends_in: str) -> Optional[Recognised]:
        if shape == (1,):
            return Recognised("linear", "is a number", LIKELY if ends_in == "linear" else POSSIBLE)
        return Recognised("linear", f"holds numbers of shape {shape}: no other task is known for it", POSSIBLE)

    def evidence(self, truth: Any, prediction: Regression, head: Head) -> Residual:
        exact = np.asarray(truth, np.float64)
        return Residual(exact, prediction.values.astype(np.float64) - exact)

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Residual]:
        exact, values = np.asarray(truths, np.float64), outputs[0].reshape(len(outputs[0]), -1)
        check_width(exact, values, head)
        return [Residual(*row) for row in zip(exact, values.astype(np.float64) - exact)]

    def score(self, evidence: Sequence[Residual], head: Head) -> Scores:
        """Return the mean absolute error, and root mean squared error and coefficient of determination.

        Over several values, errors are means over all of them, and `r2` is the mean of the values' own.
        Source: r2 = 1 - sum (y - f)^2 / sum (y - mean y)^2, Draper and Smith, "Applied Regression Analysis", 3rd
        edition, section 1.3; None where the truth is constant.
        """
        exact, errors = np.array([e.truth for e in evidence]), np.array([e.error for e in evidence])
        known = names(head, exact.shape[1])
        each = [_figures(errors[:, i], exact[:, i]) for i in range(len(known))]
        spread = [row["r2"] for row in each if row["r2"] is not None]
        value = float(np.abs(errors).mean(axis=1).mean())
        figures = {
            "mae": value,
            "rmse": float(np.sqrt((errors**2).mean())),
            "r2": sum(spread) / len(spread) if len(spread) == len(known) else None,
        }
        return Scores(value=value, figures=figures, per_label=dict(zip(known, each)))

    def drop(self, base: Sequence[Residual], candidate: Sequence[Residual], head: Head) -> Drop:
        first, second = ([float(np.abs(e.error).mean()) for e in side] for side in (base, candidate))
        return paired_rise(first, second)

    def as_truth(self, prediction: Regression, head: Head) -> Array:
        return prediction.values

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        check_row(truth, head, where)

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Array:
        return rng.standard_normal(len(head.labels)).astype(np.float32)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        rows = np.asarray(truths, np.float64).reshape(len(truths), len(labels))
        return measured(dict(zip(labels, rows.T)))

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        values = np.asarray(truth).reshape(-1).tolist()
        known = labels or tuple(str(index) for index in range(len(values)))
        return ", ".join(f"{label} {value:.4g}" for label, value in zip(known, values))

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        from edgecv.tasks.drawing import captioned

        lines = []
        if truth is not None:
            lines.append(", ".join(f"{value:.3g}" for value in np.asarray(truth).reshape(-1)[:3]))
        if prediction is not None:
            lines.append(", ".join(f"{value:.3g}" for value in prediction.values[:3]))
        return captioned(image, lines)

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.regression.training import RegressionTraining

        return RegressionTraining(head)

    def new_head(self, features: Any, labels: Tuple[str, ...], name: str) -> Tuple[Any, Head]:
        self._check_count(labels)
        head = Head(name="output", task=self.name, activation="linear", labels=labels)
        return dense(features, len(labels), "linear", name), head


def _figures(errors: Array, truth: Array) -> Mapping[str, Optional[float]]:
    spread, squares = float(((truth - truth.mean()) ** 2).sum()), float((errors**2).sum())
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt((errors**2).mean())),
        "r2": 1.0 - squares / spread if spread > 0 else None,
    }
