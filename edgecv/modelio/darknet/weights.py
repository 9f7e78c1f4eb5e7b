"""Darknet's weights files: a header, then float32 values, little-endian, layer by layer. numpy only.

The header is major, minor and revision as int32, then how many images the network has seen: int64 from version 0.2 on,
int32 before. Source: load_weights_upto and save_weights_upto of src/parser.c in github.com/pjreddie/darknet.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.files import atomic_path
from edgecv.modelio.darknet.plan import Blob

Array = np.ndarray[Any, Any]
Key = tuple[int, str]

VERSION = struct.Struct("<3i")
FOREIGN = 1000
"""Versions from here on are of files whose dense kernels are (inputs, outputs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The beginning of a weights file.

    Attributes:
        major, minor, revision: Its version.
        seen: Images that the network was trained on.
    """

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def wide(self) -> bool:
        """Whether `seen` has 64 bits."""
        return self.major * 10 + self.minor >= 2 and self.major < FOREIGN and self.minor < FOREIGN

    @property
    def transposed(self) -> bool:
        """Whether dense kernels are (inputs, outputs)."""
        return self.major > FOREIGN or self.minor > FOREIGN

    @property
    def size(self) -> int:
        """Its bytes."""
        return VERSION.size + (8 if self.wide else 4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """What a weights file holds.

    Attributes:
        header: Its beginning.
        arrays: float32, by number of the layer and name, of the shape that the plan says.
    """

    header: Header
    arrays: Mapping[Key, Array]


def read_weights(path: Path, blobs: Sequence[Blob]) -> Weights:
    """Read a weights file.

    Args:
        path: The file.
        blobs: What it holds, of the cfg file's plan.

    Raises:
        ConfigError: It cannot be read.
        UnsupportedModelError: It is shorter or longer than the network, which is then another one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="give a Darknet weights file") from error
    header = _header(content, path)
    expected = header.size + 4 * sum(blob.count for blob in blobs)
    if len(content) != expected:
        raise UnsupportedModelError(
            f"{path} does not fit the cfg file: expected {expected:,} bytes, found {len(content):,}",
            hint="it is of another network, of another number of classes, or was cut off",
        )
    values = np.frombuffer(content, "<f4", offset=header.size)
    arrays: dict[Key, Array] = {}
    start = 0
    for blob in blobs:
        part = values[start : start + blob.count]
        start += blob.count
        turned = header.transposed and len(blob.shape) == 2
        arrays[blob.layer, blob.name] = part.reshape(blob.shape[::-1]).T if turned else part.reshape(blob.shape)
    return Weights(header=header, arrays=arrays)


def write_weights(path: Path, weights: Weights, blobs: Sequence[Blob]) -> None:
    """Write a weights file; what was read comes out bit for bit.

    Raises:
        ConfigError: An array is missing or has another shape, or the file cannot be written.
    """
    header = weights.header
    parts = [
        VERSION.pack(header.major, header.minor, header.revision),
        struct.pack("<q" if header.wide else "<i", header.seen),
    ]
    for blob in blobs:
        array = weights.arrays.get((blob.layer, blob.name))
        if array is None or array.shape != blob.shape:
            found = "none" if array is None else array.shape
            raise ConfigError(f"layer {blob.layer}: expected a {blob.name} of {blob.shape}, got {found}")
        turned = header.transposed and len(blob.shape) == 2
        parts.append(np.ascontiguousarray(array.T if turned else array, "<f4").tobytes())
    with atomic_path(path) as partial:
        partial.write_bytes(b"".join(parts))


def _header(content: bytes, path: Path) -> Header:
    if len(content) < VERSION.size + 8:
        raise UnsupportedModelError(
            f"{path} is no Darknet weights file: expected at least {VERSION.size + 8} bytes, found {len(content)}"
        )
    major, minor, revision = VERSION.unpack_from(content)
    bare = Header(major=major, minor=minor, revision=revision)
    (seen,) = struct.unpack_from("<q" if bare.wide else "<i", content, VERSION.size)
    return Header(major=major, minor=minor, revision=revision, seen=seen)
