"""The interpreters that the runtime can use. None is imported before a model is opened in it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from edgecv.core.errors import ConfigError, MissingDependencyError, unknown_name
from edgecv.core.files import PathLike
from edgecv.core.optional import EXTRAS, available
from edgecv.core.registry import Registry
from edgecv.runtime.container import check_tflite, sniff
from edgecv.runtime.engines import cascade, edgetpu, litert_gpu, onnx, tensorflow, tflite
from edgecv.runtime.engines.base import Session

ACCELERATORS = ("cpu", "gpu", "edgetpu")

Opener = Callable[..., Session]
"""open(path, threads, strict), and those further options, by keyword, that its engine lists."""


@dataclass(frozen=True)
class Engine:
    """One interpreter package.

    Attributes:
        package: Import name; what `optional.available` looks for.
        formats: That it opens: "tflite", "onnx", "cascade".
        openers: For each accelerator that it knows.
        options: Accelerator to the names of the further options that its opener takes.
    """

    package: str
    formats: Tuple[str, ...]
    openers: Mapping[str, Opener]
    options: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)


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
        {"gpu": ("precision", "program_cache")},
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
ENGINES.add(
    "onnxruntime",
    Engine("onnxruntime", ("onnx",), {"cpu": onnx.open_cpu, "gpu": onnx.open_cuda}, {"gpu": ("precision",)}),
)
ENGINES.add(
    "tensorflow",
    Engine(
        "tensorflow",
        ("graphdef",),
        {"cpu": tensorflow.open_cpu, "gpu": tensorflow.open_gpu},
        {"gpu": ("precision",)},
    ),
)
ENGINES.add("cascade", Engine("numpy", ("cascade",), {"cpu": cascade.open_cpu}, {"cpu": ("input_shape",)}))


def open_session(
    path: PathLike,
    *,
    engine: Optional[str] = None,
    accelerator: str = "cpu",
    threads: Optional[int] = None,
    strict: bool = True,
    precision: Optional[str] = None,
    program_cache: Optional[PathLike] = None,
    input_shape: Optional[Tuple[int, ...]] = None,
) -> Session:
    """Open a .tflite, .onnx or cascade file in an interpreter, without reading its manifest; a bundle by theirs.

    Args:
        path: The file; its format is told by content.
        engine: "litert", "tflite-runtime", or "onnxruntime", or "tensorflow" for baselines; None takes the
            first installed one that fits.
        accelerator: "cpu", "gpu" or "edgetpu". There is no fallback from one to the other.
        threads: Of the interpreter on the CPU; None means 1, so that a time or a result is reproducible.
        strict: On the GPU, refuse a model of which an operator would run on the CPU; on the Edge TPU, one of which
            every operator would.
        precision: On the GPU, "float16" or "float32"; None leaves it to the accelerator.
        program_cache: Folder in which LiteRT's GPU accelerator keeps compiled programs for the next start.
        input_shape: (height, width, 1) of a cascade's images, which can be of any size.

    Raises:
        ConfigError: Unknown engine or accelerator, a combination that does not exist, or a missing file.
        UnsupportedModelError: The file is damaged, or has a format or operators that the engine does not take.
        MissingDependencyError: No engine for the format is installed.
        DeviceError: The accelerator is missing or refuses the model; PartialAccelerationError: a part of it.
    """
    if accelerator not in ACCELERATORS:
        raise unknown_name("accelerator", accelerator, ACCELERATORS)
    count = 1 if threads is None else threads
    if count < 1:
        raise ConfigError(f"threads must be at least 1, got {count}")
    # Only the baseline's own file is in this format, and only an engine that is asked for by name takes it.
    format = "graphdef" if engine == "tensorflow" else sniff(path)
    if format == "bundle":
        each = functools.partial(
            open_session, engine=engine, accelerator=accelerator, threads=threads, strict=strict, precision=precision,
            program_cache=program_cache,
        )  # fmt: skip
        return _bundle(path, each)
    chosen = _choose(os.fspath(path), format, engine, accelerator)
    cache = None if program_cache is None else os.fspath(program_cache)
    further = {"precision": precision, "program_cache": cache, "input_shape": input_shape}
    options = _options(chosen, accelerator, further)
    if format == "tflite":
        # In front of native code, which need not survive a damaged file.
        check_tflite(path)
    return chosen.openers[accelerator](os.fspath(path), count, strict, **options)


def _bundle(path: PathLike, each: Callable[[str], Session]) -> Session:
    from edgecv.runtime.engines.bundle import BundleSession  # here, since few files are bundles

    return BundleSession(path, each)


def _options(engine: Engine, accelerator: str, given: Mapping[str, Any]) -> Dict[str, Any]:
    known = engine.options.get(accelerator, ())
    for name, value in given.items():
        if value is not None and name not in known:
            raise ConfigError(
                f"{engine.package} on the {accelerator} takes no {name.replace('_', ' ')}",
                hint="that is for accelerator 'gpu'" if accelerator == "cpu" else "leave it out",
            )
    return {name: value for name, value in given.items() if value is not None}


def _choose(path: str, format: str, engine: Optional[str], accelerator: str) -> Engine:
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
            return entry
    extras = " or ".join(f"pip install 'edgecv[{EXTRAS[entry.package]}]'" for entry in fitting)
    raise MissingDependencyError(
        f"no interpreter for .{format} files on the {accelerator} is installed; looked for "
        + ", ".join(entry.package for entry in fitting),
        hint=extras,
    )


def _forced(name: str, entry: Engine, format: str, accelerator: str) -> Engine:
    if format not in entry.formats:
        fitting = [other for other, candidate in ENGINES if format in candidate.formats]
        raise ConfigError(f"engine '{name}' does not open .{format} files", hint=f"use {' or '.join(fitting)}")
    if accelerator not in entry.openers:
        raise ConfigError(
            f"engine '{name}' has no '{accelerator}' accelerator", hint=f"it has: {', '.join(entry.openers)}"
        )
    return entry
