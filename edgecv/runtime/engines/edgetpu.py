"""Edge TPUs (USB stick, M.2, Dev Board) through libedgetpu's TFLite delegate, for files that Google's compiler made."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import platform
from typing import Any, Dict, Tuple

from edgecv.core.errors import DeviceError, UnsupportedModelError
from edgecv.core.optional import require
from edgecv.runtime.engines.base import Session, package_version
from edgecv.runtime.engines.tflite import TfliteSession

COMPILED = "edgetpu-custom-op"
LIBRARY_VARIABLE = "EDGECV_LIBEDGETPU"
"""Environment variable with the path of the library, where it is not installed as usual."""
DEVICE_VARIABLE = "EDGECV_EDGETPU_DEVICE"
"""Environment variable that picks one of several: "usb", "pci", "usb:0", ":1"; as libedgetpu's option `device`."""

# Source: https://coral.ai/docs/edgetpu/tflite-python/
_LIBRARIES = {"Linux": "libedgetpu.so.1", "Darwin": "libedgetpu.1.dylib", "Windows": "edgetpu.dll"}
_NO_LIBRARY = "install the Edge TPU runtime: https://coral.ai/software/#edgetpu-runtime (Debian: libedgetpu1-std)"
_NO_DEVICE = (
    "plug the stick in (USB 3) and allow your user to open it: `lsusb` shows 1a6e:089a or 18d1:9302, and the group "
    "plugdev owns it; only one process at a time can hold it"
)


def open_litert_edgetpu(path: str, threads: int, strict: bool) -> Session:
    """Open a compiled .tflite on an Edge TPU with ai-edge-litert; see `EdgeTpuSession`."""
    module = require("ai_edge_litert.interpreter", why="to run .tflite files")
    return EdgeTpuSession(module, package_version("ai-edge-litert", module), path, threads, strict)


def open_tflite_runtime_edgetpu(path: str, threads: int, strict: bool) -> Session:
    """Open a compiled .tflite on an Edge TPU with tflite-runtime; see `EdgeTpuSession`."""
    module = require("tflite_runtime.interpreter", why="to run .tflite files")
    return EdgeTpuSession(module, package_version("tflite-runtime", module), path, threads, strict)


class EdgeTpuSession(TfliteSession):
    """An interpreter whose compiled part runs on an Edge TPU; what the compiler left out runs on the CPU.

    `adapter` names the library's version, and `fully_accelerated` says whether the compiler left nothing out.

    Raises:
        UnsupportedModelError: When `strict`, the file has no compiled part: all of it would run on the CPU.
        DeviceError: The library or the device is missing, or another process holds it.
    """

    accelerator = "edgetpu"

    def __init__(self, module: Any, engine: str, path: str, threads: int, strict: bool) -> None:
        if strict and not is_compiled(path):
            raise UnsupportedModelError(
                f"{path} is not compiled for the Edge TPU: all of it would run on the CPU",
                hint=f"compile it: edgecv inspect {path} --target edgetpu --compile",
            )
        delegate, library = _load(module)
        super().__init__(module, engine, path, threads, delegates=(delegate,))
        self.adapter = f"Edge TPU, {_version(library)}"
        self.fully_accelerated = self._only_compiled()

    def _only_compiled(self) -> bool:
        # Both interpreters have it, without a promise to keep it.
        details = getattr(self._interpreter, "_get_ops_details", None)
        return details is not None and all(entry["op_name"] in (COMPILED, "DELEGATE") for entry in details())


def is_compiled(path: str) -> bool:
    """Say whether a .tflite holds a part that was compiled for the Edge TPU."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(COMPILED.encode()) >= 0


def _load(module: Any) -> Tuple[Any, str]:
    """Return libedgetpu's delegate and the library's name."""
    library = os.environ.get(LIBRARY_VARIABLE) or _LIBRARIES.get(platform.system(), "libedgetpu.so.1")
    device = os.environ.get(DEVICE_VARIABLE)
    options: Dict[str, str] = {"device": device} if device else {}
    try:
        ctypes.CDLL(library)  # first, since an interpreter's half-made delegate complains on stderr
    except OSError as error:
        raise DeviceError(f"the Edge TPU library {library} cannot be loaded: {error}", hint=_NO_LIBRARY) from error
    try:
        return module.load_delegate(library, options), library
    except (ValueError, RuntimeError) as error:
        which = f" '{device}'" if device else ""
        said = " ".join(str(error).split())
        raise DeviceError(f"no Edge TPU{which} can be opened: {said}", hint=_NO_DEVICE) from error


def _version(library: str) -> str:
    with contextlib.suppress(OSError, AttributeError):
        function = ctypes.CDLL(library).edgetpu_version
        function.restype = ctypes.c_char_p
        text = function()
        if text:
            return f"libedgetpu {text.decode('utf-8', 'replace')}"
    return "libedgetpu of unknown version"
