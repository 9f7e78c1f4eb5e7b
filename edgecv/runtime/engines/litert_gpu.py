"""LiteRT's GPU accelerator (WebGPU on Vulkan, Metal or Direct3D): the code that phones run.

Unless told otherwise it computes in float16 where the adapter does, so that outputs differ from the CPU's by more than
rounding of float32. A model with an operator that it refuses is an error that names it, unless that is allowed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DeviceError, PartialAccelerationError, unknown_name
from edgecv.core.files import sha256
from edgecv.core.optional import require
from edgecv.runtime.engines.base import Session, package_version
from edgecv.runtime.engines.gpu_program import Program, compile_model, found_precision, order
from edgecv.runtime.engines.native_log import captured
from edgecv.runtime.engines.tflite import describe, open_interpreter
from edgecv.values.manifest import TensorInfo

Array = NDArray[Any]

PRECISIONS = ("float16", "float32")

_ADAPTER = re.compile(r"Selected adapter: (?P<name>.*?), arch=.*adapterType=(?P<kind>.*)")
_REFUSALS = re.compile(r"Following operations are not supported by GPU delegate:\n(?P<lines>(?:[A-Z0-9_]+: .*\n)+)")
_SPLIT = re.compile(
    r"(?:(?P<taken>\d+) operations will run on the GPU|No operations will run on the GPU), "
    r"and (?:the remaining|all) (?P<left>\d+) operations will run on the CPU"
)
_INVALID = re.compile(r"Validation error: (?P<what>.*)")
# The accelerator's own words when programs came from the cache's folder.
_FROM_CACHE = "Initialized InferenceContext from serialized data"
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
        counts: Operators that it takes, and all of them, by its own count; None when it gave none: it took all.
    """

    adapter: str
    is_software: bool
    refused: Tuple[Tuple[str, str], ...]
    counts: Tuple[Optional[int], Optional[int]] = (None, None)


def read_log(log: str) -> GpuVerdict:
    """Return the verdict in the log that the accelerator writes while it compiles a model."""
    adapter, refusals = _ADAPTER.search(log), _REFUSALS.search(log)
    lines = refusals["lines"].splitlines() if refusals else []
    pairs = (line.split(": ", 1) for line in lines)
    return GpuVerdict(
        adapter=adapter["name"] if adapter else "",
        is_software=bool(adapter) and adapter["kind"].startswith("CPU") if adapter else False,
        refused=tuple((op, reason) for op, reason in pairs),
        counts=_counts(log),
    )


def _counts(log: str) -> Tuple[Optional[int], Optional[int]]:
    found = _SPLIT.search(log)
    if not found:
        return None, None
    taken = int(found["taken"] or 0)
    return taken, taken + int(found["left"])


def open_litert_gpu(
    path: str, threads: int, strict: bool, precision: Optional[str] = None, program_cache: Optional[str] = None
) -> Session:
    """Open a .tflite on the GPU; unless `strict`, refused operators run on the CPU with `threads` threads.

    Args:
        precision: "float16" or "float32"; None leaves it to the accelerator, which takes float16 where the adapter
            computes it. `session.precision` says what came of it.
        program_cache: Folder that keeps compiled programs for the next start; made when missing.

    Raises:
        DeviceError: No adapter.
        PartialAccelerationError: `strict`, and an operator that the accelerator refuses, by name.
        UnsupportedModelError: The file is damaged.
        ConfigError: Another precision, or the cache folder cannot be made.
        MissingDependencyError: An option that this LiteRT has not.
    """
    if precision not in (None, *PRECISIONS):
        raise unknown_name("precision", str(precision), PRECISIONS)
    return LitertGpuSession(path, threads, strict, precision or "", program_cache or "")


class LitertGpuSession(Session):
    """A model compiled for the GPU, with its input and output buffers."""

    accelerator = "gpu"

    def __init__(self, path: str, threads: int, strict: bool, precision: str, cache: str) -> None:
        compiled = require("ai_edge_litert.compiled_model", why="to run .tflite files on a GPU")
        interpreter = require("ai_edge_litert.interpreter", why="to run .tflite files")
        engine = package_version("ai-edge-litert", compiled)
        self._module, self._asked = compiled, precision
        key = _cache_key(path, engine, precision, cache) if cache else ""
        self._program: Optional[Program] = None
        error: Optional[Exception] = None
        with captured() as log:
            # The interpreter verifies the file, which the compiler does not, and knows the quantisation parameters.
            plain = open_interpreter(interpreter, path, threads)
            start = time.perf_counter()
            try:
                self._program = compile_model(
                    compiled, path, threads=threads, partial=not strict, precision=precision, cache=cache, key=key
                )
            except (RuntimeError, ValueError) as raised:
                error = raised
            elapsed, text = time.perf_counter() - start, log()
        verdict = read_log(text)
        _check(path, verdict, error, strict, text)
        program = self._opened()
        inputs, outputs = plain.get_input_details(), plain.get_output_details()
        self._input_order = order(inputs, program.input_indices)
        self._output_order = order(outputs, program.output_indices)
        super().__init__(engine, threads, describe(inputs, path), describe(outputs))
        self.adapter, self.is_software_adapter = verdict.adapter, verdict.is_software
        self.n_accelerated, self.n_operators = verdict.counts
        # LiteRT's own "fully accelerated" counts what XNNPACK takes on the CPU, so only the log tells.
        self.fully_accelerated = self.n_operators is None
        self.compile_ms = elapsed * 1e3
        self.from_cache = _FROM_CACHE in text
        self._results: List[Array] = []
        with captured():
            # The first access to a buffer starts a second environment, which announces itself too.
            self.set_inputs([np.zeros(info.shape, info.dtype) for info in self.inputs])

    @property
    def precision(self) -> Optional[str]:
        """What the adapter computes in, found out by running a model of one operator on it; None when that fails."""
        if self._found is None:
            with captured(), contextlib.suppress(RuntimeError, ValueError):
                self._found = found_precision(self._module, self._asked)
        return self._found

    _found: Optional[str] = None

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        program = self._opened()
        for place, array in zip(self._input_order, arrays):
            program.write(place, array)

    def invoke(self) -> None:
        program = self._opened()
        try:
            program.run()
            # Reading waits for the GPU; a run that returns early would otherwise look fast.
            self._results = [self._read(place, info) for place, info in zip(self._output_order, self.outputs)]
        except (RuntimeError, ValueError) as error:
            raise DeviceError(f"the GPU accelerator failed on '{self.adapter}': {error}") from error

    def _read(self, place: int, info: TensorInfo) -> Array:
        count = int(np.prod(info.shape, dtype=np.int64))
        return self._opened().read(place, count, np.dtype(info.dtype)).reshape(info.shape)

    def get_outputs(self) -> List[Array]:
        return list(self._results)

    def close(self) -> None:
        with captured():
            if self._program is not None:
                self._program.close()
            self._program = None

    def _opened(self) -> Program:
        if self._program is None:
            raise ConfigError("the model was closed", hint="load it again")
        return self._program


def _cache_key(path: str, engine: str, precision: str, cache: str) -> str:
    """Make the folder, and return a name for what is compiled: of the file's contents, the version and the options."""
    try:
        os.makedirs(cache, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the program cache {cache} cannot be made: {error}", hint="choose another folder") from error
    digest = hashlib.sha256(f"{engine}/{precision}/{sha256(path)}".encode())
    return f"edgecv-{digest.hexdigest()[:32]}"


def _check(path: str, verdict: GpuVerdict, error: Any, strict: bool, log: str) -> None:
    if not verdict.adapter:
        missing = any(sign in log for sign in _NO_ADAPTER)
        reason = "there is no Vulkan adapter" if missing else _last_errors(log, error)
        raise DeviceError(f"the GPU accelerator cannot start: {reason}", hint=_NO_ADAPTER_HINT) from error
    if verdict.refused and strict:
        ops = "; ".join(f"{op} ({reason.rstrip('.')})" for op, reason in verdict.refused)
        raise PartialAccelerationError(
            f"{path} does not run on the GPU '{verdict.adapter}' alone, which refuses: {ops}",
            hint="allow it to run in part (strict=False), or change the model",
        ) from error
    invalid = _INVALID.search(log)
    if invalid:
        raise DeviceError(
            f"the GPU accelerator takes {path}, but makes invalid programs of it on '{verdict.adapter}', so that its "
            f"answers would be wrong: {invalid['what']}",
            hint="edgecv inspect --target gpu tells more; grouped convolutions are known to do this",
        ) from error
    if error is not None:
        raise DeviceError(
            f"{path} cannot be compiled for the GPU '{verdict.adapter}': {_last_errors(log, error)}",
            hint="freeze variables into constants and use static shapes",
        ) from error


def _last_errors(log: str, error: Any) -> str:
    lines = [line.strip() for line in log.splitlines() if line.startswith(("ERROR", "WARNING: Attempting"))]
    return " / ".join(lines[-2:]) or " ".join(str(error).split()) or "it says nothing of why"
