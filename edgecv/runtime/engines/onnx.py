"""ONNX Runtime, on the CPU or an NVIDIA GPU."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ConfigError, DeviceError, UnsupportedModelError
from edgecv.manifest import TensorInfo
from edgecv.optional import require
from edgecv.runtime.engines.base import Session, batch_of_one

Array = NDArray[Any]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_DTYPES = {"float": "float32", "double": "float64"}
_QUIET = 3  # ONNX Runtime's log level: errors only; it logs to stderr


def open_cpu(path: str, threads: int, strict: bool) -> Session:
    """Open an .onnx on the CPU. `strict` has no meaning there."""
    return OnnxSession(path, threads, [_CPU])


def open_cuda(path: str, threads: int, strict: bool) -> Session:
    """Open an .onnx on an NVIDIA GPU; unless `strict`, operators without a CUDA kernel run on the CPU.

    Raises:
        DeviceError: This ONNX Runtime has no CUDA, or no GPU answers, or (strict) an operator has no CUDA kernel.
    """
    runtime = require("onnxruntime", why="to run .onnx files")
    if _CUDA not in runtime.get_available_providers():
        raise DeviceError(
            "this ONNX Runtime has no CUDA support",
            hint="install onnxruntime-gpu in its place, or use accelerator='cpu'",
        )
    return CudaSession(path, threads, strict)


class OnnxSession(Session):
    """An ONNX Runtime session.

    Raises:
        UnsupportedModelError: ONNX Runtime refuses the file; chained from its reason.
    """

    def __init__(self, path: str, threads: int, providers: List[str], *, no_cpu: bool = False) -> None:
        runtime = require("onnxruntime", why="to run .onnx files")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        if no_cpu:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self._session: Optional[Any] = _create(runtime, path, options, providers, no_cpu)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        super().__init__(
            f"onnxruntime {runtime.__version__}",
            threads,
            tuple(_info(entry, batch_of_one(entry.name, entry.shape, path)) for entry in inputs),
            tuple(_info(entry, _known(entry.shape)) for entry in outputs),
        )
        self._feed: dict[str, Array] = {}
        self._results: List[Array] = []

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        self._feed = {info.name: np.ascontiguousarray(array) for info, array in zip(self.inputs, arrays)}

    def invoke(self) -> None:
        if self._session is None:
            raise ConfigError("the model was closed", hint="load it again")
        try:
            self._results = self._session.run(None, self._feed)
        # Its exceptions share no base class short of Exception.
        except Exception as error:
            raise DeviceError(f"{self.engine} failed to run the model: {error}") from error

    def get_outputs(self) -> List[Array]:
        return list(self._results)

    def close(self) -> None:
        self._session = None


class CudaSession(OnnxSession):
    """An ONNX Runtime session on CUDA device 0."""

    accelerator = "gpu"

    def __init__(self, path: str, threads: int, strict: bool) -> None:
        super().__init__(path, threads, [_CUDA] if strict else [_CUDA, _CPU], no_cpu=strict)
        assert self._session is not None
        if self._session.get_providers()[0] != _CUDA:
            raise DeviceError(
                "ONNX Runtime could not start CUDA and fell back to the CPU",
                hint="check the NVIDIA driver and the CUDA and cuDNN versions that this ONNX Runtime needs",
            )
        self.adapter = "CUDA device 0"
        self.fully_accelerated = strict


def _create(runtime: Any, path: str, options: Any, providers: List[str], no_cpu: bool) -> Any:
    try:
        return runtime.InferenceSession(path, options, providers=providers)
    # Its exceptions share no base class short of Exception.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if no_cpu:
            raise DeviceError(
                f"{path} cannot run on CUDA alone: {reason}", hint="pass strict=False to run the rest on the CPU"
            ) from error
        raise UnsupportedModelError(
            f"{path} cannot be run by ONNX Runtime: {reason}", hint="it may be damaged, or newer than this ONNX Runtime"
        ) from error


def _info(entry: Any, shape: Tuple[int, ...]) -> TensorInfo:
    kind = entry.type[len("tensor(") : -1]
    return TensorInfo(name=entry.name, shape=shape, dtype=_DTYPES.get(kind, kind))


def _known(shape: Sequence[Any]) -> Tuple[int, ...]:
    """Return an output's shape, with variable axes as 1: the outputs themselves tell the true ones."""
    return tuple(size if isinstance(size, int) and size > 0 else 1 for size in shape)
