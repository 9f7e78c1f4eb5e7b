"""How far answers are from true values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecv.values.evaluation import HeadEvaluation
from edgecv.values.specs import Head

Array = np.ndarray[Any, Any]


def regression(truth: Array, outputs: Array, head: Head) -> HeadEvaluation:
    """Return the mean absolute error, and root mean squared error and coefficient of determination.

    Over several values, errors are means over all of them, and `r2` is the mean of the values' own.
    Source: r2 = 1 - sum (y - f)^2 / sum (y - mean y)^2, Draper and Smith, "Applied Regression Analysis", 3rd edition,
    section 1.3; None where the truth is constant.

    Args:
        truth: float32 (n, values), in the labels' own units.
        outputs: float32 (n, values).
        head: Names the values.
    """
    exact = truth.astype(np.float64)
    errors = outputs.astype(np.float64) - exact
    names = head.labels or tuple(str(index) for index in range(truth.shape[1]))
    each = [_figures(errors[:, i], exact[:, i]) for i in range(len(names))]
    known = [row["r2"] for row in each if row["r2"] is not None]
    per_sample = np.abs(errors).mean(axis=1)
    value = float(per_sample.mean())
    return HeadEvaluation(
        head=head.name,
        task="regression",
        metric="mae",
        value=value,
        labels=names,
        errors=tuple(float(error) for error in per_sample),
        figures={
            "mae": value,
            "rmse": float(np.sqrt((errors**2).mean())),
            "r2": sum(known) / len(known) if len(known) == len(names) else None,
        },
        per_label=dict(zip(names, each, strict=True)),
    )


def _figures(errors: Array, truth: Array) -> Mapping[str, float | None]:
    spread, squares = float(((truth - truth.mean()) ** 2).sum()), float((errors**2).sum())
    return {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt((errors**2).mean())),
        "r2": 1.0 - squares / spread if spread > 0 else None,
    }
