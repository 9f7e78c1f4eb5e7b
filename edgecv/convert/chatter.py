"""Converters write notes to the process's standard error from C++; here they are caught, and shown when they matter."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from edgecv.errors import ConversionError

_STDERR = 2
_TELLING = ("error:", "Error", "not supported", "failed")


class Chatter:
    """What was written to standard error while a converter ran.

    Attributes:
        text: All of it; empty until the block ends.
    """

    def __init__(self) -> None:
        self.text = ""

    def reason(self, error: BaseException) -> str:
        """Return the most telling line of what was written and of the exception, at most 300 characters."""
        lines = [line.strip() for line in f"{self.text}\n{error}".splitlines() if line.strip()]
        telling = [line for line in lines if any(word in line for word in _TELLING)]
        return (telling or lines or [type(error).__name__])[0][:300]


@contextlib.contextmanager
def captured() -> Iterator[Chatter]:
    """Send standard error, at the level of the file descriptor, to a Chatter for the length of the block.

    Where it cannot be redirected (it is closed), the block runs as it is.
    """
    chatter = Chatter()
    try:
        saved = os.dup(_STDERR)
    except OSError:
        yield chatter
        return
    with tempfile.TemporaryFile() as sink:
        _flush()
        os.dup2(sink.fileno(), _STDERR)
        try:
            yield chatter
        finally:
            _flush()
            os.dup2(saved, _STDERR)
            os.close(saved)
            sink.seek(0)
            chatter.text = sink.read().decode("utf-8", "replace")


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()


@contextlib.contextmanager
def conversion(what: str, *, hint: str = "") -> Iterator[None]:
    """Run a converter quietly; whatever it raises becomes a ConversionError.

    Args:
        what: For the message: "the TFLite converter failed on 'lenet5'".
        hint: What to do, when that is known.

    Raises:
        ConversionError: The block raised; chained from the cause.
    """
    failure: Exception | None = None
    with captured() as chatter, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            failure = error
    if failure is not None:
        if isinstance(failure, ConversionError):
            raise failure
        raise ConversionError(f"{what}: {chatter.reason(failure)}", hint=hint) from failure
