"""Putting TFLite Metadata into a file beside edgecv's manifest, and its label files behind it.

The metadata is a buffer of the model, as the manifest is. Files that it names are a zip archive at the end of the
.tflite: interpreters do not read that far, and MediaPipe finds an archive from its end.
"""

from __future__ import annotations

from edgecv.convert.mediapipe.describing import Described
from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.associated_files import with_files

KEY = "TFLITE_METADATA"


def attach(data: bytes, described: Described) -> bytes:
    """Return a .tflite with its metadata and the files that it names; older ones are replaced.

    Raises:
        UnsupportedModelError: `data` is not a TFLite file.
    """
    model = flatbuffer.unpack(data)
    flatbuffer.set_metadata(model, KEY, described.metadata)
    return with_files(flatbuffer.pack(model), described.files)


def has_metadata(data: bytes) -> bool:
    """Say whether a .tflite has TFLite Metadata. Raises UnsupportedModelError for no .tflite."""
    return any(entry.name == KEY.encode() for entry in flatbuffer.unpack(data).metadata or ())


def without_metadata(data: bytes) -> bytes:
    """Return a .tflite without TFLite Metadata and the files behind it. Raises UnsupportedModelError for no .tflite."""
    model = flatbuffer.unpack(data)
    entries = list(model.metadata or ())
    for entry in entries:
        if entry.name == KEY.encode():
            model.buffers[entry.buffer].data = None
    model.metadata = [entry for entry in entries if entry.name != KEY.encode()]
    return flatbuffer.pack(model)
