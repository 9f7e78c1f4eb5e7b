"""Looking at every tensor of a `.tflite` while it runs on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.optional import require

Array = np.ndarray[Any, Any]


class AllTensors:
    """An interpreter on the CPU that keeps every tensor.

    Args:
        path: A `.tflite` with one input.
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
        self._input = self._interpreter.get_input_details()[0]
        self._scales = {d["index"]: d["quantization_parameters"] for d in self._interpreter.get_tensor_details()}

    def run(self, sample: Array) -> None:
        """Run on one sample, float32 with batch 1 in real units."""
        index, dtype = self._input["index"], self._input["dtype"]
        if dtype != np.float32:
            scale, zero = self._scale(index)
            limits = np.iinfo(dtype)
            sample = np.clip(np.round(sample / scale) + zero, limits.min, limits.max).astype(dtype)
        self._interpreter.set_tensor(index, sample)
        self._interpreter.invoke()

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
