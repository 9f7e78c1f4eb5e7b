"""Putting the manifest into a model file, beside whatever metadata it has."""

from __future__ import annotations

from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.associated_files import files_of, with_files
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.values.manifest import KEY, Manifest, to_json


def embed_tflite(data: bytes, manifest: Manifest) -> bytes:
    """Return the .tflite with the manifest as its metadata buffer named `edgecv`; an older one is replaced.

    Args:
        data: The file.
        manifest: Written as compact JSON, UTF-8.

    Returns:
        A file that any TFLite interpreter loads: tensors, operators and other metadata are unchanged.

    Raises:
        UnsupportedModelError: `data` is not a TFLite file.
    """
    model = flatbuffer.unpack(data)
    flatbuffer.set_metadata(model, KEY, to_json(manifest).encode())
    return with_files(flatbuffer.pack(model), files_of(data))


def embed_onnx(data: bytes, manifest: Manifest) -> bytes:
    """Return the .onnx with the manifest as its `metadata_props` entry `edgecv`; an older one is replaced.

    Raises:
        UnsupportedModelError: `data` is not an ONNX file.
    """
    onnx = require("onnx", why="to write .onnx files")
    try:
        model = onnx.load_from_string(data)
    except Exception as error:
        raise UnsupportedModelError(f"not an ONNX file: {error}") from error
    others = [(p.key, p.value) for p in model.metadata_props if p.key != KEY]
    del model.metadata_props[:]
    for key, value in [*others, (KEY, to_json(manifest))]:
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString(deterministic=True))
