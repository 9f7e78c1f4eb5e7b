"""Native code on a file of unknown origin, in a process of its own with limits on time and memory.

An interpreter can crash, hang or eat all memory over a file that somebody else made. Here that ends a child process,
and the caller gets an error. The child is a plain Python that imports what it is asked for and nothing else, so it
starts in a fraction of a second.

    with Apart("edgecv.diagnose.all_tensors:Interpreter", path, about=path) as held:
        held.call("run", sample)

`EDGECV_TIMEOUT_S` sets how long one call may take, `EDGECV_MEMORY_GB` how much memory the child may have.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Dict, Iterator, Optional, Tuple, Type

from edgecv.core import children, errors
from edgecv.core.errors import ConfigError, CrashError, EdgecvError, UnsupportedModelError
from edgecv.core.memory import machine_bytes

TIMEOUT_S = 120.0
MEMORY_SHARE = 0.8
"""Of this machine's memory, what a child may have unless the user says otherwise."""

TIMEOUT_VARIABLE, MEMORY_VARIABLE = "EDGECV_TIMEOUT_S", "EDGECV_MEMORY_GB"
_GIB = float(1 << 30)
_CLOSE_S = 2.0
LENGTH = struct.Struct("<Q")
"""In front of every message."""


@dataclass(frozen=True)
class Limits:
    """What a child may take.

    Attributes:
        seconds: Of one call.
        memory_bytes: That it may write to: heap, stacks and private mappings. Files that it maps do not count.
    """

    seconds: float
    memory_bytes: int


def limits() -> Limits:
    """Return the limits: those of the environment, else `TIMEOUT_S` and `MEMORY_SHARE` of this machine's memory.

    Raises:
        ConfigError: A variable of the environment is no positive number.
    """
    memory = _from_environment(MEMORY_VARIABLE)
    return Limits(
        seconds=_from_environment(TIMEOUT_VARIABLE) or TIMEOUT_S,
        memory_bytes=int(MEMORY_SHARE * machine_bytes() if memory is None else memory * _GIB),
    )


@contextlib.contextmanager
def foreign_environment() -> Iterator[Dict[str, str]]:
    """Yield an environment in which another Python imports edgecv, and nothing else of what stands beside edgecv here.

    Packages of this Python would not load there: they are built for this version, or for another numpy.
    """
    home = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        os.symlink(home, os.path.join(folder, home.name), target_is_directory=True)
        # The last keeps a stray module in the working folder from shadowing imports, from Python 3.11 on.
        yield {**os.environ, "PYTHONPATH": folder, "PYTHONSAFEPATH": "1"}


def child_environment() -> Dict[str, str]:
    """Return our environment with the folder that holds edgecv first on the path: a checkout need not be installed."""
    home = str(Path(__file__).resolve().parent.parent.parent)
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{rest}" if rest else home}


class Apart:
    """An object that lives in a child process; a context manager that ends it. Not safe to share between threads.

    Args:
        factory: "module:name" of what makes the object in the child.
        arguments: Of the factory; anything that pickles.
        about: The file that it is about, for messages.
        allowed: Limits; None: those of `limits`.
        python: Another Python to run it with, of an environment of its own; None: this one.

    Raises:
        ConfigError: There is no such Python.
        CrashError: Making it ends the child, takes longer or more memory than allowed.
        UnsupportedModelError: The child's native code refuses the file.
        EdgecvError: What the factory raises, of the same type.
    """

    def __init__(
        self,
        factory: str,
        *arguments: Any,
        about: Any,
        allowed: Optional[Limits] = None,
        python: Optional[str] = None,
    ) -> None:
        self._allowed = limits() if allowed is None else allowed
        self._about = str(about)
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        # -P keeps a stray module in the working folder from shadowing the child's imports.
        isolated = ("-P",) if sys.version_info >= (3, 11) and python is None else ()
        self._held = contextlib.ExitStack()
        environment = child_environment() if python is None else self._held.enter_context(foreign_environment())
        command = (python or sys.executable, *isolated, "-m", "edgecv.core.apart_child")
        try:
            # A session of its own: Ctrl-C reaches this process alone, which then ends its children.
            self._process = subprocess.Popen(
                (*command, str(self._allowed.memory_bytes)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._held.close()
            self._stderr.close()
            raise ConfigError(f"{command[0]} cannot be started: {error.strerror}", hint="check its path") from error
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        try:
            self._ask(("make", factory, arguments), self._allowed.seconds)
        except BaseException:
            self.close(at_once=True)
            raise

    def __enter__(self) -> Apart:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], at: Optional[TracebackType]
    ) -> None:
        self.close(at_once=error is not None)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def call(self, method: str, *arguments: Any, seconds: Optional[float] = None) -> Any:
        """Call a method of the object and return its result; what pickles and is of numpy's, Python's or our types.

        Args:
            method: Name.
            arguments: Of the method.
            seconds: That it may take; None: as the limits say.

        Raises:
            CrashError, UnsupportedModelError, EdgecvError: As the constructor.
        """
        return self._ask(("call", method, arguments), seconds or self._allowed.seconds)

    def close(self, *, at_once: bool = False) -> None:
        """End the child. Safe to call twice."""
        children.end(self._process, seconds=_CLOSE_S, at_once=at_once)
        self._stderr.close()
        self._held.close()

    def _ask(self, request: Tuple[str, str, Tuple[Any, ...]], seconds: float) -> Any:
        if self._process.poll() is not None and self._stderr.closed:
            raise ConfigError(f"{self._about} was closed", hint="open it again")
        deadline = time.monotonic() + seconds
        try:
            self._send(pickle.dumps((*request, seconds), protocol=5), deadline)
            (length,) = LENGTH.unpack(self._receive(LENGTH.size, deadline))
            outcome, value = _Reader(io.BytesIO(self._receive(length, deadline))).load()
        except TimeoutError as error:
            self.close(at_once=True)
            raise CrashError(
                f"{self._about}: running it took longer than {seconds:g} s, and was ended",
                hint=f"it may hold an endless loop; where it is only slow, set {TIMEOUT_VARIABLE} to more seconds",
            ) from error
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if outcome == "result":
            return value
        if outcome == "memory":
            raise CrashError(
                f"{self._about}: running it takes more memory than {self._allowed.memory_bytes / _GIB:.3g} GB: {value}",
                hint=f"it may ask for absurd sizes; where it is only large, set {MEMORY_VARIABLE} to more",
            )
        raise _error(outcome, value, self._about)

    def _send(self, message: bytes, deadline: float) -> None:
        assert self._process.stdin is not None
        pipe, rest = self._process.stdin.fileno(), memoryview(LENGTH.pack(len(message)) + message)
        while rest:
            if not select.select([], [pipe], [], max(0.0, deadline - time.monotonic()))[1]:
                raise TimeoutError
            rest = rest[os.write(pipe, rest) :]

    def _receive(self, length: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        pipe, parts = self._process.stdout.fileno(), []
        while length:
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(pipe, min(length, 1 << 20))
            if not chunk:
                raise EOFError
            parts.append(chunk)
            length -= len(chunk)
        return b"".join(parts)

    def _ended(self) -> CrashError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_S)
        status, said = self._process.returncode, self._last_words()
        self.close(at_once=True)
        how = f"with status {status}" if status is None or status >= 0 else f"by {_signal(-status)}"
        return CrashError(
            f"{self._about}: running it ended the interpreter's process {how}{f': {said}' if said else ''}",
            hint="the file is damaged, made for another interpreter, or needs more memory than "
            f"{self._allowed.memory_bytes / _GIB:.3g} GB ({MEMORY_VARIABLE} allows more); convert it anew",
        )

    def _last_words(self) -> str:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 2000))
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip() and not line.startswith("INFO:")), "")


def call_apart(function: str, *arguments: Any, about: Any, allowed: Optional[Limits] = None) -> Any:
    """Call a function, "module:name", in a child process of its own and return what it returns.

    Raises:
        CrashError, UnsupportedModelError, EdgecvError: As `Apart`.
    """
    with Apart("edgecv.core.apart_child:Function", function, about=about, allowed=allowed) as child:
        return child.call("call", *arguments)


class _Reader(pickle.Unpickler):
    """Reads a child's answers: arrays and values of ours. A file that took the child over can name nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        if module.startswith("edgecv.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"a child answered with a {module}.{name}")


_NUMPY = {
    (f"{core}.{module}", name)
    for core in ("numpy.core", "numpy._core")  # before numpy 2, and since
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
} | {("numpy", "ndarray"), ("numpy", "dtype")}


def _error(outcome: str, value: Any, about: str) -> Exception:
    if outcome == "defect":
        return RuntimeError(f"in the process of {about}:\n{value}")
    if outcome == "native":
        return UnsupportedModelError(
            f"{about}: the interpreter fails on it: {value}",
            hint="it may be damaged, or made for another interpreter; edgecv inspect lists its operators",
        )
    kind, message, hint = value
    found = getattr(errors, kind, None)
    known = found if isinstance(found, type) and issubclass(found, EdgecvError) else EdgecvError
    return known(message, hint=hint)


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}, perhaps for lack of memory" if name == "SIGKILL" else name


def _from_environment(variable: str) -> Optional[float]:
    text = os.environ.get(variable)
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        if 0 < float(text) < 1e9:
            return float(text)
    raise ConfigError(f"{variable} must be a number above 0, got {text!r}", hint="unset it to take the default")
