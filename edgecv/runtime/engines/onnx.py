"""ONNX Runtime, on the CPU or an NVIDIA GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DeviceError, PartialAccelerationError, UnsupportedModelError
from edgecv.core.optional import require
from edgecv.runtime.engines.base import Session, batch_of_one
from edgecv.values.manifest import TensorInfo

Array = NDArray[Any]

CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_DTYPES = {"float": "float32", "double": "float64"}
_QUIET = 3  # ONNX Runtime's log level: errors only; it logs to stderr
_SILENT = 4  # not even those
_RECORD = "session.record_ep_graph_assignment_info"
_EXACT_SUMS = "session.x64quantprecision"

Providers = Sequence[Union[str, Tuple[str, Dict[str, str]]]]


@dataclass(frozen=True)
class Node:
    """A node of the graph that ONNX Runtime made of a file, and the provider that runs it.

    Attributes:
        name: As in the file; converters keep the source layer in it. Nodes that ONNX Runtime made may have none.
        op: Operator: "Conv".
        provider: "CPUExecutionProvider", …
    """

    name: str
    op: str
    provider: str


def open_cpu(path: str, threads: int, strict: bool) -> Session:
    """Open an .onnx on the CPU. `strict` has no meaning there."""
    return OnnxSession(path, threads, [CPU])


def open_cuda(path: str, threads: int, strict: bool, precision: Optional[str] = None) -> Session:
    """Open an .onnx on an NVIDIA GPU; unless `strict`, nodes without a CUDA kernel run on the CPU.

    Args:
        precision: "float32" keeps matrix products out of TF32, whose mantissa has 10 bits; None allows it.

    Raises:
        DeviceError: This ONNX Runtime has no CUDA, or no GPU answers.
        PartialAccelerationError: `strict`, and nodes run on the CPU, by name.
        ConfigError: Another precision.
    """
    if precision not in (None, "float32"):
        raise ConfigError(
            f"ONNX Runtime on CUDA computes in the file's own type, not in '{precision}'",
            hint="convert with --scheme float16, or leave the precision out",
        )
    runtime = require("onnxruntime", why="to run .onnx files")
    if _CUDA not in runtime.get_available_providers():
        raise DeviceError(
            "this ONNX Runtime has no CUDA support",
            hint="install onnxruntime-gpu in its place, or use accelerator='cpu'",
        )
    return CudaSession(path, threads, strict, precision)


def exact_session(path: str, options: Callable[[], Any], providers: Providers) -> Optional[Any]:
    """Return a session that sums products of int8 weights and uint8 activations exactly, on every processor.

    x86 without VNNI adds pairs of them in 16 bits, which overflow, and ONNX Runtime takes that for speed unless it is
    told not to: answers are then wrong, by 0.4 of a probability in a LeNet-5. Other processors are not concerned.
    Source: onnxruntime_session_options_config_keys.h, kOrtSessionOptionsAvx2PrecisionMode.

    Returns:
        None where it does not open the file so: files of other tools may share zero points between weights, which it
        cannot make unsigned (see `edgecv.convert.onnx.own_zero_points`), or the file cannot be opened at all.
    """
    runtime = require("onnxruntime", why="to run .onnx files")
    asked = options()
    asked.add_session_config_entry(_EXACT_SUMS, "1")
    asked.log_severity_level = _SILENT  # whoever opens it without says what is wrong
    try:
        return runtime.InferenceSession(path, asked, providers=list(providers))
    except Exception:  # its exceptions share no base class short of this one
        return None


def nodes_of(session: Any) -> Optional[Tuple[Node, ...]]:
    """Return which provider runs each node of an opened session; None where this ONNX Runtime cannot say.

    Source: `InferenceSession.get_provider_graph_assignment_info`, ONNX Runtime 1.24 and newer.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    return tuple(
        Node(node.name, node.op_type, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )


def assigned_nodes(path: str) -> Optional[Tuple[Node, ...]]:
    """Open a file on the CPU, without running it, and return its nodes as `nodes_of` does. Raises as `open_cpu`."""
    return nodes_of(open_inference(path, 1, [CPU], record=True))


def open_inference(path: str, threads: int, providers: Providers, *, record: bool = False, no_cpu: bool = False) -> Any:
    """Return an InferenceSession.

    Args:
        record: Let it tell where its nodes run (see `nodes_of`).
        no_cpu: Refuse a file of which a node would run on the CPU; says only that there is one.

    Raises:
        UnsupportedModelError: ONNX Runtime refuses the file; with `no_cpu`, PartialAccelerationError.
    """
    runtime = require("onnxruntime", why="to run .onnx files")

    def options() -> Any:
        return _options(runtime, threads, record, no_cpu)

    exact = exact_session(path, options, providers)
    return _create(runtime, path, options(), providers, no_cpu) if exact is None else exact


def _options(runtime: Any, threads: int, record: bool, no_cpu: bool) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    if record and hasattr(runtime.InferenceSession, "get_provider_graph_assignment_info"):
        options.add_session_config_entry(_RECORD, "1")
    if no_cpu:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


class OnnxSession(Session):
    """An ONNX Runtime session.

    Raises:
        UnsupportedModelError: ONNX Runtime refuses the file; chained from its reason.
    """

    def __init__(self, path: str, threads: int, providers: Providers, *, record: bool = False) -> None:
        opened = open_inference(path, threads, providers, record=record)
        self._session: Optional[Any] = opened
        inputs, outputs = opened.get_inputs(), opened.get_outputs()
        super().__init__(
            f"onnxruntime {require('onnxruntime').__version__}",
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

    def __init__(self, path: str, threads: int, strict: bool, precision: Optional[str] = None) -> None:
        cuda = (_CUDA, {"use_tf32": "0"}) if precision == "float32" else _CUDA
        super().__init__(path, threads, [cuda, CPU], record=True)
        assert self._session is not None
        if self._session.get_providers()[0] != _CUDA:
            raise DeviceError(
                "ONNX Runtime could not start CUDA and fell back to the CPU",
                hint="check the NVIDIA driver and the CUDA and cuDNN versions that this ONNX Runtime needs",
            )
        self.adapter = "CUDA device 0"
        self._precision = precision or "tf32"
        self._judge(path, threads, strict)

    @property
    def precision(self) -> Optional[str]:
        """Of a float32 file: "float32", or "tf32" where matrix products may use that."""
        return self._precision

    def _judge(self, path: str, threads: int, strict: bool) -> None:
        nodes = nodes_of(self._session)
        if nodes is None:
            # An older one only says whether all is on the GPU, by refusing to open the file otherwise.
            if strict:
                open_inference(path, threads, [_CUDA], no_cpu=True)
            self.fully_accelerated = strict
            return
        left = [node for node in nodes if node.provider != _CUDA]
        self.fully_accelerated = not left
        if left:
            self.n_accelerated, self.n_operators = len(nodes) - len(left), len(nodes)
        if left and strict:
            raise left_to_cpu(path, left, len(nodes))


def left_to_cpu(path: str, left: Sequence[Node], total: int) -> PartialAccelerationError:
    """Return the error that names the nodes which CUDA leaves to the CPU."""
    named = [f"{node.op} '{node.name}'" if node.name else node.op for node in left]
    shown = ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
    return PartialAccelerationError(
        f"{path} does not run on CUDA alone: {len(left)} of {total} nodes run on the CPU: {shown}",
        hint="allow it to run in part (strict=False), or change the model",
    )


def _create(runtime: Any, path: str, options: Any, providers: Providers, no_cpu: bool) -> Any:
    try:
        return runtime.InferenceSession(path, options, providers=list(providers))
    # Its exceptions share no base class short of Exception.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if no_cpu:
            raise PartialAccelerationError(
                f"{path} cannot run on CUDA alone: {reason}", hint="allow it to run in part (strict=False)"
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
