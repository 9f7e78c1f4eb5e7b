"""LiteRT's compiled models through its C library, for what its Python interface does not pass on.

The Python `GpuOptions` know "float32 or your choice" and no serialisation folder: float16 whatever the adapter, and a
cache of compiled programs, can only be asked for here. The options travel as one TOML text, which the accelerator reads
itself. Used only when one of the two is asked for.

Source: litert/c/*.h and litert/c/options/litert_gpu_options.cc of google-ai-edge/LiteRT, version 2.3.
"""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any, Dict, List, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import MissingDependencyError

Array = NDArray[Any]

_RUNTIME_FOLDER, _STRING = 22, 8  # kLiteRtEnvOptionTagRuntimeLibraryDir, kLiteRtAnyTypeString
_CPU, _GPU = 1, 2  # LiteRtHwAccelerators
_PRECISIONS = {"": 0, "float16": 1, "float32": 2}  # LiteRtDelegatePrecision
_READ, _WRITE = 0, 1  # LiteRtTensorBufferLockMode
_TYPE_BYTES = 256  # of LiteRtRankedTensorType, which has 72, with room to grow
_NEEDED = ("LiteRtCreateCompiledModel", "LiteRtCreateOpaqueOptions", "LiteRtCreateManagedTensorBufferFromRequirements")


class _Any(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("value", ctypes.c_void_p)]


class _EnvOption(ctypes.Structure):
    _fields_ = [("tag", ctypes.c_int), ("value", _Any)]


class CProgram:
    """A compiled model; with `cache`, its GPU programs are kept in, and read back from, a folder.

    Args:
        folder: Of the ai_edge_litert package.
        path: The model file.
        partial: Whether refused operators may run on the CPU.
        precision: "float16", "float32" or "" for the accelerator's own choice.
        cache: Folder that exists, or "" for none.
        key: Of the file, the version and the options: what cached programs depend on. The accelerator itself keeps
            apart those of different adapters.

    Raises:
        MissingDependencyError: The package has no such library.
        RuntimeError: A call failed; the accelerator's log says why.
    """

    def __init__(self, folder: str, path: str, *, partial: bool, precision: str, cache: str, key: str) -> None:
        self._library = _library(folder)
        self._held: List[Tuple[str, ctypes.c_void_p]] = []
        self._sinks: List[ctypes.c_void_p] = []
        self._sources: List[ctypes.c_void_p] = []
        try:
            self._open(folder, path, _options(precision, cache, key), _GPU | _CPU if partial else _GPU)
        except BaseException:
            self.close()
            raise

    def _open(self, folder: str, path: str, options: str, hardware: int) -> None:
        environment = self._environment(folder)
        model = self._made("LiteRtCreateModelFromFile", "LiteRtDestroyModel", environment, os.fsencode(path))
        chosen = self._made("LiteRtCreateOptions", "LiteRtDestroyOptions")
        self._call("LiteRtSetOptionsHardwareAccelerators", chosen, hardware)
        self._call("LiteRtAddOpaqueOptions", chosen, self._gpu_options(options))
        compiled = self._made("LiteRtCreateCompiledModel", "LiteRtDestroyCompiledModel", environment, model, chosen)
        self._compiled = compiled
        signature = self._got("LiteRtGetModelSignature", model, ctypes.c_size_t(0))
        self.input_indices, self._sources = self._tensors(environment, signature, "Input")
        self.output_indices, self._sinks = self._tensors(environment, signature, "Output")

    def write(self, place: int, array: Array) -> None:
        """Copy an array to the input at `place` of the signature."""
        data = np.ascontiguousarray(array)
        address = self._locked(self._sources[place], _WRITE)
        ctypes.memmove(address, data.ctypes.data, data.nbytes)
        self._call("LiteRtUnlockTensorBuffer", self._sources[place])

    def run(self) -> None:
        """Run on what was written."""
        self._call(
            "LiteRtRunCompiledModel",
            self._compiled,
            ctypes.c_size_t(0),
            ctypes.c_size_t(len(self._sources)),
            _array(self._sources),
            ctypes.c_size_t(len(self._sinks)),
            _array(self._sinks),
        )

    def read(self, place: int, count: int, dtype: Any) -> Array:
        """Return `count` values of the output at `place`, flat; waits for the GPU."""
        found = np.empty(count, dtype)
        address = self._locked(self._sinks[place], _READ)
        ctypes.memmove(found.ctypes.data, address, found.nbytes)
        self._call("LiteRtUnlockTensorBuffer", self._sinks[place])
        return found

    def close(self) -> None:
        """Release everything, last first. Safe to call twice."""
        while self._held:
            destroy, handle = self._held.pop()
            getattr(self._library, destroy)(handle)

    def _environment(self, folder: str) -> ctypes.c_void_p:
        self._folder = ctypes.create_string_buffer(os.fsencode(folder))
        option = _EnvOption(_RUNTIME_FOLDER, _Any(_STRING, ctypes.addressof(self._folder)))
        return self._made("LiteRtCreateEnvironment", "LiteRtDestroyEnvironment", 1, ctypes.byref(option))

    def _gpu_options(self, text: str) -> ctypes.c_void_p:
        # The options own their text and free it, so it must come from the C library's allocator.
        libc = ctypes.CDLL(None)
        libc.strdup.restype = ctypes.c_void_p
        payload = ctypes.c_void_p(libc.strdup(text.encode("utf-8")))
        release = ctypes.cast(libc.free, ctypes.c_void_p)
        return self._got("LiteRtCreateOpaqueOptions", b"gpu_options", payload, release)

    def _tensors(
        self, environment: ctypes.c_void_p, signature: ctypes.c_void_p, side: str
    ) -> Tuple[List[int], List[ctypes.c_void_p]]:
        """Return the file's tensor indices and a buffer for each tensor of a side of the signature, in its order."""
        count = ctypes.c_size_t(0)
        self._call(f"LiteRtGetNumSignature{side}s", signature, ctypes.byref(count))
        indices, buffers = [], []
        for place in range(count.value):
            tensor = self._got(f"LiteRtGetSignature{side}TensorByIndex", signature, ctypes.c_size_t(place))
            index, kind = ctypes.c_uint32(0), ctypes.create_string_buffer(_TYPE_BYTES)
            self._call("LiteRtGetTensorIndex", tensor, ctypes.byref(index))
            self._call("LiteRtGetRankedTensorType", tensor, kind)
            zero = ctypes.c_size_t(0)
            needs = self._got(
                f"LiteRtGetCompiledModel{side}BufferRequirements", self._compiled, zero, ctypes.c_size_t(place)
            )
            make = "LiteRtCreateManagedTensorBufferFromRequirements"
            buffers.append(self._made(make, "LiteRtDestroyTensorBuffer", environment, kind, needs))
            indices.append(int(index.value))
        return indices, buffers

    def _locked(self, buffer: ctypes.c_void_p, mode: int) -> int:
        address = ctypes.c_void_p()
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(address), mode)
        assert address.value is not None
        return address.value

    def _made(self, create: str, destroy: str, *arguments: Any) -> ctypes.c_void_p:
        handle = self._got(create, *arguments)
        self._held.append((destroy, handle))
        return handle

    def _got(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call(name, *arguments, ctypes.byref(handle))
        return handle

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} failed with status {status}")


_LIBRARIES: Dict[str, Any] = {}


def _library(folder: str) -> Any:
    path = os.path.join(folder, "libLiteRt.so")
    if path not in _LIBRARIES:
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            raise _without(str(error)) from error
        missing = [name for name in _NEEDED if not hasattr(library, name)]
        if missing:
            raise _without(f"it lacks {missing[0]}")
        _LIBRARIES[path] = library
    return _LIBRARIES[path]


def _without(reason: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"LiteRT's C library, which an explicit float16 and a program cache need, cannot be used: {reason}",
        hint="install ai-edge-litert 2.3 or newer on Linux, or leave both options out",
    )


def _options(precision: str, cache: str, key: str) -> str:
    lines = [f"precision = {_PRECISIONS[precision]}"]
    if cache:
        # JSON strings are TOML basic strings.
        lines += [f"serialization_dir = {json.dumps(cache)}", f"model_cache_key = {json.dumps(key)}"]
        lines += ["serialize_program_cache = true"]
    return "\n".join(lines) + "\n"


def _array(handles: List[ctypes.c_void_p]) -> Any:
    return (ctypes.c_void_p * len(handles))(*handles)
