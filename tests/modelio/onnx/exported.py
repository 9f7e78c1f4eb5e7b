"""Graphs as PyTorch exports them, with weights drawn from a seed: `benchmarks/onnx_exports.py --bare` wrote them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

FOLDER = Path(__file__).with_name("graphs")
NAMES = tuple(sorted(file.name.removesuffix(".onnx.gz") for file in FOLDER.glob("*.gz")))


def written(name: str, folder: Path) -> Path:
    """Write a graph with its weights and return the path."""
    out = folder / f"{name}.onnx"
    with gzip.open(FOLDER / f"{name}.onnx.gz") as file:
        model = onnx.load_model_from_string(file.read())
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and not (tensor.raw_data or tensor.float_data):
            tensor.raw_data = _drawn(tensor.name, tuple(tensor.dims), rng).tobytes()
    onnx.save(model, out)
    return out


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Weights that keep the size of what goes through; statistics and scales about 1."""
    if "var" in name or (len(shape) == 1 and "weight" in name):
        return rng.uniform(0.7, 1.3, shape).astype(np.float32)
    if len(shape) < 2:
        return rng.normal(0, 0.1, shape).astype(np.float32)
    # Kernels are (filters, channels, h, w), matrices (inputs, outputs) or turned: either fan will do.
    fan = int(np.prod(shape[1:])) if len(shape) > 2 else max(shape)
    return rng.normal(0, (1.5 / fan) ** 0.5, shape).astype(np.float32)


def shipped(name: str) -> Path:
    """Return a network that the onnx package ships."""
    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"


def answer(name: str) -> np.ndarray:
    """Return the answer that the onnx package ships for such a network."""
    file = shipped(name).with_name(f"light_{name}_output_0.pb")
    return numpy_helper.to_array(onnx.load_tensor(str(file)))
