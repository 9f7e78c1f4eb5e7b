"""Reading a .tflite into objects, and writing it back as a file that stock interpreters take.

The generated `Pack` puts buffers wherever they fall; the schema asks for 16-byte alignment, which kernels that read
weights in place rely on. `pack` keeps it. It also writes equal small vectors and names once: the zero points of a
per-channel layer's weights and biases are 16 bytes a channel, which is 3 % of an int8 LeNet-5.

Source: tensorflow/compiler/mlir/lite/schema/schema.fbs, table Buffer: `data:[ubyte] (force_align: 16)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.core.optional import require
from edgecv.graphs.tflite import CORRUPT

ALIGNMENT = 16
IDENTIFIER = b"TFL3"


def schema() -> Any:
    """Return the generated classes of the TFLite schema."""
    return require("ai_edge_litert.schema_py_generated", why="to read and write .tflite files")


@dataclass
class _AlignedBuffer:
    """A Buffer whose data starts at a multiple of 16 bytes; stands in for the generated BufferT."""

    data: Any

    def Pack(self, builder: Any) -> Any:
        generated = schema()
        builder.StartVector(1, len(self.data), ALIGNMENT)
        start = int(builder.Head()) - len(self.data)
        builder.head = start
        builder.Bytes[start : start + len(self.data)] = memoryview(self.data)
        vector = builder.EndVector()
        generated.BufferStart(builder)
        generated.BufferAddData(builder, vector)
        return generated.BufferEnd(builder)


def unpack(data: bytes) -> Any:
    """Return the file as a generated ModelT.

    Raises:
        UnsupportedModelError: It is not a TFLite file, or it is truncated or corrupt.
    """
    if data[4:8] != IDENTIFIER:
        raise UnsupportedModelError("not a TFLite file: its identifier is missing", hint="give a .tflite file")
    generated = schema()
    try:
        return generated.ModelT.InitFromObj(generated.Model.GetRootAs(data, 0))
    except CORRUPT as error:
        raise UnsupportedModelError(
            f"a TFLite model is truncated or corrupt: its {len(data)} bytes do not hold all of it",
            hint="copy or download the file again, or convert it anew",
        ) from error


def pack(model: Any) -> bytes:
    """Return `model` as the bytes of a file, every buffer aligned to 16 bytes. `model` itself is left as it is."""
    plain = model.buffers
    model.buffers = [_aligned(buffer) for buffer in plain]
    try:
        # Room for all of it from the start: a builder that grows copies what it holds, and weights are large.
        builder = _sharing_builder(sum(len(one.data) for one in model.buffers if isinstance(one, _AlignedBuffer)))
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(memoryview(builder.Bytes)[builder.Head() :])
    finally:
        model.buffers = plain


def builtin(code: Any) -> int:
    """Return the number of an operator code's builtin operator, in whichever of its two fields it is."""
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def add_buffer(model: Any, values: Any) -> int:
    """Store the bytes of an array in a buffer of its own; returns its index."""
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def set_metadata(model: Any, name: str, content: bytes) -> None:
    """Store bytes as the metadata of a name in an unpacked model; older ones are replaced."""
    generated = schema()
    model.metadata = list(model.metadata or ())
    entry = next((m for m in model.metadata if m.name == name.encode()), None)
    if entry is None:
        entry = generated.MetadataT()
        entry.name, entry.buffer = name.encode(), len(model.buffers)
        model.metadata.append(entry)
        model.buffers.append(generated.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(content, np.uint8)


def operator(model: Any, kind: str, version: int, inputs: Sequence[int], output: int) -> Any:
    """Return a new operator with its options, which `model` does not hold yet.

    Args:
        model: Unpacked; gets the operator's code if it has none.
        kind: "RESHAPE", …: one whose options are called after it, or one without any, as "RELU".
        version: Of its kernel.
        inputs: Tensors that it reads.
        output: The tensor that it makes.
    """
    generated, options = schema(), f"{kind.title().replace('_', '')}Options"
    fresh = generated.OperatorT()
    fresh.opcodeIndex = opcode(model, getattr(generated.BuiltinOperator, kind), version)
    fresh.inputs, fresh.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
    if hasattr(generated.BuiltinOptions, options):
        fresh.builtinOptionsType = getattr(generated.BuiltinOptions, options)
        fresh.builtinOptions = getattr(generated, f"{options}T")()
    return fresh


def opcode(model: Any, number: int, version: int) -> int:
    """Return the index of an operator at a version among the operator codes of an unpacked model, added if needed."""
    for index, known in enumerate(model.operatorCodes):
        if (builtin(known), known.version) == (number, version):
            return index
    code = schema().OperatorCodeT()
    # Old readers know one byte only; 127 sends newer ones to the other field.
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _sharing_builder(size: int) -> Any:
    flatbuffers = require("flatbuffers", why="to write .tflite files")

    class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc, name-defined]
        """Points to a vector or string that was written before, instead of writing it again."""

        def __init__(self) -> None:
            super().__init__(size + size // 64 + (1 << 16))
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: Any) -> int:
            key = (x.dtype.str, x.tobytes())
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

        def CreateString(self, s: Any, *arguments: Any) -> int:
            key = ("", s.encode() if isinstance(s, str) else bytes(s))
            if key not in self._written:
                self._written[key] = super().CreateString(s, *arguments)
            return self._written[key]

    return SharingBuilder()


def _aligned(buffer: Any) -> Any:
    data = buffer.data
    return buffer if data is None or len(data) == 0 else _AlignedBuffer(np.asarray(data, np.uint8))
