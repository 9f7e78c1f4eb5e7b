"""What Keras says when it fails, in words that name the layer and the way out."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from typing import Any

from edgecv.core.errors import EdgecvError, UnsupportedModelError

EXPORT = "model.export(FOLDER), and convert the folder: it is quantised by calibration"
_UNKNOWN = (
    "Unknown layer", "Could not locate class", "Could not locate function", "Unknown object", "custom_object",
    "is a custom class",
)  # fmt: skip
_NOISE = ("Exception encountered when calling", "Error when deserializing", "Call arguments received", "in user code:")


def first_line(error: Exception) -> str:
    """Return the line of an exception that tells most, at most 300 characters.

    Keras puts the layer's whole configuration before its reason, and wraps what its parts raise.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    inner = [line.partition(":")[2].strip() for line in lines if line.startswith("Exception encountered:")]
    telling = [line for line in lines if not line.startswith((*_NOISE, "File ", "\u2022"))]
    return ((inner or telling or lines or [type(error).__name__])[0] or type(error).__name__)[:300]


def way_out(error: Exception) -> str:
    """Return the hint for an exception that Keras raised while it read a file."""
    if any(text in str(error) for text in _UNKNOWN):
        return f"pass --custom-objects FILE.py with the class; or {EXPORT}"
    if isinstance(error, (OSError, EOFError, zipfile.BadZipFile)):
        return "the file may be cut off, or of another format"
    return f"load it with the Keras that wrote it, and there {EXPORT}"


@contextlib.contextmanager
def naming(operation: Any) -> Iterator[None]:
    """Turn what goes wrong while a layer of Keras 3 is rebuilt into a refusal that names it.

    Raises:
        UnsupportedModelError: The block raised anything but an error of edgecv.
    """
    try:
        yield
    except EdgecvError:
        raise
    # tf_keras raises whatever its parts raise.
    except Exception as error:
        raise UnsupportedModelError(
            f"'{operation.name}' ({type(operation).__name__}) cannot be rebuilt in tf_keras: {first_line(error)}",
            hint=EXPORT,
        ) from error
