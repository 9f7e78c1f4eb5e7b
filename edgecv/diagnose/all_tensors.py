"""Looking at every tensor of a `.tflite` while it runs on the CPU, in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgecv.core.apart import Apart
from edgecv.core.optional import require

Array = np.ndarray[Any, Any]


class AllTensors:
    """An interpreter on the CPU that keeps every tensor; a context manager that ends its process.

    Args:
        path: A `.tflite`.

    Raises:
        UnsupportedModelError: The interpreter refuses the file; CrashError: it ends over it.
    """

    def __init__(self, path: Path) -> None:
        self._child = Apart("edgecv.diagnose.all_tensors:Interpreter", str(path), about=path)

    def __enter__(self) -> AllTensors:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._child.close(at_once=error is not None)

    def run(self, sample: Sequence[Array]) -> None:
        """Run on one sample: a float32 tensor with batch 1 in real units for each input of the file, in its order."""
        self._child.call("run", list(sample))

    def value(self, index: int) -> Array:
        """Return a tensor in real units, float64."""
        found: Array = self._child.call("value", index)
        return found

    def magnitudes(self, indices: Sequence[int]) -> list[float]:
        """Return the largest absolute value of each tensor, in real units; 0 for one without elements."""
        found: list[float] = self._child.call("magnitudes", list(indices))
        return found


class Interpreter:
    """The child's side."""

    def __init__(self, path: str) -> None:
        # Delegates fuse operators and drop the tensors between them.
        litert = require("ai_edge_litert.interpreter", why="to look inside a model")
        self._interpreter = litert.Interpreter(
            model_path=path,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        self._inputs = self._interpreter.get_input_details()
        self._scales = {d["index"]: d["quantization_parameters"] for d in self._interpreter.get_tensor_details()}

    def run(self, sample: Sequence[Array]) -> None:
        for details, values in zip(self._inputs, sample, strict=True):
            self._interpreter.set_tensor(details["index"], self._stored(values, details))
        self._interpreter.invoke()

    def value(self, index: int) -> Array:
        stored: Array = self._interpreter.get_tensor(index)
        if stored.dtype.kind == "f":
            return stored.astype(np.float64)
        scale, zero = self._scale(index)
        real: Array = (stored.astype(np.float64) - zero) * scale
        return real

    def magnitudes(self, indices: Sequence[int]) -> list[float]:
        return [float(np.abs(self.value(index)).max(initial=0.0)) for index in indices]

    def _stored(self, values: Array, details: Any) -> Array:
        if details["dtype"] == np.float32:
            return values
        scale, zero = self._scale(details["index"])
        limits = np.iinfo(details["dtype"])
        stored: Array = np.clip(np.round(values / scale) + zero, limits.min, limits.max).astype(details["dtype"])
        return stored

    def _scale(self, index: int) -> tuple[float, int]:
        found = self._scales.get(index)
        if found is None or not (len(found["scales"]) and len(found["zero_points"])):
            raise ValueError(f"tensor {index} has no scale and zero point")
        return float(found["scales"][0]), int(found["zero_points"][0])
