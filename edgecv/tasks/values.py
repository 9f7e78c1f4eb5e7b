"""What tasks whose truth is a number, or a row of numbers, share."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.values.specs import Head


def check_width(truth: NDArray[Any], answers: NDArray[Any], head: Head) -> None:
    """Check that truths (n, k) have a number for each answer (n, units). Raises DataError."""
    if np.shape(truth) != np.shape(answers):
        raise DataError(
            f"head '{head.name}' gives {np.shape(answers)[1]} values, the data has {np.shape(truth)[-1]}",
            hint="use data with one column per output",
        )


def check_whole(truth: Any, where: str, expected: str, most: Optional[int] = None) -> None:
    """Check that a truth is one whole number from 0 to `most`. Raises DataError, which calls it `expected`."""
    value = np.asarray(truth)
    whole = value.shape == () and (np.issubdtype(value.dtype, np.integer) or value.dtype == np.bool_)
    if not whole or value < 0 or (most is not None and value > most):
        raise DataError(f"the truth of {where} must be {expected}, a whole number >= 0, got {truth!r}")


def check_row(truth: Any, head: Head, where: str) -> None:
    """Check that a truth is a row with a finite number for each label of the head. Raises DataError."""
    row = np.asarray(truth)
    if row.ndim != 1 or row.dtype.kind not in "fiub" or (head.labels and len(row) != len(head.labels)):
        count = len(head.labels) or "some"
        raise DataError(
            f"{where}: head '{head.name}' takes a row of {count} numbers, got {row.dtype} of shape {row.shape}",
            hint="use data with one column per label",
        )
    if not np.isfinite(row.astype(np.float64)).all():
        raise DataError(f"{where}: its truth holds NaN or infinity", hint="leave the sample out, or correct it")
