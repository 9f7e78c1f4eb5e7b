"""Choosing the reader of a model file."""

from __future__ import annotations

from pathlib import Path

from edgecv.core import files
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.graphs.cascade import read_cascade_graph
from edgecv.graphs.ir import Graph
from edgecv.graphs.onnx import read_onnx
from edgecv.graphs.tflite import read_tflite


def read_graph(path: files.PathLike) -> Graph:
    """Read a `.tflite` or `.onnx` file, or a cascade's `.xml`, by its suffix.

    Raises:
        ConfigError: The path is missing or unreadable.
        UnsupportedModelError: The suffix is another one, or the content is not what the suffix says.
    """
    source = Path(path)
    if not source.exists():
        raise ConfigError(f"model {source} does not exist", hint="check the path")
    readers = {".tflite": read_tflite, ".onnx": read_onnx, ".xml": read_cascade_graph}
    reader = readers.get(source.suffix.lower())
    if reader is None:
        raise UnsupportedModelError(
            f"{source} is neither a .tflite nor an .onnx file", hint="convert it first: edgecv convert"
        )
    return reader(source)
