"""The child's side of `edgecv.core.apart`: makes one object, and calls its methods as it is told on stdin."""

from __future__ import annotations

import importlib
import math
import os
import pickle
import signal
import sys
import traceback
from typing import IO, Any, Callable, Optional, Tuple

from edgecv.core.apart import LENGTH
from edgecv.core.errors import EdgecvError
from edgecv.core.memory import limit_memory

# What interpreters raise over a file; anything else is a defect of ours.
_NATIVE = (RuntimeError, ValueError, SystemError, OverflowError)
_GRACE_S = 5


class Function:
    """Calls a function, "module:name"."""

    def __init__(self, function: str) -> None:
        self.call: Callable[..., Any] = _named(function)


def main() -> int:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever native libraries print belongs to the log
    limit_memory(int(sys.argv[1]))
    held: Any = None
    while True:
        request = _read(sys.stdin.buffer)
        if request is None:
            answers.close()
            os._exit(0)  # tearing interpreters down takes longer than the answer did
        kind, name, arguments, seconds = request
        # The parent ends a child that takes too long; this does where the parent is gone, even within native code.
        _alarm(math.ceil(seconds) + _GRACE_S)
        outcome = "result", None
        try:
            if kind == "make":
                held = _named(name)(*arguments)
            else:
                outcome = "result", getattr(held, name)(*arguments)
        except BaseException as error:
            outcome = _outcome(error)
        _alarm(0)
        message = pickle.dumps(outcome, protocol=5)
        answers.write(LENGTH.pack(len(message)) + message)
        answers.flush()


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(min(seconds, 1 << 30))


def _outcome(error: BaseException) -> Tuple[str, Any]:
    if isinstance(error, EdgecvError):
        return "edgecv", (type(error).__name__, error.message, error.hint)
    if isinstance(error, MemoryError) or "bad_alloc" in str(error):
        return "memory", str(error) or "an allocation failed"
    if isinstance(error, _NATIVE) or type(error).__module__.startswith("onnxruntime"):
        return "native", f"{type(error).__name__}: {error}".strip(": ")
    return "defect", "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _read(stream: IO[bytes]) -> Optional[Tuple[str, str, Tuple[Any, ...], float]]:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    request: Tuple[str, str, Tuple[Any, ...], float] = pickle.loads(stream.read(LENGTH.unpack(head)[0]))
    return request


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    sys.exit(main())
