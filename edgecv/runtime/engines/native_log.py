"""Catching what native libraries write to the process's stdout and stderr, below Python's own streams."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, Callable, Iterator, Optional, Tuple


@contextlib.contextmanager
def captured() -> Iterator[Callable[[], str]]:
    """Send file descriptors 1 and 2 to a temporary file; yield a function that returns what it holds so far.

    A GPU accelerator prints log lines on stdout, which would break a caller's JSON, and says only in its log which
    adapter it took and which operators it refused. Output of other threads meanwhile ends up in the same place.
    """
    import tempfile  # here, since importing the runtime must stay cheap

    with tempfile.TemporaryFile() as log:
        _flush()
        kept = {descriptor: original for descriptor, original in map(_copy, (1, 2)) if original is not None}
        try:
            for descriptor in kept:
                os.dup2(log.fileno(), descriptor)
            yield lambda: _text(log)
        finally:
            _flush()
            for descriptor, original in kept.items():
                os.dup2(original, descriptor)
                os.close(original)


def _copy(descriptor: int) -> Tuple[int, Optional[int]]:
    try:
        return descriptor, os.dup(descriptor)
    except OSError:
        return descriptor, None  # it is closed, as in a daemon


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _text(log: IO[bytes]) -> str:
    # pread leaves the position alone: the descriptors that are being written to share it.
    return os.pread(log.fileno(), os.fstat(log.fileno()).st_size, 0).decode("utf-8", "replace")
