"""Counting how often the right class comes first."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.core.errors import DataError
from edgecv.tasks.prediction import scores
from edgecv.values.evaluation import HeadEvaluation
from edgecv.values.specs import Head

Array = np.ndarray[Any, Any]

TOP_K = (1, 3, 5)


def classification(truth: Array, outputs: Array, head: Head, *, where: str) -> HeadEvaluation:
    """Return top-1 and top-k (k = 1, 3, 5, where there are more classes), and the confusion matrix.

    Of equal scores the first class counts, as in argmax.

    Args:
        truth: int64 (n,), indices of the head's classes.
        outputs: float32 (n, classes), as the head gives them.
        head: How they are read.
        where: The samples, for messages.

    Raises:
        DataError: A label is no class of the model.
    """
    values = scores(outputs, head.activation)
    classes = values.shape[1]
    _check_range(truth, classes, where)
    order = np.argsort(-values, axis=1, kind="stable")
    rank = (order == truth[:, None]).argmax(axis=1)
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (truth, order[:, 0]), 1)
    return HeadEvaluation(
        head=head.name,
        task="classification",
        metric="top1",
        value=float((rank == 0).mean()),
        labels=head.labels or tuple(str(index) for index in range(classes)),
        top_k={str(k): float((rank < k).mean()) for k in TOP_K if k == 1 or k < classes},
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        correct=tuple(bool(right) for right in rank == 0),
    )


def _check_range(truth: Array, classes: int, where: str) -> None:
    outside = np.flatnonzero((truth < 0) | (truth >= classes))
    if outside.size:
        first = int(outside[0])
        raise DataError(
            f"sample {first} of {where} has label {int(truth[first])}, the model has classes 0..{classes - 1}",
            hint="evaluate on data with the model's classes",
        )
