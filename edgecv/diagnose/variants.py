"""The process that runs variants of a float file for `layer_cost`: a foreign file may crash it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecv.convert.tflite import float_pass
from edgecv.diagnose.remedies import Seen, observe
from edgecv.diagnose.rounding import Edit, rounded
from edgecv.graphs import read_tflite

Array = np.ndarray[Any, Any]


class Variants:
    """Runs variants of one float file on the same samples.

    Args:
        data: The float .tflite.
        inputs: Samples, a float32 tensor with batch 1 for each input of the file.
    """

    def __init__(self, data: bytes, inputs: Sequence[Sequence[Array]]) -> None:
        self._data, self._inputs = data, inputs

    def run(self, edits: Sequence[Edit]) -> list[Array]:
        """Return the answers of the file with these edits, one array per output, (samples, ...)."""
        data = rounded(self._data, edits)
        outputs = read_tflite(data).outputs
        rows = list(float_pass.look(data, self._inputs, outputs, lambda index, values: values.copy()))
        return [np.concatenate(column) for column in zip(*rows, strict=True)]

    def observe(self, tensors: Sequence[int]) -> dict[int, Seen]:
        """Return what some activations look like, as `remedies.observe` does."""
        return observe(self._data, self._inputs, tensors)
