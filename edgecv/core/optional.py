"""Importing the packages that only some users have, with an error that names the extra to install."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Dict

from edgecv.core.errors import MissingDependencyError

# import name -> extra of pyproject.toml that brings it
EXTRAS: Dict[str, str] = {
    "ai_edge_litert": "litert",
    "tflite_runtime": "tflite-runtime",
    "onnxruntime": "onnxruntime",
    "tensorflow": "toolchain",
    "tf_keras": "toolchain",
    "tensorflow_model_optimization": "toolchain",
    "flatbuffers": "toolchain",
    "onnx": "toolchain",
    "tf2onnx": "toolchain",
    "sklearn": "toolchain",
    "typer": "cli",
    "rich": "cli",
    "psutil": "toolchain",
    "tensorflow_datasets": "tfds",
    "ethosu": "ethos-u",
    "optuna": "search",
    "dask": "cluster",
    "distributed": "cluster",
    "jsonschema": "dev",
}

PACKAGES: Dict[str, str] = {"PIL": "pillow", "mediapipe": "mediapipe"}
"""Import name -> package, of those that need no extra."""

BUILT_FOR_NUMPY_1 = frozenset({"tflite_runtime"})
"""Packages whose last release (2.14) came before numpy 2."""


def available(module: str) -> bool:
    """Say whether `module` can be found, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def require(module: str, *, why: str = "") -> Any:
    """Import and return `module` (a dotted name is fine).

    Args:
        module: The import name.
        why: What it is needed for, for the message: "to read JPEG files".

    Raises:
        MissingDependencyError: It is not installed, or its import fails; chained from the cause.
    """
    try:
        return importlib.import_module(module)
    # An extension module that was built for another numpy fails with SystemError or AttributeError.
    except (ImportError, SystemError, AttributeError) as error:
        package = module.split(".")[0]
        need = f" {why}" if why else ""
        if available(package) and _is_of_old_numpy(package):
            raise MissingDependencyError(
                f"the package '{package}' is needed{need}, and does not work with numpy {_numpy_version()}: "
                "it was built for numpy 1",
                hint="pip install 'numpy<2'",
            ) from error
        if not isinstance(error, ImportError):
            raise
        raise MissingDependencyError(
            f"the package '{package}' is needed{need}, and cannot be imported: {error}",
            hint=f"pip install {PACKAGES.get(package) or _extra(package)}",
        ) from error


def _extra(package: str) -> str:
    return f"'edgecv[{EXTRAS.get(package, 'toolchain')}]'"


def _is_of_old_numpy(package: str) -> bool:
    """Say whether a package has compiled code for numpy 1 only, and numpy is newer."""
    return package in BUILT_FOR_NUMPY_1 and int(_numpy_version().split(".")[0]) >= 2


def _numpy_version() -> str:
    import numpy

    return str(numpy.__version__)
