"""The mark by which CPUs that have float16 arithmetic compute a file in it: see `edgecv.graphs.reduced_precision`."""

from __future__ import annotations

from edgecv.convert.tflite import flatbuffer
from edgecv.graphs.reduced_precision import HALF, KEY


def with_float16_arithmetic(data: bytes) -> bytes:
    """Return the .tflite with the mark. Raises UnsupportedModelError: `data` is no TFLite file."""
    model = flatbuffer.unpack(data)
    flatbuffer.set_metadata(model, KEY, HALF)
    return flatbuffer.pack(model)
