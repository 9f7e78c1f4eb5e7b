"""The file of a gallery: an .npz of plain arrays, without pickles.

Arrays: "header", uint8 (bytes,), JSON as UTF-8; "vectors", float32 (n, d); "codes", int64 (n,), for each vector the
place of its label in the header's.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core import codec
from edgecv.core.errors import ConfigError, DataError
from edgecv.core.files import PathLike, read_bytes, write_bytes
from edgecv.runtime.gallery_origin import Origin
from edgecv.tasks.embedding.pairs import Measure

Array = NDArray[Any]
SCHEMA = "edgecv.gallery/1"


@dataclass(frozen=True)
class Header:
    """What a gallery says of its vectors; see `Gallery`."""

    length: int
    measure: Measure
    normalised: bool
    threshold: float
    origin: Origin
    labels: Tuple[str, ...]
    schema: str = SCHEMA


def write(path: PathLike, header: Header, vectors: Array, codes: Array) -> None:
    """Write a gallery atomically. Raises ConfigError when the file cannot be written."""
    write_bytes(path, content(header, vectors, codes))


def content(header: Header, vectors: Array, codes: Array) -> bytes:
    """Return the bytes of a gallery's file."""
    text = json.dumps(codec.encode(header), sort_keys=True, ensure_ascii=False)
    made = io.BytesIO()
    np.savez(
        made,
        header=np.frombuffer(text.encode("utf-8"), np.uint8),
        vectors=np.asarray(vectors, np.float32),
        codes=np.asarray(codes, np.int64),
    )
    return made.getvalue()


def read(path: PathLike) -> Tuple[Header, Array, Array]:
    """Return a gallery's header, its vectors and their codes.

    Raises:
        ConfigError: The file is missing or cannot be read.
        DataError: It is no gallery, damaged, of another version, or holds vectors that are not finite.
    """
    data = read_bytes(path, what="gallery")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            text, vectors, codes = (np.asarray(arrays[name]) for name in ("header", "vectors", "codes"))
        header = _header(text, path)
    except Exception as error:  # whatever zipfile, numpy, tokenize and json raise over damaged bytes
        raise DataError(
            f"{path} is no gallery, or damaged: {error}", hint="make it with edgecv gallery enrol"
        ) from error
    _check(header, vectors, codes, path)
    return header, vectors, codes


def _header(text: Array, path: PathLike) -> Header:
    if text.dtype != np.uint8:
        raise ConfigError(f"its header is {text.dtype}, expected uint8")
    document = json.loads(text.tobytes().decode("utf-8"))
    found = codec.decode(Header, document, where=f"header of {path}")
    if found.schema != SCHEMA:
        raise ConfigError(f"its version is '{found.schema}', expected '{SCHEMA}'")
    return found


def _check(header: Header, vectors: Array, codes: Array, path: PathLike) -> None:
    wrong = ""
    if header.measure not in ("euclidean", "cosine") or header.length < 1 or not header.threshold >= 0:
        wrong = f"it compares vectors of {header.length} by '{header.measure}' below {header.threshold}"
    elif vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != header.length:
        wrong = f"its vectors are {vectors.dtype} {vectors.shape}, expected float32 (n, {header.length})"
    elif codes.dtype != np.int64 or codes.shape != vectors.shape[:1]:
        wrong = f"its codes are {codes.dtype} {codes.shape}, expected one int64 per vector"
    elif len(codes) and not (codes.min() >= 0 and codes.max() < len(header.labels)):
        wrong = f"its codes exceed its {len(header.labels)} labels"
    elif not np.isfinite(vectors).all():
        wrong = "its vectors hold NaN or infinity"
    if wrong:
        raise DataError(f"{path} is damaged: {wrong}", hint="enrol anew, or take a copy")
