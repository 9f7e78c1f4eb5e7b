"""A keras model as the frozen graph that the TensorFlow engine runs: a float baseline, never an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecv.convert.freeze import freeze
from edgecv.core import files


def write_graphdef(model: Any, path: Path) -> None:
    """Write a model, in inference mode with batch 1, as edgecv/runtime/engines/tensorflow.py reads it.

    Args:
        model: A tf_keras model with one float32 input of static shape.
        path: The file.

    Raises:
        UnsupportedModelError: The model has an open shape.
        ConfigError: The file cannot be written.
    """
    frozen = freeze(model)
    header = {
        "inputs": [_entry(*pair) for pair in zip(frozen.function.inputs, frozen.input_names, strict=False)],
        "outputs": [_entry(*pair) for pair in zip(frozen.function.outputs, frozen.output_names, strict=True)],
    }
    with files.atomic_path(path) as partial:
        partial.write_bytes(json.dumps(header).encode() + b"\n" + frozen.graph_def.SerializeToString())


def _entry(tensor: Any, name: str) -> dict[str, Any]:
    return {"tensor": tensor.name, "name": name, "shape": list(tensor.shape), "dtype": tensor.dtype.name}
