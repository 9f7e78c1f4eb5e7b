"""Losses of maps: those of values, over all places."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import TensorSpec
from edgecv.tasks.protocol import Array
from edgecv.tasks.regression.training import RegressionTraining
from edgecv.values.specs import Head


class ResponseTraining(RegressionTraining):
    """Mean squared or absolute error, or Huber's loss with delta 1, of every value of the maps."""

    def __init__(self, head: Head) -> None:
        super().__init__(head)
        self.targets = (TensorSpec((None, None, len(head.labels) or None), "float32"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        return (np.asarray(truth, np.float32),)
