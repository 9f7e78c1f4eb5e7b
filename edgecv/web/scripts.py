"""The interpreters' files as a page takes them: under which address, and what edgecv changes in them.

Addresses are relative to where the page that uses them lies, so that a static site can hold them anywhere:

    litert/index.js                 LiteRT.js, an ES module that a worker can import
    litert/wasm-utils.js            what it imports
    litert/wasm/*                   its WebAssembly and what loads that: call `loadLiteRt` with this folder
    ort/ort.wasm.min.mjs            onnxruntime-web, an ES module; `env.wasm.wasmPaths` is the folder `ort/`
    ort/ort-wasm-simd-threaded.*    its WebAssembly

Two lines of LiteRT.js are other than npm's. A worker has no import map, so `@litertjs/wasm-utils` becomes an address.
And its table of element types lacks int8, so that it refuses files with int8 inputs or outputs that its kernels run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgecv.core.errors import MissingDependencyError
from edgecv.web import packages

Content = Path | bytes
"""A file as it lies in its package, or the bytes of one that edgecv changes."""

_IMPORT = 'import { createWasmLib } from "@litertjs/wasm-utils";'
_UINT8 = """    dtype: "uint8",
    typedArrayConstructor: Uint8Array,
    elementType: ElementType.UINT8
  }
"""
_INT8 = """  , {
    dtype: "int8",
    typedArrayConstructor: Int8Array,
    elementType: ElementType.INT8
  }
"""
_ONNXRUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_MEDIA_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def litert() -> Mapping[str, Content]:
    """Return LiteRT.js: its files by address.

    Raises:
        MissingDependencyError: It is not installed in the pinned version.
    """
    core = packages.package(packages.LITERT)
    loader = packages.package(packages.LITERT_LOADER) / "dist" / "index.js"
    wasm = {f"litert/wasm/{path.name}": path for path in sorted((core / "wasm").iterdir()) if path.is_file()}
    return {"litert/index.js": _patched(core / "dist" / "index.js"), "litert/wasm-utils.js": loader, **wasm}


def onnxruntime() -> Mapping[str, Content]:
    """Return onnxruntime-web for wasm: its files by address.

    Raises:
        MissingDependencyError: It is not installed in the pinned version.
    """
    dist = packages.package(packages.ONNXRUNTIME) / "dist"
    return {f"ort/{name}": dist / name for name in _ONNXRUNTIME_FILES}


def sources() -> tuple[Path, ...]:
    """Return the files of npm's packages that edgecv reads, as they lie there: what the wheel `edgecv-web` packs.

    Raises:
        MissingDependencyError: One of the packages is not installed in the pinned version.
    """
    described = [packages.package(name) / "package.json" for name in packages.pinned()]
    core = packages.package(packages.LITERT) / "dist" / "index.js"
    served = [content for content in {**litert(), **onnxruntime()}.values() if isinstance(content, Path)]
    return (*described, core, *served)


def media_type(address: str) -> str:
    """Return the Content-Type of a file, by the end of its address."""
    return _MEDIA_TYPES.get(Path(address).suffix, "application/octet-stream")


def read(content: Content) -> bytes:
    """Return the bytes of a file."""
    return content if isinstance(content, bytes) else content.read_bytes()


def _patched(path: Path) -> bytes:
    text = path.read_text(encoding="utf-8")
    changes = ((_IMPORT, 'import { createWasmLib } from "./wasm-utils.js";'), (_UINT8, _UINT8 + _INT8))
    for before, after in changes:
        if text.count(before) != 1:
            raise MissingDependencyError(
                f"{path} is not the file that edgecv knows how to change: it has {text.count(before)} times {before!r}",
                hint=f"run `{packages.MAKE}`",
            )
        text = text.replace(before, after)
    return text.encode("utf-8")
