"""What tasks whose truth is a row of numbers share."""

from __future__ import annotations

from typing import Any

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
