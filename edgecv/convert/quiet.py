"""Converters write notes to the process's standard error from C++; they are kept back, and quoted when one fails."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from edgecv.core.errors import ConversionError
from edgecv.runtime.engines.native_log import captured

_TELLING = ("error:", "Error", "not supported", "failed")


@contextlib.contextmanager
def conversion(what: str, *, hint: str = "") -> Iterator[None]:
    """Run a converter quietly; whatever it raises becomes a ConversionError.

    Args:
        what: For the message: "the TFLite converter failed on 'lenet5'".
        hint: What to do, when that is known.

    Raises:
        ConversionError: The block raised; chained from the cause.
    """
    with captured() as log:
        try:
            yield
        except ConversionError:
            raise
        except Exception as error:
            raise ConversionError(f"{what}: {_reason(log(), error)}", hint=hint) from error


def _reason(log: str, error: Exception) -> str:
    """Return the most telling line of what was written and of the exception, at most 300 characters."""
    lines = [line.strip() for line in f"{log}\n{error}".splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in _TELLING)]
    return without_location((telling or lines or [type(error).__name__])[0])[:300]


def without_location(line: str) -> str:
    """Return a line of MLIR with the name of the operation in place of where it was in whose source files.

    "loc(fused["Digamma:", callsite("m/odd/Digamma"("/…/keras.py":96:1) at …)])): error: 'tf.Digamma' op is …" becomes
    "'tf.Digamma' op is … (m/odd/Digamma)".
    """
    where, error, what = line.partition(": error: ")
    if not error or not where.startswith(("loc(", "<unknown>", '"')):
        return line
    names = [name for name in re.findall(r'"([^"]+)"', where) if not name.endswith((":", ".py"))]
    return f"{what} ({names[0].split('@')[0]})" if names else what
