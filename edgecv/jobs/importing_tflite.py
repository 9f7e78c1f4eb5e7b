"""Float .tflite files as keras models: by way of ONNX, and held against LiteRT's own answers."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgecv.convert.converted import converted_tflite
from edgecv.convert.onnx.converter import convert as to_onnx
from edgecv.core import files
from edgecv.core.errors import UnsupportedModelError
from edgecv.graphs import read_tflite
from edgecv.modelio import env
from edgecv.modelio.contract import plain_name
from edgecv.modelio.onnx import ImportedOnnx, compare, import_onnx, require_close
from edgecv.modelio.onnx.comparing import INPUTS
from edgecv.modelio.originals import float_original
from edgecv.runtime.apart_session import ApartSession

Array = np.ndarray


def import_tflite(path: Path, *, allow_difference: float, seed: int) -> ImportedOnnx:
    """Return the network of a float .tflite.

    Args:
        path: The file; its sizes are fixed.
        allow_difference: Of an output's range: how far answers may lie from LiteRT's.
        seed: Of the random inputs.

    Raises:
        ConfigError: It cannot be read.
        UnsupportedModelError: It is quantised or damaged, holds what cannot be imported, or answers differ.
        ConversionError: tf2onnx cannot read it.
    """
    env.tensorflow()  # first: what it says on the way in stays inside
    graph = read_tflite(path)
    quantised = [tensor for tensor in graph.tensors if tensor.scales]
    if quantised:
        original = float_original(path)
        raise UnsupportedModelError(
            f"{path} is quantised: {len(quantised)} tensors such as '{quantised[0].name}'; expected a float network",
            hint=f"give the float file that it was made from{f': {original}' if original else ''}; edgecv evaluate, "
            "bench and inspect take this one as it is",
        )
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        onnx = Path(folder) / f"{plain_name(path)}.onnx"
        onnx.write_bytes(to_onnx(converted_tflite(files.read_bytes(path, what="model")), "float32").data)
        found = import_onnx(onnx, allow_difference=float("inf"), seed=seed)
    shapes = [graph.tensors[index].shape for index in graph.inputs]
    rng = np.random.default_rng(seed)
    fed = [{str(i): rng.random(shape, np.float32) for i, shape in enumerate(shapes)} for _ in range(INPUTS)]
    names = [graph.tensors[index].name for index in graph.outputs]
    differences = compare(found.built, names, fed, [_answers(path, list(one.values())) for one in fed])
    require_close(differences, path, allow_difference, reference="LiteRT")
    return replace(found, producer="", opset=0, nodes=len(graph.ops), differences=differences)


def _answers(path: Path, arrays: list[Array]) -> list[Array]:
    session = ApartSession(path, {})
    try:
        session.set_inputs(arrays)
        session.invoke()
        return [np.asarray(one) for one in session.get_outputs()]
    finally:
        session.close()
