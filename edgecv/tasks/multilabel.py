"""Counting right labels where each sample has any number of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecv.tasks.prediction import scores
from edgecv.values.evaluation import HeadEvaluation
from edgecv.values.specs import Head

Array = np.ndarray[Any, Any]

THRESHOLD = 0.5
"""A label counts as given when its probability lies above."""


def multilabel(truth: Array, outputs: Array, head: Head) -> HeadEvaluation:
    """Return the share of samples with every label right, and accuracy, precision, recall and F1 of the labels.

    "_micro" figures count all labels together, "_macro" ones are means over the labels that have the figure. A
    precision without positive answers, a recall without positive samples and an F1 without either are None.
    Source: Sokolova and Lapalme 2009, "A systematic analysis of performance measures for classification tasks",
    Information Processing and Management 45, 427-437, tables 2 to 4.

    Args:
        truth: float32 (n, labels), 0 or 1.
        outputs: float32 (n, labels), as the head gives them.
        head: How they are read.
    """
    given, right = scores(outputs, head.activation, "multilabel") > THRESHOLD, truth > THRESHOLD
    names = head.labels or tuple(str(index) for index in range(truth.shape[1]))
    exact = (given == right).all(axis=1)
    each = [_figures(given[:, i], right[:, i]) for i in range(len(names))]
    micro = _figures(given.reshape(-1), right.reshape(-1))
    return HeadEvaluation(
        head=head.name,
        task="multilabel",
        metric="exact_match",
        value=float(exact.mean()),
        labels=names,
        correct=tuple(bool(x) for x in exact),
        figures={
            "label_accuracy": micro["accuracy"],
            **{f"{name}_micro": micro[name] for name in ("precision", "recall", "f1")},
            **{f"{name}_macro": _mean([row[name] for row in each]) for name in ("precision", "recall", "f1")},
        },
        per_label=dict(zip(names, each, strict=True)),
    )


def _figures(given: Array, right: Array) -> Mapping[str, float | None]:
    hits, n_given, n_right = int((given & right).sum()), int(given.sum()), int(right.sum())
    return {
        "accuracy": float((given == right).mean()),
        "precision": _ratio(hits, n_given),
        "recall": _ratio(hits, n_right),
        "f1": _ratio(2 * hits, n_given + n_right),
        "positives": float(n_right),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
