"""Looking at every tensor of a `.tflite` while it runs on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.optional import require

Array = np.ndarray[Any, Any]


class AllTensors:
    """An interpreter on the CPU that keeps every tensor.

    Args:
        path: A `.tflite`.
    """

    def __init__(self, path: Path) -> None:
        # Delegates fuse operators and drop the tensors between them.
        litert = require("ai_edge_litert.interpreter", why="to look inside a model")
        self._interpreter = litert.Interpreter(
            model_path=str(path),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        self._inputs = self._interpreter.get_input_details()
        self._scales = {d["index"]: d["quantization_parameters"] for d in self._interpreter.get_tensor_details()}

    def run(self, sample: Sequence[Array]) -> None:
        """Run on one sample: a float32 tensor with batch 1 in real units for each input of the file, in its order."""
        for details, values in zip(self._inputs, sample, strict=True):
            self._interpreter.set_tensor(details["index"], self._stored(values, details))
        self._interpreter.invoke()

    def _stored(self, values: Array, details: Any) -> Array:
        if details["dtype"] == np.float32:
            return values
        scale, zero = self._scale(details["index"])
        limits = np.iinfo(details["dtype"])
        stored: Array = np.clip(np.round(values / scale) + zero, limits.min, limits.max).astype(details["dtype"])
        return stored

    def value(self, index: int) -> Array:
        """Return a tensor in real units, float64."""
        stored: Array = self._interpreter.get_tensor(index)
        if stored.dtype.kind == "f":
            return stored.astype(np.float64)
        scale, zero = self._scale(index)
        real: Array = (stored.astype(np.float64) - zero) * scale
        return real

    def _scale(self, index: int) -> tuple[float, int]:
        found = self._scales[index]
        return float(found["scales"][0]), int(found["zero_points"][0])
