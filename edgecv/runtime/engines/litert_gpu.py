"""LiteRT's GPU accelerator (WebGPU on Vulkan, Metal or Direct3D): the code that phones run.

It computes in float16 where the adapter has it, so outputs differ from the CPU's by more than rounding of float32.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ConfigError, DeviceError
from edgecv.manifest import TensorInfo
from edgecv.optional import require
from edgecv.runtime.engines.base import Session, package_version
from edgecv.runtime.engines.native_log import captured
from edgecv.runtime.engines.tflite import describe, open_interpreter

Array = NDArray[Any]

_ADAPTER = re.compile(r"Selected adapter: (?P<name>.*?), arch=.*adapterType=(?P<kind>.*)")
_REFUSALS = re.compile(r"Following operations are not supported by GPU delegate:\n(?P<lines>(?:[A-Z0-9_]+: .*\n)+)")
_NO_ADAPTER = ("No adapters found", "Couldn't load Vulkan", "Failed to initialize WebGPU environment")
_NO_ADAPTER_HINT = (
    "install the GPU's Vulkan driver and the Vulkan loader (libvulkan.so.1); without a GPU, SwiftShader will do for "
    "checks: VK_ICD_FILENAMES names its vk_swiftshader_icd.json"
)


@dataclass(frozen=True)
class GpuVerdict:
    """What the accelerator's log says of one model.

    Attributes:
        adapter: Name of the GPU or software renderer; "" when there is none.
        is_software: Whether the adapter is emulated by the CPU.
        refused: (operator, reason) of each kind of operator that it leaves to the CPU.
    """

    adapter: str
    is_software: bool
    refused: Tuple[Tuple[str, str], ...]


def read_log(log: str) -> GpuVerdict:
    """Return the verdict in the log that the accelerator writes while it compiles a model."""
    adapter, refusals = _ADAPTER.search(log), _REFUSALS.search(log)
    lines = refusals["lines"].splitlines() if refusals else []
    pairs = (line.split(": ", 1) for line in lines)
    return GpuVerdict(
        adapter=adapter["name"] if adapter else "",
        is_software=bool(adapter) and adapter["kind"].startswith("CPU") if adapter else False,
        refused=tuple((op, reason) for op, reason in pairs),
    )


def open_litert_gpu(path: str, threads: int, strict: bool) -> Session:
    """Open a .tflite on the GPU; unless `strict`, refused operators run on the CPU with `threads` threads.

    Raises:
        DeviceError: No adapter; or, when `strict`, an operator that the accelerator refuses, by name.
        UnsupportedModelError: The file is damaged.
    """
    return LitertGpuSession(path, threads, strict)


class LitertGpuSession(Session):
    """A model compiled for the GPU, with its input and output buffers."""

    accelerator = "gpu"

    def __init__(self, path: str, threads: int, strict: bool) -> None:
        compiled = require("ai_edge_litert.compiled_model", why="to run .tflite files on a GPU")
        interpreter = require("ai_edge_litert.interpreter", why="to run .tflite files")
        with captured() as log:
            # The interpreter verifies the file, which the compiler does not, and knows the quantisation parameters.
            plain = open_interpreter(interpreter, path, threads)
            self._model, error = _compile(compiled, path, threads, strict)
            text = log()
        verdict = read_log(text)
        _check(path, verdict, error, strict, text)
        super().__init__(package_version("ai-edge-litert", compiled), threads, *self._signature(plain, path))
        self.adapter, self.is_software_adapter = verdict.adapter, verdict.is_software
        self.fully_accelerated = bool(self._model.is_fully_accelerated())
        self._sources = self._model.create_input_buffers(0)
        self._sinks = self._model.create_output_buffers(0)
        self._results: List[Array] = []
        with captured():
            # The first access to a buffer starts a second environment, which announces itself too.
            self.set_inputs([np.zeros(info.shape, info.dtype) for info in self.inputs])

    def _signature(self, plain: Any, path: str) -> Tuple[Tuple[TensorInfo, ...], Tuple[TensorInfo, ...]]:
        """Describe inputs and outputs, and note their places in the file's order: signatures sort theirs by name."""
        key = next(iter(self._model.get_signature_list()))
        inputs, outputs = plain.get_input_details(), plain.get_output_details()
        self._input_order = _order(inputs, self._model.get_input_tensor_details(key))
        self._output_order = _order(outputs, self._model.get_output_tensor_details(key))
        return describe(inputs, path), describe(outputs)

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        self._opened()
        for place, array in zip(self._input_order, arrays):
            self._sources[place].write(np.ascontiguousarray(array))

    def invoke(self) -> None:
        model = self._opened()
        try:
            model.run_by_index(0, self._sources, self._sinks)
            # Reading waits for the GPU; a run that returns early would otherwise look fast.
            self._results = [self._read(place, info) for place, info in zip(self._output_order, self.outputs)]
        except (RuntimeError, ValueError) as error:
            raise DeviceError(f"the GPU accelerator failed on '{self.adapter}': {error}") from error

    def _read(self, place: int, info: TensorInfo) -> Array:
        count = int(np.prod(info.shape, dtype=np.int64))
        flat: Array = self._sinks[place].read(count, np.dtype(info.dtype).type)
        return flat.reshape(info.shape)

    def get_outputs(self) -> List[Array]:
        return list(self._results)

    def close(self) -> None:
        with captured():
            self._sources, self._sinks, self._model = [], [], None

    def _opened(self) -> Any:
        if self._model is None:
            raise ConfigError("the model was closed", hint="load it again")
        return self._model


def _compile(compiled: Any, path: str, threads: int, strict: bool) -> Tuple[Any, Any]:
    hardware = compiled.HardwareAccelerator
    wanted = hardware.GPU if strict else hardware.GPU | hardware.CPU
    options = compiled.Options(hardware_accelerators=wanted, cpu_options=compiled.CpuOptions(num_threads=threads))
    try:
        return compiled.CompiledModel.from_file(path, options=options), None
    except (RuntimeError, ValueError) as error:
        return None, error


def _check(path: str, verdict: GpuVerdict, error: Any, strict: bool, log: str) -> None:
    if not verdict.adapter:
        missing = any(sign in log for sign in _NO_ADAPTER)
        reason = "there is no Vulkan adapter" if missing else _last_errors(log, error)
        raise DeviceError(f"the GPU accelerator cannot start: {reason}", hint=_NO_ADAPTER_HINT) from error
    if verdict.refused and strict:
        ops = "; ".join(f"{op} ({reason.rstrip('.')})" for op, reason in verdict.refused)
        raise DeviceError(
            f"{path} does not run on the GPU '{verdict.adapter}' alone, which refuses: {ops}",
            hint="pass strict=False to run those on the CPU, or change the model",
        ) from error
    if error is not None:
        raise DeviceError(
            f"{path} cannot be compiled for the GPU '{verdict.adapter}': {_last_errors(log, error)}",
            hint="freeze variables into constants and use static shapes",
        ) from error


def _last_errors(log: str, error: Any) -> str:
    lines = [line.strip() for line in log.splitlines() if line.startswith(("ERROR", "WARNING: Attempting"))]
    return " / ".join(lines[-2:]) or " ".join(str(error).split()) or "it says nothing of why"


def _order(details: Sequence[Dict[str, Any]], signature: Dict[str, Dict[str, Any]]) -> List[int]:
    places = [entry["index"] for entry in signature.values()]
    return [places.index(entry["index"]) for entry in details]
