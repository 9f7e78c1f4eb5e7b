"""TFLite interpreters: ai-edge-litert and, on older devices, tflite-runtime. Both have the same Python interface."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DeviceError, UnsupportedModelError
from edgecv.core.optional import require
from edgecv.runtime.engines.base import Session, batch_of_one, package_version
from edgecv.runtime.engines.native_log import captured
from edgecv.values.manifest import TensorInfo

Array = NDArray[Any]


def open_litert(path: str, threads: int, strict: bool) -> Session:
    """Open a .tflite with ai-edge-litert on the CPU (XNNPACK). `strict` has no meaning there."""
    module = require("ai_edge_litert.interpreter", why="to run .tflite files")
    return TfliteSession(module, package_version("ai-edge-litert", module), path, threads)


def open_tflite_runtime(path: str, threads: int, strict: bool) -> Session:
    """Open a .tflite with tflite-runtime on the CPU. `strict` has no meaning there."""
    module = require("tflite_runtime.interpreter", why="to run .tflite files")
    return TfliteSession(module, package_version("tflite-runtime", module), path, threads)


class TfliteSession(Session):
    """A TFLite interpreter with its tensors allocated.

    Raises:
        UnsupportedModelError: The interpreter refuses the file; chained from its reason.
    """

    def __init__(self, module: Any, engine: str, path: str, threads: int, delegates: Sequence[Any] = ()) -> None:
        # The interpreter announces its CPU delegate on stderr each time; what it refuses, it says in its errors.
        with captured():
            self._interpreter = open_interpreter(module, path, threads, delegates)
            try:
                self._interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise _refused(path, error) from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        super().__init__(engine, threads, describe(inputs, path), describe(outputs))
        self._inputs = [details["index"] for details in inputs]
        self._outputs = [details["index"] for details in outputs]

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        for index, array in zip(self._inputs, arrays):
            self._opened().set_tensor(index, array)

    def invoke(self) -> None:
        try:
            self._opened().invoke()
        except (ValueError, RuntimeError) as error:
            raise DeviceError(f"{self.engine} failed to run the model: {error}") from error

    def get_outputs(self) -> List[Array]:
        return [self._opened().get_tensor(index) for index in self._outputs]

    def close(self) -> None:
        self._interpreter = None

    def _opened(self) -> Any:
        if self._interpreter is None:
            raise ConfigError("the model was closed", hint="load it again")
        return self._interpreter


def open_interpreter(module: Any, path: str, threads: int, delegates: Sequence[Any] = ()) -> Any:
    """Return an interpreter whose tensors are not allocated yet; it verifies the file's structure.

    Args:
        module: Of the interpreter.
        path: The .tflite.
        threads: On the CPU.
        delegates: That take operators over, from the module's `load_delegate`.

    Raises:
        UnsupportedModelError: It refuses the file.
    """
    try:
        return module.Interpreter(model_path=path, num_threads=threads, experimental_delegates=list(delegates) or None)
    except (ValueError, RuntimeError) as error:
        raise _refused(path, error) from error


def delegate_nodes(path: str) -> List[Tuple[List[int], List[int]]]:
    """Load a file with ai-edge-litert's default delegate, without running it; return the nodes that are delegates.

    Returns:
        Of each, the indices of the tensors that enter and that leave it.

    Raises:
        UnsupportedModelError: The interpreter refuses the file.
    """
    module = require("ai_edge_litert.interpreter", why="to ask the CPU interpreter")
    interpreter = open_interpreter(module, path, 1)
    try:
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise _refused(path, error) from error
    nodes = [node for node in interpreter._get_ops_details() if node["op_name"] == "DELEGATE"]
    return [([int(t) for t in node["inputs"]], [int(t) for t in node["outputs"]]) for node in nodes]


def describe(details: Sequence[Mapping[str, Any]], path: str = "") -> Tuple[TensorInfo, ...]:
    """Return an interpreter's tensor details as TensorInfo; with `path`, refuse dynamic shapes (see `batch_of_one`)."""
    return tuple(_tensor(entry, path) for entry in details)


def _tensor(entry: Mapping[str, Any], path: str) -> TensorInfo:
    shape = tuple(int(size) for size in entry["shape"])
    if path:
        # Interpreters set variable axes to 1, so that only the signature tells a dynamic model.
        signature = entry.get("shape_signature")
        batch_of_one(entry["name"], shape if signature is None else [int(size) for size in signature], path)
    scale, zero_point = entry["quantization"]
    quantised = scale != 0.0
    return TensorInfo(
        name=entry["name"],
        shape=shape,
        dtype=np.dtype(entry["dtype"]).name,
        scale=float(scale) if quantised else None,
        zero_point=int(zero_point) if quantised else None,
    )


def _refused(path: str, error: Exception) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{path} cannot be run by the TFLite interpreter: {error}",
        hint="it may be damaged, or hold operators of another compiler; edgecv inspect lists them",
    )
