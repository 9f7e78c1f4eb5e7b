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
    "PIL": "toolchain",
    "typer": "toolchain",
    "rich": "toolchain",
    "psutil": "toolchain",
    "tensorflow_datasets": "tfds",
    "ethosu": "ethos-u",
    "jsonschema": "dev",
}


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
    except ImportError as error:
        extra = EXTRAS.get(module.split(".")[0], "toolchain")
        need = f" {why}" if why else ""
        raise MissingDependencyError(
            f"the package '{module.split('.')[0]}' is needed{need}, and cannot be imported: {error}",
            hint=f"pip install 'edgecv[{extra}]'",
        ) from error
