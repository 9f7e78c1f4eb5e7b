"""The interpreters that the runtime can use. None is imported before a model is opened in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable, Mapping, Optional, Tuple

from edgecv.errors import ConfigError, MissingDependencyError, unknown_name
from edgecv.files import PathLike
from edgecv.optional import EXTRAS, available
from edgecv.registry import Registry
from edgecv.runtime.container import check_tflite, sniff
from edgecv.runtime.engines import edgetpu, litert_gpu, onnx, tflite
from edgecv.runtime.engines.base import Session

ACCELERATORS = ("cpu", "gpu", "edgetpu")

Opener = Callable[[str, int, bool], Session]
"""open(path, threads, strict)."""


@dataclass(frozen=True)
class Engine:
    """One interpreter package.

    Attributes:
        package: Import name; what `optional.available` looks for.
        formats: That it opens: "tflite", "onnx".
        openers: For each accelerator that it knows.
    """

    package: str
    formats: Tuple[str, ...]
    openers: Mapping[str, Opener]


ENGINES: Registry[Engine] = Registry("engine")
"""In order of preference."""
ENGINES.add(
    "litert",
    Engine(
        "ai_edge_litert",
        ("tflite",),
        {
            "cpu": tflite.open_litert,
            "gpu": litert_gpu.open_litert_gpu,
            "edgetpu": edgetpu.open_litert_edgetpu,
        },
    ),
)
ENGINES.add(
    "tflite-runtime",
    Engine(
        "tflite_runtime",
        ("tflite",),
        {"cpu": tflite.open_tflite_runtime, "edgetpu": edgetpu.open_tflite_runtime_edgetpu},
    ),
)
ENGINES.add("onnxruntime", Engine("onnxruntime", ("onnx",), {"cpu": onnx.open_cpu, "gpu": onnx.open_cuda}))


def open_session(
    path: PathLike,
    *,
    engine: Optional[str] = None,
    accelerator: str = "cpu",
    threads: Optional[int] = None,
    strict: bool = True,
) -> Session:
    """Open a .tflite or .onnx file in an interpreter, without reading its manifest.

    Args:
        path: The file; its format is told by content.
        engine: "litert", "tflite-runtime" or "onnxruntime"; None takes the first installed one that fits.
        accelerator: "cpu", "gpu" or "edgetpu". There is no fallback from one to the other.
        threads: Of the interpreter on the CPU; None means 1, so that a time or a result is reproducible.
        strict: On the GPU, refuse a model of which an operator would run on the CPU; on the Edge TPU, one of which
            every operator would.

    Raises:
        ConfigError: Unknown engine or accelerator, a combination that does not exist, or a missing file.
        UnsupportedModelError: The file is damaged, or has a format or operators that the engine does not take.
        MissingDependencyError: No engine for the format is installed.
        DeviceError: The accelerator is missing or refuses the model.
    """
    if accelerator not in ACCELERATORS:
        raise unknown_name("accelerator", accelerator, ACCELERATORS)
    count = 1 if threads is None else threads
    if count < 1:
        raise ConfigError(f"threads must be at least 1, got {count}")
    format = sniff(path)
    opener = _choose(os.fspath(path), format, engine, accelerator)
    if format == "tflite":
        # In front of native code, which need not survive a damaged file.
        check_tflite(path)
    return opener(os.fspath(path), count, strict)


def _choose(path: str, format: str, engine: Optional[str], accelerator: str) -> Opener:
    if format == "keras":
        raise ConfigError(
            f"{path} is a Keras model, which the runtime does not run",
            hint=f"convert it: edgecv convert {path} --format tflite",
        )
    if engine is not None:
        return _forced(engine, ENGINES.get(engine), format, accelerator)
    fitting = [entry for _, entry in ENGINES if format in entry.formats and accelerator in entry.openers]
    for entry in fitting:
        if available(entry.package):
            return entry.openers[accelerator]
    extras = " or ".join(f"pip install 'edgecv[{EXTRAS[entry.package]}]'" for entry in fitting)
    raise MissingDependencyError(
        f"no interpreter for .{format} files on the {accelerator} is installed; looked for "
        + ", ".join(entry.package for entry in fitting),
        hint=extras,
    )


def _forced(name: str, entry: Engine, format: str, accelerator: str) -> Opener:
    if format not in entry.formats:
        fitting = [other for other, candidate in ENGINES if format in candidate.formats]
        raise ConfigError(f"engine '{name}' does not open .{format} files", hint=f"use {' or '.join(fitting)}")
    if accelerator not in entry.openers:
        raise ConfigError(
            f"engine '{name}' has no '{accelerator}' accelerator", hint=f"it has: {', '.join(entry.openers)}"
        )
    return entry.openers[accelerator]
