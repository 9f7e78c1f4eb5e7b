"""LiteRT's C API through ctypes, for its operator profiler, which its Python package does not offer.

Bound to no header at build time, so nothing here runs in a process that anybody would miss: only benchmark agents call
it, in a process of their own.

Source: LiteRT 2.1 to 2.3, litert/c/litert_{environment,model,options,opaque_options,compiled_model,tensor_buffer,
profiler,profiler_event,layout,model_types}.h; keys of the options: litert/c/options/litert_{cpu,runtime}_options.cc.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DeviceError, MissingDependencyError, UnsupportedModelError

_LIBRARIES = ("libLiteRt.so", "libLiteRt.dylib", "libLiteRt.dll")
_CPU = 1  # kLiteRtHwAcceleratorCpu
_WRITE = 1  # kLiteRtTensorBufferLockModeWrite
_MAX_RANK = 8
# LiteRtElementType to numpy.
_DTYPES = {1: "float32", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 10: "float16"}
_NEEDED = ("LiteRtCompiledModelGetProfiler", "LiteRtGetProfilerEvents", "LiteRtCreateModelFromFile")


@dataclass(frozen=True)
class Event:
    """What the profiler recorded: `kind` as LiteRtProfilerEventType, `index` its first metadatum."""

    tag: str
    kind: int
    elapsed_us: int
    index: int


class _Layout(ctypes.Structure):
    _fields_ = [
        ("bits", ctypes.c_uint),
        ("dimensions", ctypes.c_int32 * _MAX_RANK),
        ("strides", ctypes.c_uint32 * _MAX_RANK),
    ]


class _TensorType(ctypes.Structure):
    _fields_ = [("element", ctypes.c_int), ("layout", _Layout)]


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_size_t), ("in_use", ctypes.c_size_t), ("private", ctypes.c_size_t)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("tag", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("begin", _Memory),
        ("end", _Memory),
        ("index", ctypes.c_uint64),
        ("extra", ctypes.c_uint64),
        ("source", ctypes.c_int),
    ]


class ProfiledModel:
    """A .tflite compiled for the CPU with profiling on; a context manager that releases it.

    Args:
        path: The file. An open batch is set to 1.
        threads: Of XNNPACK.
        fill: From a shape and a numpy dtype name to the values of an input.

    Raises:
        MissingDependencyError: LiteRT is not installed, or its library has no profiler.
        UnsupportedModelError: LiteRT does not take the file.
    """

    def __init__(self, path: str, threads: int, fill: Callable[[Sequence[int], str], NDArray[Any]]) -> None:
        self._library = library()
        self._held = contextlib.ExitStack()
        with contextlib.ExitStack() as held:
            self._open(path, threads, fill, held)
            self._held = held.pop_all()

    def __enter__(self) -> ProfiledModel:
        return self

    def __exit__(self, *details: object) -> None:
        self._held.close()

    def invoke(self) -> List[Event]:
        """Run once and return what the profiler recorded, in order. Raises DeviceError."""
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)
        sides = [item for side in (self._inputs, self._outputs) for item in (ctypes.c_size_t(len(side)), side)]
        self._call("LiteRtRunCompiledModel", self._model, ctypes.c_size_t(0), *sides)
        self._call("LiteRtStopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("LiteRtGetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * max(1, count.value))()
        self._call("LiteRtGetProfilerEvents", self._profiler, len(events), events)
        return [
            Event((event.tag or b"").decode("utf-8", "replace"), event.kind, event.elapsed_us, event.index)
            for event in events[: count.value]
        ]

    def _open(self, path: str, threads: int, fill: Callable[..., NDArray[Any]], held: contextlib.ExitStack) -> None:
        try:
            environment = self._made(held, "Environment", 0, None)
            file = self._made(held, "Model", environment, path.encode(), create="LiteRtCreateModelFromFile")
            options = self._options(threads)
            held.callback(self._library.LiteRtDestroyOptions, options)
            self._model = self._made(held, "CompiledModel", environment, file, options)
            self._profiler = self._got("LiteRtCompiledModelGetProfiler", self._model)
            signature = self._got("LiteRtGetModelSignature", file, ctypes.c_size_t(0))
            self._inputs = self._buffers(held, environment, signature, "Input")
            self._outputs = self._buffers(held, environment, signature, "Output")
            for buffer in self._inputs:
                self._fill(ctypes.c_void_p(buffer), fill)
        except DeviceError as error:
            raise UnsupportedModelError(f"{path} cannot be profiled by LiteRT: {error.message}") from error

    def _options(self, threads: int) -> ctypes.c_void_p:
        options = self._got("LiteRtCreateOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        texts: Dict[bytes, str] = {
            b"runtime_options_string": "enable_profiling = true\n",
            b"xnnpack": f"num_threads = {threads}\n",
        }
        for name, text in texts.items():
            # LiteRT frees the text with the C library's free.
            c = ctypes.CDLL(None)
            c.strdup.restype = ctypes.c_void_p
            payload = ctypes.c_void_p(c.strdup(text.encode()))
            opaque = ctypes.c_void_p()
            free = ctypes.cast(c.free, ctypes.c_void_p)
            self._call("LiteRtCreateOpaqueOptions", name, payload, free, ctypes.byref(opaque))
            self._call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def _buffers(self, held: contextlib.ExitStack, environment: Any, signature: Any, side: str) -> Any:
        count = ctypes.c_size_t()
        self._call(f"LiteRtGetNumSignature{side}s", signature, ctypes.byref(count))
        buffers = (ctypes.c_void_p * count.value)()
        for index in range(count.value):
            place = ctypes.c_size_t(index)
            tensor = self._got(f"LiteRtGetSignature{side}TensorByIndex", signature, place)
            kind = _TensorType()
            self._call("LiteRtGetRankedTensorType", tensor, ctypes.byref(kind))
            kind.layout.dimensions[:] = [max(1, size) for size in kind.layout.dimensions]
            zero = ctypes.c_size_t(0)
            needs = self._got(f"LiteRtGetCompiledModel{side}BufferRequirements", self._model, zero, place)
            create = "LiteRtCreateManagedTensorBufferFromRequirements"
            buffer = self._got(create, environment, ctypes.byref(kind), needs)
            held.callback(self._library.LiteRtDestroyTensorBuffer, buffer)
            buffers[index] = buffer
        return buffers

    def _fill(self, buffer: ctypes.c_void_p, fill: Callable[..., NDArray[Any]]) -> None:
        kind, address = _TensorType(), ctypes.c_void_p()
        self._call("LiteRtGetTensorBufferTensorType", buffer, ctypes.byref(kind))
        dtype = _DTYPES.get(kind.element)
        if dtype is None:
            raise DeviceError(f"an input has the element type {kind.element}, which edgecv does not fill")
        rank = kind.layout.bits & 0x7F
        values = np.ascontiguousarray(fill(tuple(kind.layout.dimensions[:rank]), dtype))
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(address), _WRITE)
        ctypes.memmove(address, values.ctypes.data, values.nbytes)
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def _made(self, held: contextlib.ExitStack, what: str, *arguments: Any, create: str = "") -> ctypes.c_void_p:
        made = self._got(create or f"LiteRtCreate{what}", *arguments)
        held.callback(getattr(self._library, f"LiteRtDestroy{what}"), made)
        return made

    def _got(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function whose last argument is where it puts a handle."""
        handle = ctypes.c_void_p()
        self._call(name, *arguments, ctypes.byref(handle))
        return handle

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise DeviceError(f"{name} returned the status {status}")


def library() -> ctypes.CDLL:
    """Load LiteRT's library from the installed package.

    Raises:
        MissingDependencyError: There is none, or it has no profiler.
    """
    for path in _candidates():
        loaded = ctypes.CDLL(str(path))
        if all(hasattr(loaded, name) for name in _NEEDED):
            return loaded
    raise MissingDependencyError(
        "the installed LiteRT has no operator profiler",
        hint="pip install 'ai-edge-litert>=2.1', or put benchmark_model on PATH",
    )


def _candidates() -> Iterator[Path]:
    found = importlib.util.find_spec("ai_edge_litert")
    for folder in (found.submodule_search_locations or ()) if found else ():
        yield from (Path(folder) / name for name in _LIBRARIES if (Path(folder) / name).is_file())
