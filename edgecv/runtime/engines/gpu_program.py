"""One model compiled by LiteRT for the GPU, through either of its interfaces, and which float type it computes in."""

from __future__ import annotations

import base64
import os
from typing import Any, List, Protocol, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecv.runtime.engines.litert_c import CProgram

Array = NDArray[Any]

# The first integer that float16 lacks: it becomes 2048 or 2050 wherever a value is stored or computed in 16 bits.
TELLTALE = 2049.0
# A .tflite with one operator, ABS, on float32 (1, 4).
_ABS = (
    "GAAAAFRGTDMAAA4AGAAUABAADAAIAAQADgAAABQAAAAgAAAAKAAAAOQAAAADAAAAAQAAAAgAAAAEAAQABAAAAAQAAAB0aW55AAAAAAEAAAAQAAAADAAU"
    "ABAADAAIAAQADAAAABAAAAA8AAAAQAAAAEQAAAABAAAAEAAAAAAACgAMAAAACAAEAAoAAAAIAAAADAAAAAEAAAABAAAAAQAAAAAAAAABAAAAAQAAAAEA"
    "AAAAAAAAAgAAADQAAAAEAAAA4P///wgAAAAMAAAAAQAAAHkAAAACAAAAAQAAAAQAAAAMAAwACAAAAAAABAAMAAAACAAAAAwAAAABAAAAeAAAAAIAAAAB"
    "AAAABAAAAAEAAAAQAAAADAAMAAsAAAAAAAQADAAAAGUAAAAAAABl"
)


class Program(Protocol):
    """A compiled model.

    Attributes:
        input_indices: The file's tensor index of each input, in the signature's order; outputs likewise.
    """

    input_indices: List[int]
    output_indices: List[int]

    def write(self, place: int, array: Array) -> None: ...

    def run(self) -> None: ...

    def read(self, place: int, count: int, dtype: Any) -> Array: ...

    def close(self) -> None: ...


class PythonProgram:
    """A model compiled through the package's Python interface.

    Args:
        module: ai_edge_litert.compiled_model.
        path: The model file.
        threads: On the CPU, for refused operators.
        partial: Whether refused operators may run on the CPU.
        float32: Compute in float32 also where the adapter has float16.

    Raises:
        RuntimeError, ValueError: It cannot be compiled; the accelerator's log says why.
    """

    def __init__(self, module: Any, path: str, *, threads: int, partial: bool, float32: bool) -> None:
        hardware = module.HardwareAccelerator
        options = module.Options(
            hardware_accelerators=hardware.GPU | hardware.CPU if partial else hardware.GPU,
            cpu_options=module.CpuOptions(num_threads=threads),
            gpu_options=module.GpuOptions(enforce_f32=float32),
        )
        self._model = module.CompiledModel.from_file(path, options=options)
        key = next(iter(self._model.get_signature_list()))
        self.input_indices = _indices(self._model.get_input_tensor_details(key))
        self.output_indices = _indices(self._model.get_output_tensor_details(key))
        self._sources = self._model.create_input_buffers(0)
        self._sinks = self._model.create_output_buffers(0)

    def write(self, place: int, array: Array) -> None:
        self._sources[place].write(np.ascontiguousarray(array))

    def run(self) -> None:
        self._model.run_by_index(0, self._sources, self._sinks)

    def read(self, place: int, count: int, dtype: Any) -> Array:
        found: Array = self._sinks[place].read(count, np.dtype(dtype).type)
        return found

    def close(self) -> None:
        self._sources, self._sinks, self._model = [], [], None


def _indices(details: Any) -> List[int]:
    return [int(entry["index"]) for entry in details.values()]


def compile_model(
    module: Any, path: str, *, threads: int, partial: bool, precision: str, cache: str = "", key: str = ""
) -> Program:
    """Compile a model for the GPU, by the Python interface where it can say what is asked.

    Args:
        precision: "float16", "float32", or "" for the accelerator's own choice: float16 where the adapter computes it.
        cache: Folder of compiled programs, or "".
        key: What those depend on.

    Raises:
        RuntimeError, ValueError: It cannot be compiled; the accelerator's log says why.
        MissingDependencyError: What is asked needs the C library, which this package does not have.
    """
    if not cache and precision != "float16":
        return PythonProgram(module, path, threads=threads, partial=partial, float32=precision == "float32")
    folder = os.path.dirname(os.path.abspath(module.__file__))
    return CProgram(folder, path, partial=partial, precision=precision, cache=cache, key=key)


def found_precision(module: Any, precision: str) -> str:
    """Return the float type that the adapter computes in when asked for `precision`: "float16" or "float32".

    A model of one operator is run: an answer tells what no option does, since adapters without 16-bit arithmetic
    quietly take 32 bits.

    Raises:
        RuntimeError, ValueError: The accelerator does not run it.
    """
    import tempfile  # here, since importing the runtime must stay cheap

    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        path = os.path.join(folder, "abs.tflite")
        with open(path, "wb") as file:
            file.write(probe_model())
        program = compile_model(module, path, threads=1, partial=False, precision=precision)
        try:
            return _precision_of(program)
        finally:
            program.close()


def _precision_of(program: Program) -> str:
    program.write(0, np.full((1, 4), TELLTALE, np.float32))
    program.run()
    return "float32" if bool(np.all(program.read(0, 4, np.float32) == TELLTALE)) else "float16"


def probe_model() -> bytes:
    """Return the .tflite that `found_precision` runs."""
    return base64.b64decode(_ABS)


def order(details: Sequence[Any], indices: Sequence[int]) -> List[int]:
    """Return where each tensor of the file stands in the signature, which sorts by name."""
    return [list(indices).index(entry["index"]) for entry in details]
